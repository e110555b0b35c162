"""Scores answers against their references: values, intervals, slices, and what the floors reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

import numpy as np

from microg_bench.errors import UsageError
from microg_bench.metrics import METRICS, MetricOptions, Protocol, Score, Unavailable, score_tasks
from microg_bench.metrics.base import Array
from microg_bench.metrics.stats import LEVEL, RESAMPLES, Clusters, interval, resample
from microg_bench.records import TaskName
from microg_bench.runs.scorecard import IntervalEntry, ScoreEntry, SliceEntry
from microg_bench.runs.slices import Abstention, abstention, slice_rows
from microg_bench.suggest import unknown
from microg_bench.tasks import TASKS, Item

SENTENCE_METRICS = ("S-BERT", "S-VQA")
ClusterKind = Literal["source", "clip"]


@dataclass(frozen=True)
class Scoring:
    """How to score.

    Args:
        metrics: names; none means all of the task's.
        protocol: how texts are compared.
        options: encoders.
        clusters: what the intervals resample, source videos or clips.
        floors: whether the floors are scored on the same items.
    """

    metrics: Sequence[str] = ()
    protocol: str = "paper"
    options: MetricOptions = field(default_factory=MetricOptions)
    clusters: ClusterKind = "source"
    floors: bool = True


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


@dataclass(frozen=True)
class Evaluation:
    """The answered items of one task, scored; `found` holds a `Score` or an `Unavailable` by metric."""

    task: TaskName
    items: tuple[Item, ...]
    answers: Mapping[str, str]
    found: Mapping[str, Score | Unavailable]
    clusters: ClusterKind

    @property
    def scores(self) -> dict[str, Score]:
        """What could be computed."""
        return {name: one for name, one in self.found.items() if isinstance(one, Score)}

    def entries(self) -> dict[str, ScoreEntry]:
        """The scores as a scorecard holds them."""
        return {name: self._entry(one) for name, one in self.found.items()}

    def interval_entry(self) -> IntervalEntry | None:
        """How the intervals were made, None where nothing was scored."""
        if not self.items:
            return None
        kind, count = self.clusters, self._clusters.count
        return IntervalEntry(level=LEVEL, clusters=kind, cluster_count=count, resamples=RESAMPLES, seed=0)

    def slices(self) -> dict[str, dict[str, SliceEntry]]:
        """The scores of each slice, from the statistics of its items alone."""
        return {
            kind: {label: self._slice(rows) for label, rows in sorted(labels.items())}
            for kind, labels in slice_rows(self.items).items()
        }

    def abstention(self) -> Abstention | None:
        """How often the model answered "Not mentioned."."""
        return abstention(self.items, self.answers)

    def statistics(self) -> dict[str, Array]:
        """Per-item statistics by metric, in the order of `items`."""
        return {name: one.statistics for name, one in self.scores.items()}

    @cached_property
    def _clusters(self) -> Clusters:
        requests = [item.request for item in self.items]
        return Clusters.of(
            [request.source if self.clusters == "source" else request.video_id for request in requests]
        )

    @cached_property
    def _weights(self) -> Array:
        return resample(self._clusters.count)

    def _entry(self, found: Score | Unavailable) -> ScoreEntry:
        if isinstance(found, Unavailable):
            return ScoreEntry(unavailable=found.reason)
        return ScoreEntry(
            value=found.value,
            interval=interval(METRICS[found.name], found.statistics, self._clusters, self._weights),
            signature=found.signature.short(),
            signature_long=found.signature.long(),
            notes=found.notes,
        )

    def _slice(self, rows: list[int]) -> SliceEntry:
        chosen = np.asarray(rows)
        values = {name: METRICS[name].aggregate(one.statistics[chosen]) for name, one in self.scores.items()}
        return SliceEntry(items=len(rows), scores=values)


@dataclass(frozen=True)
class Answered:
    """The answers to items of one task, by the id of their request; not every item needs one."""

    task: TaskName
    items: Sequence[Item]
    answers: Mapping[str, str]


def evaluate(
    task: TaskName, items: Sequence[Item], answers: Mapping[str, str], scoring: Scoring
) -> Evaluation:
    """Score the items that have an answer, in dataset order.

    Raises:
        UsageError: an unknown metric or protocol.
    """
    return evaluate_all([Answered(task, items, answers)], scoring)[0]


def evaluate_all(sets: Sequence[Answered], scoring: Scoring) -> list[Evaluation]:
    """Score several sets of answers, each as `evaluate` does, with one start of Java for all of them.

    Raises:
        UsageError: as `evaluate`.
    """
    names = {str(place): task_metrics(one.task, scoring.metrics) for place, one in enumerate(sets)}
    scored = {
        str(place): tuple(item for item in one.items if item.request.id in one.answers)
        for place, one in enumerate(sets)
    }
    texts = {
        place: ([one.answers[item.request.id] for item in items], [item.reference for item in items])
        for (place, items), one in zip(scored.items(), sets, strict=True)
        if items
    }
    found = score_tasks(texts, names, scoring.protocol, scoring.options)
    return [
        Evaluation(one.task, items, one.answers, found.get(place) or _nothing(names[place]), scoring.clusters)
        for (place, items), one in zip(scored.items(), sets, strict=True)
    ]


def _nothing(names: Sequence[str]) -> dict[str, Score | Unavailable]:
    return {name: Unavailable(name, "no item was answered") for name in names}
