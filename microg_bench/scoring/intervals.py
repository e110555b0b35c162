"""Intervals and paired tests, from per-item statistics alone: no text is read again.

Clips of one source video are not independent, so whole clusters (source videos, by default) are resampled.
One set of resamples serves all metrics. CIDEr's document frequencies stay those of the full set.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microg_bench.metrics.base import Array, Ratio, SumScore
from microg_bench.scorecard import IntervalMethod

RESAMPLES = 1000
LEVEL = 0.95
METHOD: IntervalMethod = "symmetric bootstrap-t"
EXACT = 12  # clusters up to which all exchanges are enumerated
TRIES_PER_PAIR = 40
_NUMBERS = 2**22  # statistics or influences that are worked on at a time
BLOCK = 500  # resamples, exchanges or flips that are worked on at a time, for the memory that they take
_STEP = 1e-5  # share by which a sum is moved to find its slope
_NO_ERROR = 1e-6  # points of score; below it is only rounding
TIE = 1e-9  # points by which two values that are equal may be apart
SHOWN = 0.005  # points; a smaller difference is shown as 0.00, and counts as none


@dataclass(frozen=True)
class Clusters:
    """Items grouped by what makes them dependent.

    `member` holds the number of the cluster of each item, shape (n,); `count` how many clusters there are.
    """

    member: NDArray[np.intp]
    count: int

    @classmethod
    def of(cls, labels: Sequence[str] | NDArray[np.intp]) -> Clusters:
        """Group items by label, one label an item."""
        names, member = np.unique(np.asarray(labels), return_inverse=True)
        return cls(member, len(names))

    def sums(self, statistics: Array) -> Array:
        """Statistics summed within each cluster, shape (clusters, k), from shape (n, k)."""
        order = np.argsort(self.member, kind="stable")
        starts = np.searchsorted(self.member, np.arange(self.count), sorter=order)
        return np.add.reduceat(statistics[order], starts, axis=0)

    def sizes(self) -> Array:
        """Items in each cluster, shape (clusters,)."""
        return np.bincount(self.member, minlength=self.count).astype(np.float64)


def resample(clusters: int, resamples: int = RESAMPLES, seed: int = 0) -> Array:
    """How often each cluster is drawn in each resample, with replacement, shape (resamples, clusters)."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples).astype(np.float64)


def interval(
    metric: type[SumScore], statistics: Array, clusters: Clusters, weights: Array
) -> tuple[float, float] | None:
    """The 95% interval of the corpus score, by the symmetric bootstrap-t (Hall 1988).

    Args:
        metric: whose statistics they are.
        statistics: shape (n, k), one row an item.
        clusters: the items' clusters.
        weights: from `with_sample` and `resample`, shape (1 + resamples, clusters).

    Returns:
        Lower and upper bound ×100, cut to the metric's `extremes`. None where there are fewer than two
        clusters, where the score is NaN, and where the interval would hold every possible score.
    """
    if clusters.count < 2:
        return None
    found = linearised(metric, [clusters.sums(statistics)], clusters.sizes(), weights)
    return cut(bootstrap_t(*found), *metric.extremes)


def ratio(
    above: NDArray[Any], below: NDArray[Any], clusters: Clusters, weights: Array
) -> tuple[float, tuple[float, float] | None]:
    """The ratio of two sums over items, NaN where the second is 0, and its 95% interval.

    Args:
        above: what is summed above the line, shape (n,), at most `below`.
        below: what is summed below it, shape (n,).
        clusters: the items' clusters.
        weights: see `interval`.
    """
    statistics = np.column_stack([above, below]).astype(np.float64)
    bounds = interval(Ratio, statistics, clusters, weights)
    counted, total = statistics.sum(axis=0).tolist()
    return counted / total if total else float("nan"), bounds and (bounds[0] / 100, bounds[1] / 100)


def with_sample(weights: Array) -> Array:
    """The weights of the sample itself, each cluster once, before those of its resamples."""
    return np.vstack([np.ones(weights.shape[1]), weights])


