"""BLEU, CIDEr and ROUGE-L as the captioning field computes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from microg_bench.metrics.base import Array, MeanMetric, Metric
from microg_bench.metrics.ngrams import ORDERS, NgramSums
from microg_bench.metrics.texts import sameness
from microg_bench.text import many

if TYPE_CHECKING:
    from microg_bench.metrics.texts import Texts

# The constants with which pycocoevalcap keeps 0/0 of BLEU finite; they are part of the published numbers.
_TINY = 1e-15
_SMALL = 1e-9
LEAST_SHOWN = 0.005  # what rounds to 0.01
_SIGMA = 6.0  # of CIDEr's penalty on a difference of lengths
_BETA = 1.2  # weight of recall in ROUGE-L
_PAIRS_KEPT = 10_000
# Of ROUGE-L: two texts of so many words take some tenths of a second.
MAX_WORDS = 2**15


class Bleu(Metric):
    """Papineni et al. 2002, nearest reference length. Statistics: lengths, n-grams matched, all n-grams."""

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

    def notes(self, texts: Texts) -> tuple[str, ...]:
        """The highest score that there can be, where no reference is long enough; see `Metric.notes`."""
        longest = int(texts.ngrams.reference_lengths.max(initial=0))
        if longest >= self.order:
            return ()
        best = 100.0 * (_TINY / _SMALL) ** ((self.order - longest) / self.order)
        most = f"{best:.2f} at most" if best >= LEAST_SHOWN else "can only be 0"
        return (f"{most} here: no reference has {many(self.order, 'word')}",)


def _closest_lengths(sums: NgramSums) -> Array:
    """The length of each item's reference nearest to its candidate's; of two as near, the shorter."""
    distance = np.abs(sums.reference_lengths - sums.candidate_lengths[sums.owner])
    best_first = np.lexsort((sums.reference_lengths, distance, sums.owner))
    first = np.searchsorted(sums.owner, np.arange(len(sums.candidate_lengths)))
    return sums.reference_lengths[best_first][first].astype(np.float64)


class Bleu1(Bleu):
    """BLEU with single words."""

    name, order = "BLEU-1", 1


class Bleu2(Bleu):
    """BLEU with up to pairs of words."""

    name, order = "BLEU-2", 2


class Bleu3(Bleu):
    """BLEU with up to three words."""

    name, order = "BLEU-3", 3


class Bleu4(Bleu):
    """BLEU with up to four words."""

    name, order = "BLEU-4", 4


class Cider(MeanMetric):
    """CIDEr-D, Vedantam et al. 2015. Its statistic is the item's score.

    Cosine of tf-idf vectors of n-grams, orders 1 to 4, with clipped counts and a Gaussian penalty on the
    difference of lengths, times 10. Lengths are counted in bigrams and document frequencies over the
    references of the scored set, as the published numbers have it; a resample keeps those of the whole set.
    """

    name, extremes = "CIDEr", (0.0, 1000.0)

    def measure(self, texts: Texts) -> Array:
        """Shape (n, 1); see `Metric.measure`."""
        sums = texts.ngrams
        norms = np.sqrt(sums.candidate_squares)[:, sums.owner] * np.sqrt(sums.reference_squares)
        cosines = np.divide(sums.products, norms, out=np.zeros_like(norms), where=norms > 0).mean(axis=0)
        ours, theirs = (np.maximum(n - 1, 0) for n in (sums.candidate_lengths, sums.reference_lengths))
        gap = (ours[sums.owner] - theirs).astype(np.float64)
        similar = cosines * np.exp(-(gap**2) / (2 * _SIGMA**2))
        means = np.bincount(sums.owner, similar) / np.bincount(sums.owner)
        return 10.0 * means[:, None]

    def settings(self, texts: Texts) -> Mapping[str, str]:
        """The variant of CIDEr; see `Metric.settings`."""
        return {"variant": "CIDEr-D", "sigma": f"{_SIGMA:g}"}

    def notes(self, texts: Texts) -> tuple[str, ...]:
        """Whether each n-gram is in the references of every item, so that none has a weight."""
        if texts.ngrams.reference_squares.any():
            return ()
        why = sameness(texts.tokenized.references) or "the references have the same words"
        return (f"can only be 0 here: {why}",)


class RougeL(MeanMetric):
    """ROUGE-L, Lin 2004; with several references, the best precision and the best recall.

    Words are parted by single spaces, as published: a line break glues two words into one, and two spaces in
    a row make an empty word. The time for a pair grows with the product of its lengths. Beyond `MAX_WORDS`
    squared, both texts are cut to that many words.
    """

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

    def notes(self, texts: Texts) -> tuple[str, ...]:
        """How many pairs of texts were cut; see `Metric.notes`."""
        tokenized = texts.tokenized
        pairs = zip(tokenized.candidates, tokenized.references, strict=True)
        cut = sum(_too_long(text, other) for text, references in pairs for other in references)
        return (f"{cut} pair(s) of texts cut to their first {MAX_WORDS:,} words",) if cut else ()


def _too_long(candidate: str, reference: str) -> bool:
    return (candidate.count(" ") + 1) * (reference.count(" ") + 1) > MAX_WORDS**2


def _f_measure(candidate: str, references: tuple[str, ...]) -> float:
    shares = [_shares(candidate, reference) for reference in references]
    precision, recall = max(share for share, _ in shares), max(share for _, share in shares)
    if precision == 0:
        return 0.0
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def _shares(candidate: str, reference: str) -> tuple[float, float]:
    """The length of the longest common subsequence as a share of the candidate and of the reference."""
    ours, theirs = candidate.split(" "), reference.split(" ")
    if _too_long(candidate, reference):
        ours, theirs = ours[:MAX_WORDS], theirs[:MAX_WORDS]
    common = _common_subsequence(*sorted((ours, theirs), key=len))
    return common / len(ours), common / len(theirs)


def _common_subsequence(words: Sequence[str], others: Sequence[str]) -> int:
    """Length of the longest common subsequence, by whole-number bit vectors (Hyyrö 2004).

    The vectors have a bit for each of `words`, so these should be the fewer.
    """
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
