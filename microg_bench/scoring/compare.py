"""Compares scored runs pair by pair: differences with interval and p-value, and where they differ most.

Only like is compared with like: the same task, the same items in the same order, the same signatures.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from microg_bench.errors import DataError, RunError, UsageError
from microg_bench.metrics import METRICS
from microg_bench.metrics.base import Array, SumScore
from microg_bench.records import TaskName
from microg_bench.runs.record import RunRecord, find_runs
from microg_bench.scoring.intervals import RESAMPLES, Clusters, Difference, holm, paired_all
from microg_bench.tasks import HAR
from microg_bench.text import unknown


@dataclass(frozen=True)
class Comparison:
    """One metric of a pair of runs; `corrected` is the p-value after Holm, over all its `pairs` of runs."""

    metric: str
    first: RunRecord
    second: RunRecord
    difference: Difference
    corrected: float | None
    pairs: int


def compare(
    runs: Sequence[RunRecord], metrics: Sequence[str] = (), resamples: int = RESAMPLES
) -> list[Comparison]:
    """All pairs of `runs` under every metric that all of them have, metric by metric.

    Args:
        runs: two or more scored runs of one task.
        metrics: names; those that a run lacks are left out. None takes all that the runs have in common.
        resamples: of the intervals and of the p-values.

    Raises:
        RunError: a run has not been scored, or is damaged.
        DataError: runs that cannot be compared; what differs is named.
        UsageError: an unknown metric.
    """
    for name in metrics:
        if name not in METRICS:
            raise UsageError(unknown("metric", name, METRICS))
    wanted = metrics or tuple(runs[0].scorecard.scores)
    for other in runs[1:]:
        _check(runs[0], other, wanted)
    names = [name for name in wanted if all(name in run.statistics.metrics for run in runs)]
    if not names and not metrics:
        raise _apart(runs, "no metric was scored in all of them")
    clusters = Clusters.of(runs[0].statistics.sources)
    return [
        one
        for name in names
        for one in pairwise(
            name, METRICS[name], [(run, run.statistics.metrics[name]) for run in runs], clusters, resamples
        )
    ]


def pairwise(
    name: str,
    metric: type[SumScore],
    systems: Sequence[tuple[RunRecord, Array]],
    clusters: Clusters,
    resamples: int = RESAMPLES,
) -> list[Comparison]:
    """All pairs of runs under one score.

    Args:
        name: of the score.
        metric: how it is computed of sums of statistics.
        systems: the runs, each with the statistics of the same items in the same order.
        clusters: of the items.
        resamples: of the intervals and of the p-values.
    """
    found = paired_all(metric, [statistics for _, statistics in systems], clusters, resamples)
    known = [one.p for one in found if one.p is not None]
    corrected = iter(holm(known))
    return [
        Comparison(name, a, b, one, None if one.p is None else next(corrected), len(found))
        for (a, b), one in zip(combinations((run for run, _ in systems), 2), found, strict=True)
    ]


def _check(first: RunRecord, second: RunRecord, metrics: Sequence[str]) -> None:
    """Refuse to compare what is not alike.

    Raises:
        DataError: naming the first thing that differs.
    """
    both = (first, second)
    for what in ("task", "fingerprint"):
        a, b = getattr(first.scorecard, what), getattr(second.scorecard, what)
        if a != b:
            raise _apart(both, f"their {what} differs ({a} and {b})")
    if alone := sorted(set(first.statistics.ids) ^ set(second.statistics.ids)):
        raise _apart(both, f"{len(alone)} items are scored in only one of them (the first is {alone[0]})")
    if first.statistics.ids != second.statistics.ids:
        raise _apart(both, "their items stand in different orders")
    for name in metrics:
        ours, theirs = (run.scorecard.scores.get(name) for run in both)
        a, b = ours and ours.signature, theirs and theirs.signature
        if a and b and not a.alike(b):
            signatures = f"{a.long()} and {b.long()}"
            raise _apart(both, f"the signatures of {name} differ ({signatures})")


def _apart(runs: Sequence[RunRecord], why: str) -> DataError:
    return DataError(f"{why}: they cannot be compared", item=" and ".join(str(run.path) for run in runs))


def other_clips(first: RunRecord, second: RunRecord) -> list[str]:
    """The ids of the clips of which two runs were shown different files."""
    pairs = ((one, second.answers[name]) for name, one in first.answers.items() if name in second.answers)
    other = (
        a.id.partition("#")[0] for a, b in pairs if a.shown_clip == b.shown_clip and a.shows_another_file(b)
    )
    return list(dict.fromkeys(other))


def other_inputs(first: RunRecord, second: RunRecord) -> list[str]:
    """The ids of the requests whose prompts had other numbers of tokens, though they should be the same.

    They should where model, weights, frames, prompt and thinking are. The tokens tell how large the input was
    made: for a run whose library had other defaults, or that was sent images and not a video.
    """
    names = (
        "model",
        "checkpoint",
        "revision",
        "checkpoint_sha256",
        "frames",
        "transforms",
        "prompt",
        "thinking",
    )
    if any(getattr(first.settings, name) != getattr(second.settings, name) for name in names):
        return []
    pairs = ((one, second.answers[name]) for name, one in first.answers.items() if name in second.answers)
    return [a.id for a, b in pairs if len({a.prompt_tokens, b.prompt_tokens} - {None}) > 1]


@dataclass(frozen=True)
class Contrast:
    """An item on which two runs differ: its scores ×100 under one metric."""

    id: str
    first: float
    second: float


def most_different(first: RunRecord, second: RunRecord, metric: str, count: int = 10) -> list[Contrast]:
    """The items whose scores under `metric` differ most, the widest gap first.

    Raises:
        RunError: one of the runs was not scored under `metric`.
    """
    for run in (first, second):
        if metric not in run.statistics.metrics:
            raise RunError(f"was not scored under {metric}", path=run.path)
    a, b = (METRICS[metric].per_item(run.statistics.metrics[metric]) for run in (first, second))
    order = np.argsort(-np.abs(a - b), kind="stable")[:count]
    return [Contrast(first.statistics.ids[k], float(a[k]), float(b[k])) for k in order if a[k] != b[k]]


def comparable(runs: Sequence[str | Path | RunRecord]) -> dict[TaskName, list[RunRecord]]:
    """The runs of each task that `runs` have in common.

    Raises:
        UsageError: there are fewer than two different ones, or they have no task in common that has scores of
            single items.
        RunError: a folder holds several runs of one task.
    """
    given = [
        [one] if isinstance(one, RunRecord) else [RunRecord.read(path) for path in find_runs(Path(one))]
        for one in runs
    ]
    if len({record.path.resolve() for some in given for record in some}) < 2 or len(given) < 2:
        raise UsageError("give two or more different runs to compare")
    by_task = list(map(runs_by_task, given))
    shared = [task for task in by_task[0] if all(task in some for some in by_task)]
    common = [task for task in shared if task != HAR]
    if shared and not common:
        raise UsageError(f"runs of {HAR} have no scores of single items, by which runs are compared")
    if not common:
        raise UsageError("the runs have no task in common")
    return {task: [some[task] for some in by_task] for task in common}


def runs_by_task(records: Iterable[RunRecord]) -> dict[TaskName, RunRecord]:
    """The run of each task; beside a run, one that asks a sample of its requests again does not count.

    Raises:
        RunError: there are several of one task.
    """
    found: dict[TaskName, RunRecord] = {}
    for one in sorted(records, key=lambda one: one.settings.requests is not None):
        other = found.setdefault(one.settings.task, one)
        if other is not one and (other.settings.requests is None) == (one.settings.requests is None):
            reason = f"holds a run of the task {one.settings.task}, and so does {one.path}: give one of them"
            raise RunError(reason, path=other.path)
    return found