def linearised(
    metric: type[SumScore],
    systems: Sequence[Array],
    sizes: Array,
    weights: Array,
    factors: Sequence[float] = (1.0, -1.0),
) -> tuple[Array, Array]:
    """The scores of weighted clusters, and the linearised standard error of each.

    The error is the root of the weighted sum of squared influences, which are the derivatives of the score by
    the weight of each cluster (the infinitesimal jackknife, Jaeckel 1972).

    Args:
        metric: whose statistics they are.
        systems: the statistics of each system summed within each cluster, shape (clusters, k).
        sizes: items in each cluster, shape (clusters,).
        weights: shape (r, clusters).
        factors: by which the score of each system counts in the sum; by default the score of one system, or
            the difference of two.

    Returns:
        Scores and errors ×100, each of shape (r,).
    """
    scores, errors = np.empty(len(weights)), np.empty(len(weights))
    for start in range(0, len(weights), BLOCK):
        part = slice(start, start + BLOCK)
        found = [_influences(metric, np.column_stack([sums, sizes]), weights[part]) for sums in systems]
        scores[part], influences = (
            reduce(np.add, [factor * own for factor, own in zip(factors, every, strict=False)])
            for every in zip(*found, strict=True)
        )
        errors[part] = np.sqrt(np.einsum("rc,rc,rc->r", weights[part], influences, influences))
    return scores, errors


def _influences(metric: type[SumScore], rows: Array, weights: Array) -> tuple[Array, Array]:
    """Scores, shape (r,), and influences of the clusters, shape (r, clusters), by central differences.

    `rows` are the sums of each cluster, its size last.
    """
    totals = weights @ rows
    steps = 1 + _STEP * np.multiply.outer([1, -1], np.eye(rows.shape[1]))[:, :, None, :]
    moved = totals * steps
    above, below = metric.combine(moved[..., :-1], moved[..., -1])
    slopes = np.zeros_like(totals)  # a total of zero is one of zeros: no cluster with a weight has influence
    np.divide((above - below).T, 2 * _STEP * totals, out=slopes, where=totals != 0)
    return metric.combine(totals[:, :-1], totals[:, -1]), slopes @ rows.T


def influences(metric: type[SumScore], statistics: Array) -> Array:
    """What each item adds to the score of all items, ×100, to first order, shape (n,); they sum to 0.

    Args:
        metric: whose statistics they are.
        statistics: shape (n, k), one row an item.
    """
    rows = np.column_stack([statistics, np.ones(len(statistics))])
    found: Array = _influences(metric, rows, np.ones((1, len(rows))))[1][0]
    return found


def bootstrap_t(scores: Array, errors: Array) -> tuple[float, float] | None:
    """The symmetric bootstrap-t interval of the first score; the others are those of resamples.

    A resample without error (all its clusters score the same) lies infinitely far from any other score. One
    whose score is NaN does not count.

    Args:
        scores: shape (1 + resamples,).
        errors: shape (1 + resamples,).

    Returns:
        Lower and upper bound, infinite where too many resamples have no error. None where the first score is
        NaN. Both are that score where it has no error.
    """
    score, errors = float(scores[0]), np.where(errors < _NO_ERROR, 0.0, errors)
    if np.isnan(score) or errors[0] == 0:
        return None if np.isnan(score) else (score, score)
    with np.errstate(divide="ignore", invalid="ignore"):
        distances = np.abs(scores[1:] - score) / errors[1:]
    known = distances[~np.isnan(distances)]
    reach = float(np.quantile(known, LEVEL, method="higher") * errors[0]) if len(known) else np.inf
    return score - reach, score + reach


