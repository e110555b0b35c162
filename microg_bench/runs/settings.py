"""What a run is made with: the options that a user gives, and the settings that they resolve to.

Options are what `--config FILE.toml` and the command line may say. Settings are everything that moves an
answer; they are written into run.json, and a run folder continues only under the very same settings.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from microg_bench.errors import UsageError
from microg_bench.records import Generation, Record, TaskName
from microg_bench.suggest import unknown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RUN_SCHEMA = "microg-bench/run/1"


class AnswerOptions(Record):
    """The options that may move an answer; other ones lead to another run folder."""

    model: str | None = None
    frames: int | None = None
    sampling: str | None = None
    prompt: str = "default"
    engine: str | None = None
    checkpoint: str | None = None
    revision: str | None = None
    trust_remote_code: bool = False
    dtype: str = "auto"
    attention: str | None = None
    quantization: str | None = None
    engine_args: dict[str, Any] = Field(default_factory=dict)
    media: Literal["images", "video", "clip"] | None = None
    jpeg_quality: int = Field(default=90, ge=1, le=95)
    detail: Literal["auto", "low", "high"] = "auto"
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    seed: int = 0
    limit: int | None = None
    clips: tuple[str, ...] = ()


class WorkOptions(Record):
    """The options of where, how fast and at what price the work is done: they move no answer."""

    tasks: tuple[TaskName, ...] = ("caption", "vqa")
    data: str | None = None
    device_map: str = "auto"
    batch_size: int = Field(default=4, ge=1)
    tensor_parallel: int = Field(default=1, ge=1)
    pipeline_parallel: int = Field(default=1, ge=1)
    data_parallel: int = Field(default=1, ge=1)
    gpu_memory: float | None = Field(default=None, gt=0, le=1)
    max_length: int | None = Field(default=None, ge=1)
    urls: tuple[str, ...] = ()
    serve: bool = False
    port: int | None = Field(default=None, ge=1, le=65535)
    at_once: int = Field(default=64, ge=1)
    timeout: float = Field(default=300.0, gt=0)
    decoders: int = Field(default=2, ge=1, le=64)
    cache: str | None = None
    prices: str | None = None
    max_cost: float | None = Field(default=None, gt=0)
    batch: bool = False


class ScoreOptions(Record):
    """The options of scoring."""

    metrics: tuple[str, ...] = ()
    protocol: str = "paper"
    sentence_model: str | None = None
    bertscore_model: str | None = None
    bertscore_layers: int | None = Field(default=None, ge=1)
    bertscore_idf: bool = False
    bertscore_rescale: bool = False
    bf16: bool = False


class Options(AnswerOptions, WorkOptions, ScoreOptions):
    """The options of `caption`, `vqa` and `run`, named as on the command line. None takes the default."""


class Settings(Record):
    """Everything that moves an answer of one run (one task, one model, one dataset).

    `frames` tells what the model is shown, `media` in which form it travels to a server.
    """

    task: TaskName
    model: str
    title: str
    adapter_sha256: str
    checkpoint: str | None
    revision: str | None
    engine: str
    dtype: str
    attention: str | None
    quantization: str | None = None
    engine_args: dict[str, Any] = Field(default_factory=dict)
    frames: str
    media: str | None = None
    prompt: str
    generation: Generation
    dataset: str
    fingerprint: str
    clips: tuple[str, ...] | None


def difference(old: dict[str, Any], new: dict[str, Any]) -> str | None:
    """The first setting that differs, as `frames: uniform:8 → uniform:9`; None where all are the same."""
    for key in {**new, **old}:
        before, after = old.get(key), new.get(key)
        if before != after:
            return f"{key}: {_short(before)} → {_short(after)}"
    return None


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def read_config(path: Path) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Options from a TOML file, or from the run.json of an earlier run.

    Returns:
        The options as a mapping and, from a run.json, the settings that the run had.

    Raises:
        UsageError: the file cannot be read or holds an option that does not exist.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"--config {path}: cannot be read: {error}") from error
    if path.suffix != ".json":
        return _known({key.replace("-", "_"): value for key, value in content.items()}, path), None
    if not isinstance(content, dict) or content.get("schema") != RUN_SCHEMA:
        raise UsageError(f"--config {path}: not a run.json of this version (schema {RUN_SCHEMA})")
    return _known(content["options"], path), content["settings"]


def _known(options: dict[str, Any], path: Path) -> dict[str, Any]:
    for key in options:
        if key not in Options.model_fields:
            raise UsageError(f"--config {path}: {unknown('option', key, Options.model_fields)}")
    return options


def make_options(*layers: dict[str, Any]) -> Options:
    """Options from several layers, later ones over earlier ones; None means not given.

    Raises:
        UsageError: a value has the wrong type or is out of range; the option is named.
    """
    given = {key: value for layer in layers for key, value in layer.items() if value is not None}
    try:
        return Options.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).replace("_", "-")
        raise UsageError(f"--{name}: {first['msg']} (given: {first['input']!r})") from error
