"""Reads run.json, journal lines and scorecards of this schema, or of schema 1 as those of schema 2.

Files of schema 1 are migrated in memory; a file on disk changes only when it is written again.
"""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from microg_bench.errors import DataError, RunError
from microg_bench.options import Options
from microg_bench.records import Answer, AnyRecord, Failure, Withdrawal, first_fault, validated
from microg_bench.scorecard import SCORECARD_SCHEMA, Scorecard
from microg_bench.storage import MAX_JSON_BYTES, read_strict_json
from microg_bench.text import first_line

RUN_SCHEMA_1 = "microg-bench/run/1"
SCORECARD_SCHEMA_1 = "microg-bench/scorecard/1"

Entry = Answer | Failure | Withdrawal
ENTRIES: dict[str, type[Entry]] = {"response": Answer, "failure": Failure, "withdrawn": Withdrawal}

_OPTIONS = {
    "attention": "attn_implementation",
    "tensor_parallel": "tensor_parallel_size",
    "pipeline_parallel": "pipeline_parallel_size",
    "data_parallel": "replicas",
    "gpu_memory": "gpu_memory_utilization",
    "max_length": "max_model_len",
    "at_once": "max_concurrency",
    "decoders": "num_workers",
    "urls": "url",
}
# What files of schema 1 hold.
OPTIONS_1 = {*_OPTIONS, *Options.model_fields}
ABSTENTION_1 = {"absent", "present", "rightly", "wrongly"}
KEYS_1 = {"schema", "options", "settings", "starts"}
KEYS_1 |= {"status", "task", "protocol", "items", "failures", "missing", "foreign", "empty", "dataset"}
KEYS_1 |= {"fingerprint", "model", "scores", "interval", "floors", "slices", "abstention", "dropped"}
_FINISH = {"end": "stop", "length": "length", "filter": "content_filter", "refusal": "refusal"}
_SLICES = {"question word": "question_word"}
_LABELS = {"absent": "unanswerable", "present": "answerable"}
_MEDIA = re.compile(r"(images|video), jpeg (\d+), detail (auto|low|high)")
_PROMPT = re.compile(r"(.+)@(\d+):([0-9a-f]{8})")


