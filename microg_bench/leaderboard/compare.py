"""Compares scored runs pair by pair: differences with interval and p-value, and where they differ most.

Only like is compared with like: the same task, the same items in the same order, the same signatures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from microg_bench.errors import DataError, RunError
from microg_bench.metrics import METRICS
from microg_bench.metrics.stats import Clusters, Difference, holm, paired
from microg_bench.runs.scorecard import Scorecard
from microg_bench.runs.scoring import read_scorecard
from microg_bench.runs.statistics import Statistics, read_statistics


@dataclass(frozen=True)
class Scored:
    """A run as it was scored; `title` is what tables call its model."""

    path: Path
    title: str
    card: Scorecard
    statistics: Statistics


@dataclass(frozen=True)
class Comparison:
    """One metric of a pair of runs; `corrected` is the p-value after Holm, over all pairs of this metric."""

    metric: str
    first: Scored
    second: Scored
    difference: Difference
    corrected: float | None


def read_scored(path: Path) -> Scored:
    """The scorecard and statistics of the run at `path`.

    Raises:
        RunError: it is no run, has not been scored, or is damaged.
    """
    card = read_scorecard(path)
    return Scored(path, card.model.title if card.model else "–", card, read_statistics(path))


def compare(runs: Sequence[Scored], resamples: int = 1000) -> list[Comparison]:
    """All pairs of `runs` under every metric that all of them have, metric by metric.

    Raises:
        DataError: runs that cannot be compared; what differs is named.
    """
    for other in runs[1:]:
        _check(runs[0], other)
    names = [name for name in runs[0].card.scores if all(name in run.statistics.metrics for run in runs)]
    clusters = Clusters.of(runs[0].statistics.sources)
    return [one for name in names for one in _compare_metric(name, runs, clusters, resamples)]


def _compare_metric(
    name: str, runs: Sequence[Scored], clusters: Clusters, resamples: int
) -> list[Comparison]:
    pairs = list(combinations(runs, 2))
    found = [
        paired(METRICS[name], a.statistics.metrics[name], b.statistics.metrics[name], clusters, resamples)
        for a, b in pairs
    ]
    known = [one.p for one in found if one.p is not None]
    corrected = iter(holm(known))
    return [
        Comparison(name, a, b, one, None if one.p is None else next(corrected))
        for (a, b), one in zip(pairs, found, strict=True)
    ]


def _check(first: Scored, second: Scored) -> None:
    """Refuse to compare what is not alike.

    Raises:
        DataError: naming the first thing that differs.
    """
    pair = f"{first.path} and {second.path} cannot be compared"
    for what in ("task", "fingerprint"):
        a, b = getattr(first.card, what), getattr(second.card, what)
        if a != b:
            raise DataError(f"{pair}: their {what} differs ({a} and {b})")
    ours, theirs = set(first.statistics.ids), set(second.statistics.ids)
    if ours != theirs:
        alone = sorted(ours ^ theirs)
        raise DataError(
            f"{pair}: {len(alone)} items are scored in only one of them (the first is {alone[0]})"
        )
    if first.statistics.ids != second.statistics.ids:
        raise DataError(f"{pair}: their items stand in different orders")
    for name in (name for name in first.card.scores if name in second.card.scores):
        a, b = first.card.scores[name].signature_long, second.card.scores[name].signature_long
        if a and b and a != b:
            raise DataError(f"{pair}: the signatures of {name} differ ({a} and {b})")


@dataclass(frozen=True)
class Contrast:
    """An item on which two runs differ: its scores ×100 under one metric."""

    id: str
    first: float
    second: float


def most_different(first: Scored, second: Scored, metric: str, count: int = 10) -> list[Contrast]:
    """The items whose scores under `metric` differ most, the widest gap first.

    Raises:
        RunError: one of the runs was not scored under `metric`.
    """
    for run in (first, second):
        if metric not in run.statistics.metrics:
            raise RunError(f"{run.path}: was not scored under {metric}")
    a, b = (METRICS[metric].per_item(run.statistics.metrics[metric]) for run in (first, second))
    order = np.argsort(-np.abs(a - b), kind="stable")[:count]
    return [Contrast(first.statistics.ids[k], float(a[k]), float(b[k])) for k in order if a[k] != b[k]]
