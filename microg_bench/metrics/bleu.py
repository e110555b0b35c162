"""BLEU-1 to BLEU-4 as the captioning field computes them: nearest reference length, tiny smoothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from microg_bench.metrics.base import Array, Metric
from microg_bench.metrics.ngrams import ORDERS, NgramSums

if TYPE_CHECKING:
    from microg_bench.metrics.texts import Texts

# The constants with which pycocoevalcap keeps 0/0 finite; they are part of the published numbers.
_TINY = 1e-15
_SMALL = 1e-9


class Bleu(Metric):
    """Papineni et al. 2002. Statistics: length of candidate and reference, n-grams matched, all n-grams."""

    order: ClassVar[int]

    def measure(self, texts: Texts) -> Array:
        """Shape (n, 10); see `Metric.measure`."""
        sums = texts.ngrams
        lengths = sums.candidate_lengths.astype(np.float64)
        possible = [np.maximum(lengths - order, 0.0) for order in range(ORDERS)]
        return np.stack([lengths, _closest_lengths(sums), *sums.matched, *possible], axis=1)

    @classmethod
    def combine(cls, totals: Array, items: Array | float) -> Array:
        """Geometric mean of the precisions times the brevity penalty, times 100; see `Metric.combine`."""
        precisions = (totals[..., 2:6] + _TINY) / (totals[..., 6:10] + _SMALL)
        mean = np.prod(precisions[..., : cls.order], axis=-1) ** (1.0 / cls.order)
        ratio = (totals[..., 0] + _TINY) / (totals[..., 1] + _SMALL)
        score: Array = 100.0 * mean * np.exp(np.minimum(0.0, 1.0 - 1.0 / ratio))
        return score


def _closest_lengths(sums: NgramSums) -> Array:
    """The length of each item's reference nearest to its candidate's; of two as near, the shorter."""
    distance = np.abs(sums.reference_lengths - sums.candidate_lengths[sums.owner])
    best_first = np.lexsort((sums.reference_lengths, distance, sums.owner))
    first = np.searchsorted(sums.owner, np.arange(len(sums.candidate_lengths)))
    return sums.reference_lengths[best_first][first].astype(np.float64)


class Bleu1(Bleu):
    """BLEU with single words."""

    name = "BLEU-1"
    order = 1


class Bleu2(Bleu):
    """BLEU with up to pairs of words."""

    name = "BLEU-2"
    order = 2


class Bleu3(Bleu):
    """BLEU with up to three words."""

    name = "BLEU-3"
    order = 3


class Bleu4(Bleu):
    """BLEU with up to four words."""

    name = "BLEU-4"
    order = 4
