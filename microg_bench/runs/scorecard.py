"""The scorecard of a run or of a predictions file: scores with signatures, counts and provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import Field

from microg_bench.errors import UsageError
from microg_bench.metrics import METRICS, MetricOptions, Protocol, Score, Unavailable, score
from microg_bench.records import Record, TaskName
from microg_bench.suggest import unknown
from microg_bench.tasks import TASKS, Item

SCORECARD_SCHEMA = "microg-bench/scorecard/1"
SENTENCE_METRICS = ("S-BERT", "S-VQA")


class ScoreEntry(Record):
    """One score, ×100; `value` is None where it could not be computed, and `unavailable` says why.

    `notes` tells what was done to the texts that a reader should know (a candidate cut, for example).
    """

    value: float | None = None
    signature: str | None = None
    unavailable: str | None = None
    notes: tuple[str, ...] = ()


class ModelEntry(Record):
    """Which model answered, and what it was shown."""

    name: str
    title: str
    frames: str
    frame_count: int | None = None


class Scorecard(Record):
    """The result of one task. `status` is "complete", or says what keeps it off a leaderboard.

    `items` are the answers that were scored; `failures` requests that failed and `missing` ones without a
    prediction are not among them; `empty` answers are.
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
    settings: dict[str, Any] | None = None

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
    return (
        f"incomplete: {' and '.join(problems)}; not admissible to a leaderboard" if problems else "complete"
    )


def task_metrics(task: TaskName, names: Sequence[str]) -> tuple[str, ...]:
    """The metrics among `names` that apply to `task`; all of the task's where none are named.

    S-BERT and S-VQA are one computation under the name of its task: naming either means the task's own.

    Raises:
        UsageError: an unknown metric; the nearest are suggested.
    """
    for name in names:
        if name not in METRICS:
            raise UsageError(unknown("metric", name, METRICS))
    own = next(name for name in TASKS[task].metrics if name in SENTENCE_METRICS)
    return tuple(
        dict.fromkeys(own if name in SENTENCE_METRICS else name for name in names or TASKS[task].metrics)
    )


def check_protocol(protocol: str) -> None:
    """Accept a protocol that exists.

    Raises:
        UsageError: it does not.
    """
    if protocol not in get_args(Protocol):
        raise UsageError(unknown("protocol", protocol, get_args(Protocol)))


def score_answers(
    task: TaskName,
    items: Sequence[Item],
    answers: Mapping[str, str],
    metrics: Sequence[str],
    protocol: str,
    options: MetricOptions,
) -> dict[str, ScoreEntry]:
    """Score the items that have an answer, in dataset order.

    Raises:
        UsageError: an unknown metric or protocol.
    """
    names = task_metrics(task, metrics)
    scored = [item for item in items if item.request.id in answers]
    if not scored:
        return {name: ScoreEntry(unavailable="no item was answered") for name in names}
    found = score(
        [answers[item.request.id] for item in scored],
        [item.reference for item in scored],
        metrics=names,
        protocol=protocol,
        options=options,
    )
    return {name: _entry(one) for name, one in found.items()}


def _entry(found: Score | Unavailable) -> ScoreEntry:
    if isinstance(found, Unavailable):
        return ScoreEntry(unavailable=found.reason)
    return ScoreEntry(value=found.value, signature=found.signature.short(), notes=found.notes)
