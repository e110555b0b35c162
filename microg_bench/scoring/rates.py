"""Rates with intervals: a share of independent items, and the rate that an imperfect judge tells of.

The corrected rate is that of Rogan and Gladen (1978), its interval that of Lang and Reiczigel (2014), as Lee
et al. use it for judges (arXiv 2511.21140). Items count as independent here.
"""

from dataclasses import dataclass
from statistics import NormalDist

from microg_bench.scoring.intervals import LEVEL


@dataclass(frozen=True)
class Proportion:
    """How many of so many; `of` may be 0."""

    count: int
    of: int

    @property
    def value(self) -> float | None:
        """From 0 to 1; None of nothing."""
        return self.count / self.of if self.of else None

    def interval(self, level: float = LEVEL) -> tuple[float, float] | None:
        """The interval of Wilson (1927), from 0 to 1; None of nothing."""
        if not self.of:
            return None
        z, n, p = normal_quantile(level), self.of, self.count / self.of
        middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        reach = z / (1 + z**2 / n) * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
        return max(0.0, middle - reach), min(1.0, middle + reach)


def normal_quantile(level: float) -> float:
    """How many standard errors an interval of this level reaches to each side."""
    return NormalDist().inv_cdf((1 + level) / 2)


@dataclass(frozen=True)
class CorrectedRate:
    """A rate from 0 to 1 that is corrected by the errors of who judged, with its interval."""

    value: float
    interval: tuple[float, float]


def corrected_rate(
    judged: Proportion, specificity: Proportion, sensitivity: Proportion, level: float = LEVEL
) -> CorrectedRate | None:
    """The share of right answers, by the share that a judge called right and by how the judge errs.

    Args:
        judged: the answers that the judge called right, of all that it judged.
        specificity: the wrong answers that it did not call right, of those that people called wrong.
        sensitivity: the right answers that it called right, of those that people called right.
        level: of the interval.

    Returns:
        Rate and interval, cut to 0 and 1. None where one of the shares is of nothing, or where the judge is
        no better than chance: specificity and sensitivity come to 1 or less, as they are or as the interval
        smooths them.
    """
    if not (judged.of and specificity.of and sensitivity.of):
        return None
    p, q0, q1 = (one.count / one.of for one in (judged, specificity, sensitivity))
    smoothed = _interval(judged, specificity, sensitivity, normal_quantile(level))
    if q0 + q1 <= 1 or smoothed is None:
        return None
    low, high = map(_cut, smoothed)
    return CorrectedRate(_cut((p + q0 - 1) / (q0 + q1 - 1)), (low, high))


def _interval(
    judged: Proportion, specificity: Proportion, sensitivity: Proportion, z: float
) -> tuple[float, float] | None:
    """Equations (4) to (6) of Lee et al.: each share is moved to the middle before its variance is taken."""
    n, m0, m1 = judged.of + z**2, specificity.of + 2, sensitivity.of + 2
    p, q0, q1 = (judged.count + z**2 / 2) / n, (specificity.count + 1) / m0, (sensitivity.count + 1) / m1
    better = q0 + q1 - 1
    if better <= 0:
        return None
    rate = (p + q0 - 1) / better
    v0, v1 = q0 * (1 - q0) / m0, q1 * (1 - q1) / m1
    moved = rate + 2 * z**2 * (rate * v1 - (1 - rate) * v0)
    error = (p * (1 - p) / n + (1 - rate) ** 2 * v0 + rate**2 * v1) ** 0.5 / better
    return moved - z * error, moved + z * error


def _cut(rate: float) -> float:
    return min(1.0, max(0.0, rate))
