"""Kendall's tau-b of two scores of the same items, with an interval over clusters of items."""

from dataclasses import dataclass

import numpy as np

from microg_bench.errors import DataError
from microg_bench.metrics.base import Array
from microg_bench.scoring.intervals import RESAMPLES, Clusters, bounds, resample

_MOST = 4000  # items, for the memory that their pairs take


@dataclass(frozen=True)
class RankCorrelation:
    """Kendall's tau-b from -1 to 1 of `items`; None where one of the scores is the same for all.

    `interval` holds the 95% percentiles over resamples of whole clusters; None where there are fewer than
    two.
    """

    tau: float | None
    interval: tuple[float, float] | None
    items: int


def kendall_tau_b(
    first: Array, second: Array, clusters: Clusters, resamples: int = RESAMPLES
) -> RankCorrelation:
    """The rank correlation of two scores (Kendall 1945).

    In a resample an item that is drawn twice is tied with itself.

    Args:
        first: a score of each item, shape (n,), without NaN.
        second: another one of the same items.
        clusters: of the items.
        resamples: of the interval.

    Raises:
        DataError: there are more items than their pairs have memory for.
    """
    count = len(first)
    if count > _MOST:
        raise DataError(f"{count:,} items are too many for a rank correlation; {_MOST:,} are allowed")
    if count < 2:
        return RankCorrelation(None, None, count)
    drawn = np.vstack([np.ones(clusters.count), resample(clusters.count, resamples)])[:, clusters.member]
    x, y = (np.sign(one[:, None] - one[None, :]) for one in (first, second))
    both, alone, other = (_pairs(sign, drawn) for sign in (x * y, x * x, y * y))
    untied = np.sqrt(alone * other)
    taus = np.divide(both, untied, out=np.full(len(both), np.nan), where=untied > 0)
    tau = None if np.isnan(taus[0]) else float(taus[0])
    known = tau is not None and clusters.count > 1
    return RankCorrelation(tau, bounds(taus[1:]) if known else None, count)


def _pairs(sign: Array, weights: Array) -> Array:
    """The sum over pairs of items, each pair as often as both are drawn, shape (resamples,)."""
    found: Array = np.einsum("rn,rn->r", weights @ sign, weights)
    return found