def cut(found: tuple[float, float] | None, lowest: float, highest: float) -> tuple[float, float] | None:
    """The part of an interval that is possible, None where that is all that is possible."""
    if found is None or (found[0] <= lowest and found[1] >= highest):
        return None
    return max(found[0], lowest), min(found[1], highest)


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

    `interval` is None as that of a score would be. `p` is None where there are fewer than two `clusters`, and
    where the difference is NaN.
    """

    value: float
    interval: tuple[float, float] | None
    p: float | None
    clusters: int


def paired(
    metric: type[SumScore],
    first: Array,
    second: Array,
    clusters: Clusters,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """Compare two systems on the same items, cluster by cluster.

    The interval is that of `interval`, from the same resamples of both systems. The p-value is that of a
    two-sided randomisation test that exchanges the systems' statistics of whole clusters (Noreen 1989): the
    share of the `exchanges` whose difference is at least as large. It is 1 where the difference is below
    `SHOWN`, since no reader can see such a difference.

    Args:
        metric: whose statistics they are.
        first: statistics of system A, shape (n, k).
        second: those of system B, the same items in the same order.
        clusters: the items' clusters.
        resamples: how many bootstrap resamples, and how many exchanges where those are drawn.
        seed: of both.
    """
    (found,) = paired_all(metric, [first, second], clusters, resamples, seed)
    return found


def paired_all(
    metric: type[SumScore],
    systems: Sequence[Array],
    clusters: Clusters,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Difference]:
    """What `paired` finds of all pairs of systems, in the order of `itertools.combinations`.

    What takes long is computed once for each system. Of many pairs, more exchanges are drawn: see `tries_of`.

    Args:
        metric: whose statistics they are.
        systems: the statistics of each, shape (n, k), the same items in the same order.
        clusters: the items' clusters.
        resamples: see `paired`.
        seed: see `paired`.
    """
    sums, sizes = [clusters.sums(one) for one in systems], clusters.sizes()
    scores = [metric.combine(one.sum(axis=0), sizes.sum()) for one in sums]
    values = [float(a - b) for a, b in combinations(scores, 2)]
    if clusters.count < 2:
        return [Difference(value, None, None, clusters.count) for value in values]
    width = metric.extremes[1] - metric.extremes[0]
    weights = with_sample(resample(clusters.count, resamples, seed))
    reaches = (bootstrap_t(*found) for found in _differences(metric, sums, sizes, weights))
    kept = exchanges(clusters.count, tries_of(len(values), resamples), seed)
    p_values = _p_values(metric, np.stack(sums), sizes.sum(), kept, values)
    return [
        Difference(value, None, None, clusters.count)
        if np.isnan(value)
        else Difference(value, cut(reach, -width, width), 1.0 if abs(value) < SHOWN else p, clusters.count)
        for value, reach, p in zip(values, reaches, p_values, strict=True)
    ]


def _differences(
    metric: type[SumScore], systems: Sequence[Array], sizes: Array, weights: Array
) -> Iterator[tuple[Array, Array]]:
    """What `linearised` finds of each pair of systems; the influences of all are computed in parts."""
    pairs = list(combinations(range(len(systems)), 2))
    scores, errors = np.empty((2, len(pairs), len(weights)))
    step = max(1, min(BLOCK, _NUMBERS // (len(systems) * weights.shape[1])))
    for start in range(0, len(weights), step):
        part = slice(start, start + step)
        found = [_influences(metric, np.column_stack([sums, sizes]), weights[part]) for sums in systems]
        for pair, (first, second) in enumerate(pairs):
            (score, influences), (other, others) = found[first], found[second]
            gaps = influences - others
            scores[pair, part] = score - other
            errors[pair, part] = np.sqrt(np.einsum("rc,rc,rc->r", weights[part], gaps, gaps))
    return zip(scores, errors, strict=True)


def _p_values(
    metric: type[SumScore], systems: Array, items: float, kept: Array, values: Sequence[float]
) -> list[float]:
    """The p-value of each pair of systems, whose differences are `values`.

    `systems` has the shape (systems, clusters, k), `kept` is of `exchanges`.
    """
    counts = np.zeros(len(values))
    step = max(1, _NUMBERS // systems[:, 0].size)
    for start in range(0, len(kept), step):
        part = kept[start : start + step]
        own, given = part @ systems, (1 - part) @ systems
        for pair, (a, b) in enumerate(combinations(range(len(systems)), 2)):
            exchanged = metric.combine(own[a] + given[b], items) - metric.combine(own[b] + given[a], items)
            counts[pair] += (~(np.abs(exchanged) < abs(values[pair]) - TIE)).sum()
    return [float(count) / len(kept) for count in counts]


def exchanges(clusters: int, tries: int = RESAMPLES, seed: int = 0) -> Array:
    """Which clusters keep their systems (1) and which exchange them (0), shape (exchanges, clusters).

    All 2^clusters of them for up to 12 clusters; above, none at all and then `tries` random ones. Either way,
    a share of the rows is a p-value (Phipson and Smyth 2010).
    """
    if clusters <= EXACT:
        return (np.arange(2**clusters)[:, None] >> np.arange(clusters) & 1).astype(np.float64)
    return with_sample(np.random.default_rng(seed).integers(0, 2, (tries, clusters)).astype(np.float64))


def tries_of(pairs: int, resamples: int = RESAMPLES) -> int:
    """How many exchanges are drawn for each of so many pairs, whose p-values are corrected together.

    They are enough for the smallest p-value to stay below 0.025 when it is multiplied by the number of pairs.
    """
    return max(resamples, TRIES_PER_PAIR * pairs)


def smallest_p(clusters: int, tries: int = RESAMPLES) -> float:
    """The smallest p-value that `paired` can give: to exchange no cluster is like exchanging all."""
    return 2 / 2**clusters if clusters <= EXACT else 1 / (1 + tries)


def smallest_corrected(clusters: int, pairs: int) -> float:
    """The smallest p-value of so many pairs after Holm's correction; from 0.05, no difference can be told."""
    return min(1.0, pairs * smallest_p(clusters, tries_of(pairs)))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for many tests (Holm 1979), in the order given."""
    corrected = [0.0] * len(p_values)
    worst = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda k: p_values[k])):
        worst = max(worst, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = worst
    return corrected
