"""The scorecard: scores with signatures and intervals, slices, floors, counts and provenance."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from microg_bench.records import Record, TaskName
from microg_bench.runs.slices import Abstention

SCORECARD_SCHEMA = "microg-bench/scorecard/1"


class ScoreEntry(Record):
    """One score, ×100; `value` is None where it could not be computed, and `unavailable` says why.

    `interval` holds the bounds of the 95% interval, None where there are fewer than two clusters. `signature`
    is the short form, `signature_long` pins everything that moves the number. `notes` tells what was done to
    the texts that a reader should know (a candidate cut, for example).
    """

    value: float | None = None
    interval: tuple[float, float] | None = None
    signature: str | None = None
    signature_long: str | None = None
    unavailable: str | None = None
    notes: tuple[str, ...] = ()


class ModelEntry(Record):
    """Which model answered, and what it was shown."""

    name: str
    title: str
    frames: str
    frame_count: int | None = None


class SliceEntry(Record):
    """The scores, ×100, of part of the items; document frequencies are those of all items."""

    items: int
    scores: dict[str, float]


class FloorEntry(Record):
    """What a model-free baseline reaches on the same items, ×100."""

    title: str
    scores: dict[str, float]


class IntervalEntry(Record):
    """How the intervals were made: what was resampled, how many there are, how often, from which seed."""

    level: float
    clusters: str
    cluster_count: int
    resamples: int
    seed: int


class Scorecard(Record):
    """The result of one task. `status` is "complete", or says what keeps it off a leaderboard.

    `items` are the answers that were scored; `failures` requests that failed and `missing` ones without a
    prediction are not among them; `empty` answers are. `dropped` names those of the `settings` of generation
    that the model rejected, so that it was asked without them.
    """

    status: str
    schema_: str = Field(default=SCORECARD_SCHEMA, alias="schema")
    task: TaskName
    protocol: str
    items: int
    failures: int = 0
    missing: int = 0
    foreign: int = 0
    empty: int = 0
    dataset: str
    fingerprint: str
    model: ModelEntry | None = None
    scores: dict[str, ScoreEntry]
    interval: IntervalEntry | None = None
    floors: dict[str, FloorEntry] = Field(default_factory=dict)
    slices: dict[str, dict[str, SliceEntry]] = Field(default_factory=dict)
    abstention: Abstention | None = None
    settings: dict[str, Any] | None = None
    dropped: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The scorecard as it is written to disk."""
        return self.model_dump(mode="json", by_alias=True)


def status(failures: int = 0, missing: int = 0) -> str:
    """The word "complete", or what is not."""
    problems = []
    if failures:
        problems.append(f"{failures} requests failed")
    if missing:
        problems.append(f"{missing} items have no prediction")
    if not problems:
        return "complete"
    return f"incomplete: {' and '.join(problems)}; not admissible to a leaderboard"
