"""What it costs to run a model on a computer on board: cost.json, beside the scorecard of a run.

A measurement is of requests that are asked one at a time. It holds times, which scorecards do not.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, ValidationError

from microg_bench.errors import RunError
from microg_bench.hardware import Hardware
from microg_bench.privacy import outgoing
from microg_bench.records import Record
from microg_bench.runs.migration import parsed, read_object
from microg_bench.runs.record import RUN_FILE, RunRecord
from microg_bench.storage import write_json
from microg_bench.text import first_line

COST_FILE = "cost.json"
# Settings that move answers or how long they take, and that are the same in a run that others may see.
_MEASURED = {
    *("task", "engine", "adapter_sha256", "checkpoint_sha256", "revision", "dtype", "quantization", "frames"),
    *("generation", "thinking", "fingerprint"),
}


class Delay(Record):
    """Seconds of several requests: their median and their 95th percentile, linear between two of them."""

    median: float = Field(ge=0)
    p95: float = Field(ge=0)
    requests: int = Field(ge=1)


class PeakMemory(Record):
    """The most memory that was taken, in bytes, from the start of the engine on.

    `process` is resident memory of the program and its child processes. `allocated` and `reserved` are of all
    GPUs that hold weights: held by tensors, and kept by the allocator. None where it is not known, or for
    GPUs where there are none.
    """

    process: int | None = Field(default=None, ge=0)
    allocated: int | None = Field(default=None, ge=0)
    reserved: int | None = Field(default=None, ge=0)


class Measurement(Record):
    """What a model took on one kind of hardware, asked one request at a time.

    Attributes:
        hardware: on which.
        measured: when, in UTC.
        versions: of libraries and of this package.
        engine: what the engine tells of itself.
        clips: how many were asked about; that of the warm-up is not among them.
        requests: how many were answered.
        failed: how many were not; they and their clips count for nothing else.
        first_token: from handing over frames and prompt to the first token, thoughts included; of the first
            request about each clip.
        tokens_per_second: of decoding: tokens after the first, by the time after the first, of all requests.
        seconds_per_clip: of the engine, for all requests about a clip; without decoding the video.
        memory: see `PeakMemory`.
        weights: size of the files of weights that are loaded, in bytes.
        unknown: why a value is None, by the name of its field.
    """

    hardware: Hardware
    measured: str
    versions: dict[str, str]
    engine: dict[str, str]
    clips: int = Field(ge=1)
    requests: int = Field(ge=1)
    failed: int = Field(ge=0)
    first_token: Delay | None
    tokens_per_second: float | None = Field(ge=0)
    seconds_per_clip: float | None = Field(ge=0)
    memory: PeakMemory
    weights: int | None = Field(ge=0)
    unknown: dict[str, str] = Field(default_factory=dict)

    @property
    def peak(self) -> int | None:
        """The memory that the hardware must have: that of the GPUs where they hold the weights."""
        return self.memory.reserved if self.hardware.gpus else self.memory.process


class CostReport(Record):
    """The content of cost.json; `settings` is a hash of those of the run. Each hardware is there once."""

    schema_: Literal["microg-bench/cost/1"] = Field(default="microg-bench/cost/1", alias="schema")
    settings: str
    measurements: tuple[Measurement, ...]


@dataclass(frozen=True)
class Quantity:
    """A quantity of a measurement: its name with its unit, what it means, and whether the lowest is best.

    `field` is the name under which `Measurement.unknown` tells why there is none.
    """

    name: str
    field: str
    of: Callable[[Measurement], float | None]
    meaning: str
    lower: bool = True


_GIB = 1024**3


def _gib(size: int | None) -> float | None:
    return None if size is None else size / _GIB


QUANTITIES = (
    Quantity(
        "first token, s",
        "first_token",
        lambda one: one.first_token.median if one.first_token else None,
        "Median seconds from frames and prompt to the first token, of the first request about a clip.",
    ),
    Quantity(
        "first token p95, s",
        "first_token",
        lambda one: one.first_token.p95 if one.first_token else None,
        "The 95th percentile of the seconds to the first token.",
    ),
    Quantity(
        "tokens/s",
        "tokens_per_second",
        lambda one: one.tokens_per_second,
        "Tokens after the first of an answer by the time after the first, one request at a time.",
        lower=False,
    ),
    Quantity(
        "s/clip",
        "seconds_per_clip",
        lambda one: one.seconds_per_clip,
        "Seconds of the engine for all requests about a clip, without decoding the video.",
    ),
    Quantity(
        "peak memory, GiB",
        "memory",
        lambda one: _gib(one.peak),
        "The most memory that was taken: of the GPUs that hold the weights, else of the program.",
    ),
    Quantity(
        "weights, GiB",
        "weights",
        lambda one: _gib(one.weights),
        "Size of the files of weights that are loaded.",
    ),
)


def read_cost(record: RunRecord) -> CostReport | None:
    """What was measured of a run, without anything private; None where nothing was.

    Raises:
        RunError: it is damaged, or of a run with other settings.
    """
    file = record.path / COST_FILE
    if not file.is_file():
        return None
    content = read_object(file)
    found = parsed(file, CostReport, content)
    if found.settings != measured_settings(record):
        raise RunError("was measured with other settings than the run has: measure it again", path=file)
    shown: CostReport = outgoing(found)
    return shown


def add_measurement(record: RunRecord, found: Measurement) -> CostReport:
    """Write a measurement of a run beside those of other hardware; one of the same is replaced.

    Raises:
        RunError: cost.json cannot be written.
    """
    try:
        before = read_cost(record)
    except RunError:  # measured again because it cannot be used
        before = None
    others = [
        one for one in (before.measurements if before else ()) if one.hardware.title != found.hardware.title
    ]
    kept = tuple(sorted([*others, found], key=lambda one: one.hardware.title))
    report: CostReport = outgoing(CostReport(settings=measured_settings(record), measurements=kept))
    write_json(record.path / COST_FILE, report.model_dump(mode="json", by_alias=True))
    return report


def throughput(record: RunRecord) -> dict[str, float]:
    """Tokens written a second by the engine of a run, by the title of the hardware, many requests at a time.

    They are those of all tasks that were asked together, by the time in which the engine had a request.
    Answers from a cache, replicas, vendors and variants that shared an engine do not count; nor do starts of
    versions that did not note their hardware.

    Raises:
        RunError: run.json is damaged.
    """
    tokens: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    try:
        for start in record.starts:
            told, usage = start.get("hardware"), start.get("usage")
            if told and usage and usage["seconds"]["generating"] > 0:
                title = Hardware.model_validate(told).title
                tokens[title] += usage["output_tokens"]
                seconds[title] += usage["seconds"]["generating"]
    except (ValidationError, KeyError, TypeError) as error:
        raise RunError(f"damaged: {first_line(error)}", path=record.path / RUN_FILE) from error
    return {title: tokens[title] / seconds[title] for title in tokens if tokens[title]}


def measured_settings(record: RunRecord) -> str:
    """A hash of the settings of a run that move what is measured, the first 16 hex digits."""
    content = json.dumps(record.settings.model_dump(mode="json", include=_MEASURED), sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]
