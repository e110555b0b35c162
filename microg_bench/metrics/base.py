"""What a metric is: per-item statistics, their sum, and one formula from sums to a score.

Every metric of this package is a function of the sums of per-item statistics. The text is read once, by
`Metric.measure`; any subset, resample or single item is then scored by `Metric.combine` alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from microg_bench import __version__
from microg_bench.options import ScoringOptions
from microg_bench.scorecard import Signature

if TYPE_CHECKING:
    from microg_bench.metrics.texts import Texts

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Score:
    """A metric's answer to one set of candidates.

    Attributes:
        value: the corpus score, times 100.
        per_item: shape (n,), each item scored alone, times 100, in the order of the items.
        statistics: shape (n, k); the metric's `aggregate` scores any choice of its rows.
        notes: what was done to the text that a reader should know, one line each.
    """

    name: str
    value: float
    per_item: Array
    statistics: Array
    signature: Signature
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unavailable:
    """A metric that could not be computed here, and why, in one line."""

    name: str
    reason: str


class SumScore(ABC):
    """A score that is a function of the sums of statistics of items."""

    higher_is_better: ClassVar[bool] = True
    extremes: ClassVar[tuple[float, float]] = (0.0, 100.0)
    """The lowest and the highest possible score, times 100."""

    @classmethod
    @abstractmethod
    def combine(cls, totals: Array, items: Array | float) -> Array:
        """The score, times 100, of summed statistics.

        Args:
            totals: shape (..., k), sums of rows of statistics.
            items: how many rows went into each sum; broadcasts to shape (...).
        """

    @classmethod
    def aggregate(cls, statistics: Array) -> float:
        """The corpus score, times 100, of any rows of statistics, shape (n, k), n at least 1."""
        return float(cls.combine(statistics.sum(axis=0), float(len(statistics))))

    @classmethod
    def per_item(cls, statistics: Array) -> Array:
        """The score, times 100, of each row alone, shape (n,)."""
        return cls.combine(statistics, 1.0)


class Ratio(SumScore):
    """The ratio of two sums, times 100: what was counted, and of how many; NaN where there is none."""

    @classmethod
    def combine(cls, totals: Array, items: Array | float) -> Array:
        """First sum by second, times 100; see `SumScore.combine`."""
        counted, total = totals[..., 0], totals[..., 1]
        found: Array = np.divide(100.0 * counted, total, out=np.full(total.shape, np.nan), where=total != 0)
        return found


@dataclass(frozen=True)
class Metric(SumScore):
    """One way to compare a candidate with its references."""

    options: ScoringOptions = field(default_factory=ScoringOptions)

    name: ClassVar[str]

    @abstractmethod
    def measure(self, texts: Texts) -> Array:
        """Statistics of each item, shape (n, k), float64.

        Raises:
            MetricUnavailableError: a model, a package or Java is missing or does not work.
        """

    def settings(self, texts: Texts) -> Mapping[str, str]:
        """What else moves the number, beside protocol, tokeniser, items and version."""
        return {}

    def notes(self, texts: Texts) -> tuple[str, ...]:
        """What was done to the text that a reader of the score should know."""
        return ()

    def signature(self, texts: Texts) -> Signature:
        """Everything that moves the number for these texts."""
        values = {"protocol": texts.protocol, "tokenizer": texts.tokenizer, **self.settings(texts)}
        values |= {"items": str(len(texts)), "version": __version__}
        return Signature(metric=self.name, values=values)

    def score(self, texts: Texts) -> Score:
        """Measure, aggregate and sign; raises as `measure` does."""
        statistics = self.measure(texts)
        return Score(
            name=self.name,
            value=self.aggregate(statistics),
            per_item=self.per_item(statistics),
            statistics=statistics,
            signature=self.signature(texts),
            notes=self.notes(texts),
        )


class MeanMetric(Metric):
    """A metric whose corpus score is the mean of its items; its one statistic is the item's score, 0 to 1."""

    @classmethod
    def combine(cls, totals: Array, items: Array | float) -> Array:
        """Mean times 100; see `SumScore.combine`."""
        mean: Array = 100.0 * totals[..., 0] / items
        return mean