def read_object(file: Path, limit: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """The JSON object in a plain file of a run.

    Raises:
        RunError: it is no plain file, holds more than `limit` bytes, or is damaged.
    """
    try:
        content = read_strict_json(file, limit)
    except DataError as error:
        raise RunError(error.reason, path=file) from error
    if not isinstance(content, dict):
        raise RunError("damaged: it holds no JSON object", path=file)
    return content


def of_schema(
    content: dict[str, Any],
    file: Path,
    schema: str,
    first: str,
    migrate: Callable[[dict[str, Any]], dict[str, Any]],
) -> tuple[dict[str, Any], bool]:
    """The content of `file` in this version's `schema`, and whether it was of the `first`."""
    found = content.get("schema")
    if found == schema:
        return content, False
    if found != first:
        named = first_line(repr(found), 60)
        raise RunError(f"schema {named} is not known to this version, which reads {schema}", path=file)
    try:
        return migrate(content), True
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"damaged: {type(error).__name__}: {first_line(error)} (read in schema {first})"
        raise RunError(reason, path=file) from error


def read_scorecard(file: Path) -> Scorecard:
    """A scorecard file, of this version's schema or of version 1's.

    Raises:
        RunError: it is missing, damaged, or of a schema that this version does not know.
    """
    if not os.path.lexists(file):
        raise RunError(f"has not been scored: run `microg-bench score {file.parent}` first", path=file.parent)
    return scorecard_of(read_object(file), file)


def scorecard_of(written: dict[str, Any], file: Path) -> Scorecard:
    """The scorecard that was read in `file`; raises as `read_scorecard` does."""
    content, _ = of_schema(written, file, SCORECARD_SCHEMA, SCORECARD_SCHEMA_1, scorecard_from_1)
    return parsed(file, Scorecard, content)


def parsed(file: Path, kind: type[AnyRecord], content: dict[str, Any]) -> AnyRecord:
    """The record that `content`, read in `file`, holds."""
    try:
        return validated(kind, content)
    except ValidationError as error:
        raise RunError(f"damaged: {first_fault(error)}", path=file) from error


def read_line(line: dict[str, Any], file: Path, number: int, migrated: bool) -> Entry:
    """One line of a journal of this version's schema, or of version 1's; a journal of both is refused."""
    if ("finish_reason" if migrated else "stop") in line:
        reason = f"half migrated: the line is of schema {1 + migrated}, run.json of schema {2 - migrated}"
        raise RunError(reason, path=file, item=f"line {number}")
    name = line.get("type")
    kind = ENTRIES.get(name) if isinstance(name, str) else None
    if kind is None:
        unknown = f"the type {first_line(repr(name), 60)} is not known to this version"
        reason = "damaged: it has no type" if name is None else unknown
        raise RunError(reason, path=file, item=f"line {number}")
    fields = line_from_1(line) if migrated else dict(line)
    fields.pop("type", None)
    if isinstance(frames := fields.get("frames"), list):
        fields["frames"] = tuple(frames)
    try:
        return kind.model_validate(fields, strict=True)
    except ValidationError as error:
        raise RunError(f"damaged: {first_fault(error)}", path=file, item=f"line {number}") from error


def run_from_1(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a run.json, without its schema.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is damaged.
    """
    options = {_OPTIONS.get(name, name): value for name, value in content["options"].items()}
    return {
        "options": {name: value for name, value in options.items() if name in Options.model_fields},
        "settings": settings_from_1(content["settings"]),
        "starts": [_start(start) for start in content["starts"]],
    }


def settings_from_1(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings, in which frames, media and prompt were texts."""
    known = _titled(settings)
    known["attn_implementation"] = known.pop("attention", None)
    known["frames"] = frames_from_1(known["frames"])
    known["media"] = _media(known.get("media"))
    known["prompt"] = _prompt(known["prompt"])
    return known


def frames_from_1(text: str) -> dict[str, Any] | None:
    """The frames that ``uniform:8``, ``fps:2`` or ``all`` mean; None for ``clip`` and ``none``."""
    how, _, number = text.partition(":")
    if how in ("clip", "none"):
        return None
    return (
        {"how": how, "rate": float(number)}
        if how == "fps"
        else {"how": how, "count": int(number or 0) or None}
    )


def _media(text: str | None) -> dict[str, Any] | None:
    if text is None or text == "clip":
        return None if text is None else {"kind": "clip"}
    found = _MEDIA.fullmatch(text)
    if found is None:
        raise ValueError(f"media {text!r}")
    return {"kind": found[1], "jpeg_quality": int(found[2]), "detail": found[3]}


def _prompt(text: str) -> dict[str, Any] | None:
    if text == "none":
        return None
    found = _PROMPT.fullmatch(text)
    if found is None:
        raise ValueError(f"prompt {text!r}")
    return {"id": found[1], "version": int(found[2]), "hash": found[3]}


def _start(start: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(start)
    if "dropped" in found:
        found["rejected"] = found.pop("dropped")
    if isinstance(usage := found.get("usage"), dict) and "shared" in usage:
        found["usage"] = {"from_cache" if name == "shared" else name: value for name, value in usage.items()}
    return found


def line_from_1(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line of the journal, without its type."""
    found = dict(line)
    if found.pop("type", None) == "failure":
        text = found.pop("text", None)
        return found if text is None else {**found, "response": {"id": found["id"], "text": text}}
    stop = found.pop("stop", "end")
    found["finish_reason"] = _FINISH.get(stop, stop) if isinstance(stop, str) else stop
    found["from_cache"] = found.pop("shared", False)
    return found


def scorecard_from_1(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a scorecard.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is damaged.
    """
    settings = content.get("settings")
    kept = ("status", "task", "protocol", "items", "dataset", "fingerprint", "interval")
    return {
        "schema": "microg-bench/scorecard/2",
        **{name: content[name] for name in kept if name in content},
        "counts": {
            "answered": content["items"],
            "failed": content.get("failures", 0),
            "missing": content.get("missing", 0),
            "unknown": content.get("foreign", 0),
            "empty": content.get("empty", 0),
            "flagged": content.get("empty", 0),
        },
        "model": _model(content.get("model")),
        "scores": {name: _score(entry) for name, entry in content["scores"].items()},
        "baselines": {name: _titled(entry) for name, entry in content.get("floors", {}).items()},
        "slices": _slices(content.get("slices", {})),
        "abstention": _abstention(content.get("abstention")),
        "settings": None if settings is None else settings_from_1(settings),
        "rejected": content.get("dropped", ()),
    }


def _model(model: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if model is None else {**_titled(model), "frames": frames_from_1(model["frames"])}


def _titled(content: Mapping[str, Any]) -> dict[str, Any]:
    """Baselines were called floors in their titles."""
    return {**content, "title": content["title"].replace("Floor: ", "Baseline: ", 1)}


def _score(entry: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in entry.items() if name not in ("signature", "signature_long")}
    long = entry.get("signature_long")
    return {**found, "signature": None if long is None else signature_from_1(long)}


def signature_from_1(text: str) -> dict[str, Any]:
    """``CIDEr|protocol:paper|items:84`` as a metric and its values."""
    metric, *parts = text.split("|")
    pairs = (part.partition(":") for part in parts)
    return {"metric": metric, "values": {name: value for name, _, value in pairs}}


def _slices(slices: Mapping[str, Any]) -> dict[str, Any]:
    return {
        _SLICES.get(kind, kind): {_LABELS.get(label, label) if kind == "answerable" else label: one
                                  for label, one in labels.items()}
        for kind, labels in slices.items()
    }  # fmt: skip


def _abstention(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "unanswerable": found["absent"],
        "answerable": found["present"],
        "rate_on_unanswerable": found["rightly"],
        "rate_on_answerable": found["wrongly"],
    }
