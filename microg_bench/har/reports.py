"""Reads the files that `microg-bench har score --out FILE` writes, and those of version 0.1.

A file holds one scorecard or a JSON list of them. A file of version 0.1 holds one report (schema
"microg-bench/actions/1"), or several under "reports"; each becomes a scorecard.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationError

from microg_bench.actions import ActionEntry, ActionFacts
from microg_bench.errors import DataError
from microg_bench.records import Record, first_fault
from microg_bench.scorecard import (
    COMPLETE,
    SCORECARD_SCHEMA,
    Counts,
    IntervalEntry,
    Scorecard,
    ScoreEntry,
    Signature,
)
from microg_bench.storage import read_json

SCHEMA_1 = "microg-bench/actions/1"
MAX_BYTES = 64 * 1024**2  # a scorecard of 50 actions takes 13 kB
MAX_SCORE = 100 + 1e-9  # %, with room for rounding errors


def read_scorecards(path: Path) -> list[Scorecard]:
    """The scorecards of a file that `microg-bench har score --out FILE` wrote.

    The `fingerprint` of a report of version 0.1 is the first 12 digits only, which is all that it holds.

    Raises:
        DataError: the file is missing, too large, not JSON, of another schema or task, lacks a field or has a
            score that is not a number from 0 to 100.
    """
    if path.is_file() and path.stat().st_size > MAX_BYTES:
        raise DataError(f"larger than {MAX_BYTES >> 20} MiB, which no file of scorecards is", path=path)
    content = read_json(path)
    old = isinstance(content, dict) and content.get("schema") == SCHEMA_1
    if old:
        report = {key: value for key, value in content.items() if key != "schema"}
        content = report.get("reports", report)
    given = content if isinstance(content, list) else [content]
    if not given:
        raise DataError("holds no scorecards", path=path)
    items = [f"scorecard {number}" if len(given) > 1 else None for number in range(1, len(given) + 1)]
    return [_scorecard(one, old, path, item) for one, item in zip(given, items, strict=True)]


def _scorecard(content: Any, old: bool, path: Path, item: str | None) -> Scorecard:
    """One scorecard of a file; `old` for a report of version 0.1."""
    if not old and not (
        isinstance(content, dict)
        and content.get("schema") == SCORECARD_SCHEMA
        and content.get("task") == "har"
    ):
        reason = f"not a scorecard of `microg-bench har score` (schema {SCORECARD_SCHEMA})"
        raise DataError(reason, path=path, item=item)
    try:
        card = _ReportV1.model_validate(content).scorecard() if old else Scorecard.model_validate(content)
    except ValidationError as error:
        raise DataError(f"damaged: {first_fault(error)}", path=path, item=item) from error
    facts_of(card, path, item)
    return card


def facts_of(card: Scorecard, path: Path, item: str | None = None) -> ActionFacts:
    """The part of a scorecard, read from `path`, that is particular to action recognition.

    Raises:
        DataError: it has none, or a score that is not a number from 0 to 100.
    """
    if card.har is None:
        raise DataError("damaged: har: Field required", path=path, item=item)
    for name, value in _numbers(card, card.har):
        if not 0 <= value <= MAX_SCORE:
            reason = f"damaged: {name} is {value}, not a number from 0 to 100"
            raise DataError(reason, path=path, item=item)
    return card.har


def _numbers(card: Scorecard, facts: ActionFacts) -> Iterator[tuple[str, float]]:
    """All scores of a scorecard, with their names."""
    for name, entry in card.scores.items():
        yield from ((name, value) for value in (entry.value, *(entry.interval or ())) if value is not None)
    yield from (("mAP over ties", value) for value in facts.map_over_ties or ())
    for action in facts.actions:
        for name in ("AP", "F1", "recall", "AUROC"):
            if (value := getattr(action, name)) is not None:
                yield f"{name} of action {action.id}", value


def _parse_signature(text: object) -> Signature:
    """`F1|truth:frame|undefined:0` as a signature."""
    metric, *parts = text.split("|") if isinstance(text, str) else [""]
    pairs = [part.split(":", 1) for part in parts]
    if not pairs or not all(len(pair) == 2 for pair in pairs):
        raise ValueError("not a signature")
    return Signature(metric=metric, values=dict(pairs))


class _ScoreV1(Record):
    value: float | None
    interval: tuple[float, float] | None
    signature: Annotated[Signature, BeforeValidator(_parse_signature)]


class _CountsV1(Record):
    videos: int
    frames: int
    frames_without_detections: int
    boxes: int
    boxes_without_area: int
    true_rows: int
    true_rows_without_area: int
    actions: int
    actions_with_examples: int


class _ReportV1(Record):
    """A report of version 0.1."""

    detections: str
    groundtruth: str
    scores: dict[str, _ScoreV1]
    interval: IntervalEntry
    mAP_over_ties: tuple[float, float]  # noqa: N815 - the field's spelling in the file
    counts: _CountsV1
    warnings: tuple[str, ...]
    actions: tuple[ActionEntry, ...]

    def scorecard(self) -> Scorecard:
        """The same as a scorecard of today."""
        fingerprints = {score.signature.values.get("groundtruth", "") for score in self.scores.values()}
        return Scorecard(
            task="har",
            status=COMPLETE,
            protocol="paper",
            items=self.counts.boxes,
            counts=Counts(answered=self.counts.boxes),
            dataset=self.groundtruth,
            fingerprint=min(fingerprints, default=""),
            scores={
                name: ScoreEntry(value=score.value, interval=score.interval, signature=score.signature)
                for name, score in self.scores.items()
            },
            interval=self.interval,
            har=ActionFacts(
                detections=self.detections,
                groundtruth=self.groundtruth,
                map_over_ties=self.mAP_over_ties,
                counts=self.counts.model_dump(),
                actions=self.actions,
            ),
            warnings=self.warnings,
        )
