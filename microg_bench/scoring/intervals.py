"""Intervals and paired tests, from per-item statistics alone: no text is read again.

Clips of one source video are not independent, so whole clusters (source videos, by default) are resampled.
One set of resamples serves all metrics. CIDEr's document frequencies stay those of the full set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from microg_bench.metrics.base import Array, Metric

RESAMPLES = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Clusters:
    """Items grouped by what makes them dependent.

    `member` holds the number of the cluster of each item, shape (n,); `count` how many clusters there are.
    """

    member: NDArray[np.intp]
    count: int

    @classmethod
    def of(cls, labels: Sequence[str]) -> Clusters:
        """Group items by label, one label an item."""
        names, member = np.unique(np.asarray(labels), return_inverse=True)
        return cls(member, len(names))

    def sums(self, statistics: Array) -> Array:
        """Statistics summed within each cluster, shape (clusters, k), from shape (n, k)."""
        totals = np.zeros((self.count, statistics.shape[1]))
        np.add.at(totals, self.member, statistics)
        return totals

    def sizes(self) -> Array:
        """Items in each cluster, shape (clusters,)."""
        return np.bincount(self.member, minlength=self.count).astype(np.float64)


def resample(clusters: int, resamples: int = RESAMPLES, seed: int = 0) -> Array:
    """How often each cluster is drawn in each resample, with replacement, shape (resamples, clusters)."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples).astype(np.float64)


def interval(
    metric: type[Metric], statistics: Array, clusters: Clusters, weights: Array
) -> tuple[float, float] | None:
    """The 95% percentile bootstrap interval of the corpus score (Efron and Tibshirani 1993, chapter 13).

    Args:
        metric: whose statistics they are.
        statistics: shape (n, k), one row an item.
        clusters: the items' clusters.
        weights: from `resample`, shape (resamples, clusters).

    Returns:
        Lower and upper bound ×100, or None where there are fewer than two clusters to draw from.
    """
    if clusters.count < 2:
        return None
    values = metric.combine(weights @ clusters.sums(statistics), weights @ clusters.sizes())
    return bounds(np.asarray(values))


def bounds(values: Array, level: float = LEVEL) -> tuple[float, float] | None:
    """The percentiles with `level` of the values between them; NaN does not count, None where all are NaN."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return None
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(defined, [tail, 100 - tail])
    return float(low), float(high)


@dataclass(frozen=True)
class Difference:
    """Score of A less score of B, ×100, with its 95% interval and the p-value of no difference.

    `low`, `high` and `p` are None where there are fewer than two clusters.
    """

    value: float
    low: float | None
    high: float | None
    p: float | None


def paired(
    metric: type[Metric],
    first: Array,
    second: Array,
    clusters: Clusters,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """Compare two systems on the same items, cluster by cluster.

    The interval is a paired cluster bootstrap; the p-value comes from a two-sided approximate randomisation
    test (Noreen 1989) that exchanges the systems' statistics of whole clusters: (1 + extreme) / (1 + tries).

    Args:
        metric: whose statistics they are.
        first: statistics of system A, shape (n, k).
        second: those of system B, the same items in the same order.
        clusters: the items' clusters.
        resamples: how many bootstrap resamples and how many exchanges.
        seed: of both.
    """
    a, b, sizes = clusters.sums(first), clusters.sums(second), clusters.sizes()
    items = sizes.sum()
    value = float(metric.combine(a.sum(axis=0), items) - metric.combine(b.sum(axis=0), items))
    if clusters.count < 2:
        return Difference(value, None, None, None)
    weights = resample(clusters.count, resamples, seed)
    drawn = weights @ sizes
    differences = metric.combine(weights @ a, drawn) - metric.combine(weights @ b, drawn)
    low, high = bounds(np.asarray(differences)) or (None, None)
    kept = np.random.default_rng(seed).integers(0, 2, size=(resamples, clusters.count)).astype(np.float64)
    ours, theirs = kept @ a + (1 - kept) @ b, kept @ b + (1 - kept) @ a
    exchanged = metric.combine(ours, items) - metric.combine(theirs, items)
    extreme = int((np.abs(exchanged) >= abs(value) - 1e-12).sum())
    return Difference(value, low, high, (1 + extreme) / (1 + resamples))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for many tests (Holm 1979), in the order given."""
    corrected = [0.0] * len(p_values)
    worst = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda k: p_values[k])):
        worst = max(worst, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = worst
    return corrected
