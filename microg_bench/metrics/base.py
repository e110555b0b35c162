"""What a metric is: per-item statistics, their sum, and one formula from sums to a score.

Every metric of this room is a function of the sums of per-item statistics. The text is read once, by
`Metric.measure`; any subset, resample or single item is then scored by `Metric.combine` alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from microg_bench import __version__

if TYPE_CHECKING:
    from microg_bench.metrics.texts import Texts

Array = NDArray[np.float64]

_SHORT = {
    "protocol": "p",
    "model": "m",
    "layers": "l",
    "idf": "idf",
    "rescaled": "r",
    "dtype": "d",
    "items": "n",
    "version": "v",
}
# Parts of a signature, long and short, that tell what computed a score, not what is computed.
_VERSIONS = ("version", "v", "torch", "transformers", "sentence-transformers")
# What a short signature leaves out, since it goes without saying.
_USUAL = {"idf": "no", "rescaled": "no", "dtype": "float32"}


@dataclass(frozen=True)
class MetricOptions:
    """What a user may choose about how metrics are computed.

    Args:
        sentence_model: folder of the sentence encoder of S-BERT and S-VQA; None looks for all-MiniLM-L6-v2.
        bertscore_model: folder of the encoder of BERTScore; None looks for roberta-large.
        bertscore_layers: the layer of that encoder to read, counted from 1; None takes the published one.
        bertscore_idf: weight BERTScore's tokens by inverse document frequency over the evaluated references.
        bertscore_rescale: rescale BERTScore by the published baseline, so that unrelated texts score about 0.
        bf16: run both encoders in bfloat16 instead of float32; moves an item's score by some tenths at most.
        device: torch device of both encoders; None takes a GPU where there is one.
    """

    sentence_model: Path | None = None
    bertscore_model: Path | None = None
    bertscore_layers: int | None = None
    bertscore_idf: bool = False
    bertscore_rescale: bool = False
    bf16: bool = False
    device: str | None = None


@dataclass(frozen=True)
class Signature:
    """Everything that moves a number, so that two numbers are compared only where they may be."""

    metric: str
    values: Mapping[str, str]

    def long(self) -> str:
        """All parts with their full names, e.g. ``CIDEr|protocol:paper|...|items:1237|version:0.1.0``."""
        return "|".join([self.metric, *(f"{name}:{value}" for name, value in self.values.items())])

    def short(self) -> str:
        """The parts that usually differ, e.g. ``CIDEr|p:paper|n:1237|v:0.1.0``."""
        parts = [
            f"{short}:{self.values[name]}"
            for name, short in _SHORT.items()
            if name in self.values and self.values[name] != _USUAL.get(name)
        ]
        return "|".join([self.metric, *parts])

    def __str__(self) -> str:
        return self.short()


def same_but_versions(one: str, other: str) -> bool:
    """Whether two signatures, of one form, have the same parts and differ in nothing but versions."""
    parts = zip_longest(one.split("|"), other.split("|"), fillvalue="")
    return all(a == b or a.partition(":")[0] == b.partition(":")[0] in _VERSIONS for a, b in parts)


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


@dataclass(frozen=True)
class Metric(ABC):
    """One way to compare a candidate with its references."""

    options: MetricOptions = field(default_factory=MetricOptions)

    name: ClassVar[str]
    higher_is_better: ClassVar[bool] = True

    @abstractmethod
    def measure(self, texts: Texts) -> Array:
        """Statistics of each item, shape (n, k), float64.

        Raises:
            MetricUnavailableError: a model, a package or Java is missing or does not work.
        """

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

    def settings(self, texts: Texts) -> Mapping[str, str]:
        """What else moves the number, beside protocol, tokeniser, items and version."""
        return {}

    def notes(self, texts: Texts) -> tuple[str, ...]:
        """What was done to the text that a reader of the score should know."""
        return ()

    def signature(self, texts: Texts) -> Signature:
        """Everything that moves the number for these texts."""
        values = {"protocol": texts.protocol, "tokenizer": texts.tokenizer, **self.settings(texts)}
        return Signature(self.name, {**values, "items": str(len(texts)), "version": __version__})

    def score(self, texts: Texts) -> Score:
        """Measure, aggregate and sign.

        Raises:
            MetricUnavailableError: as `measure`.
        """
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
        """Mean times 100; see `Metric.combine`."""
        mean: Array = 100.0 * totals[..., 0] / items
        return mean
