"""ROUGE-L as the captioning field computes it: longest common subsequence of words, beta 1.2, mean of items.

Words are parted by single spaces, as published: a line break glues two words into one, and two spaces in
a row make an empty word. The subsequence is found with whole-number bit vectors (Hyyrö 2004).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from microg_bench.metrics.base import Array, MeanMetric

if TYPE_CHECKING:
    from microg_bench.metrics.texts import Texts

_BETA = 1.2
_PAIRS_KEPT = 10_000


class RougeL(MeanMetric):
    """ROUGE-L, Lin 2004; with several references, the best precision and the best recall."""

    name = "ROUGE-L"

    def measure(self, texts: Texts) -> Array:
        """Shape (n, 1); see `Metric.measure`."""
        pair_score = lru_cache(_PAIRS_KEPT)(_f_measure)
        tokenized = texts.tokenized
        scores = map(pair_score, tokenized.candidates, tokenized.references)
        return np.fromiter(scores, dtype=np.float64, count=len(texts))[:, None]

    def settings(self, texts: Texts) -> Mapping[str, str]:
        """The weight of recall; see `Metric.settings`."""
        return {"beta": f"{_BETA:g}"}


def _f_measure(candidate: str, references: tuple[str, ...]) -> float:
    words = candidate.split(" ")
    others = [reference.split(" ") for reference in references]
    common = [common_subsequence(words, other) for other in others]
    precision = max(common) / len(words)
    recall = max(length / len(other) for length, other in zip(common, others, strict=True))
    if precision == 0:
        return 0.0
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def common_subsequence(words: Sequence[str], others: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    places: dict[str, int] = defaultdict(int)
    for place, word in enumerate(words):
        places[word] |= 1 << place
    everywhere = (1 << len(words)) - 1
    rows = everywhere
    for word in others:
        if word in places:
            hit = rows & places[word]
            rows = ((rows + hit) | (rows - hit)) & everywhere
    return len(words) - rows.bit_count()
