"""METEOR 1.5, English, its ``-norm`` tokens: alignments by the published jar, the final formula by us.

Denkowski and Lavie 2014, "Meteor Universal". The jar turns a candidate and its references into 23 counts;
scores of items, sets and resamples follow from their sums.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from microg_bench.metrics.alignments import MAX_CHARACTERS, MAX_WORDS, Alignments, as_sent, clean
from microg_bench.metrics.base import Array, Metric
from microg_bench.metrics.texts import Texts

# The jar's parameters for English, and its weights of exact, stem, synonym and paraphrase matches.
_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.20, 0.60, 0.75
_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])
_CHUNKS = 20


@dataclass(frozen=True)
class Meteor(Metric):
    """METEOR 1.5. Statistics: the jar's counts, with no chunk for a perfect item, as the jar sums them.

    Args:
        options: not used.
        alignments: where they are being computed for several sets; None computes them when they are needed.
    """

    alignments: Alignments | None = None

    name = "METEOR"

    def measure(self, texts: Texts) -> Array:
        """Shape (n, 23); see `Metric.measure`."""
        if self.alignments is None:
            with Alignments([texts]) as alone:
                return _without_perfect_chunks(alone.counts(texts))
        return _without_perfect_chunks(self.alignments.counts(texts))

    @classmethod
    def combine(cls, totals: Array, items: Array | float) -> Array:
        """Weighted harmonic mean of precision and recall, less the fragmentation; see `Metric.combine`."""
        stages = totals[..., 4:20].reshape(*totals.shape[:-1], 4, 2, 2)
        matched = _WEIGHTS @ (_DELTA * stages[..., 0, :] + (1 - _DELTA) * stages[..., 1, :])
        words, function = totals[..., 0:2], totals[..., 2:4]
        weighted = _DELTA * (words - function) + (1 - _DELTA) * function
        with np.errstate(divide="ignore", invalid="ignore"):
            precision, recall = np.moveaxis(matched / weighted, -1, 0)
            mean = 1.0 / ((1 - _ALPHA) / precision + _ALPHA / recall)
            fragmentation = totals[..., _CHUNKS] / (totals[..., 21:23].sum(axis=-1) / 2)
            score = mean * (1 - _GAMMA * fragmentation**_BETA)
        points: Array = 100.0 * np.maximum(np.nan_to_num(score, nan=0.0), 0.0)
        return points

    def settings(self, texts: Texts) -> Mapping[str, str]:
        """Version and flags of the jar; see `Metric.settings`."""
        return {"jar": "1.5", "flags": "-l en -norm"}

    def notes(self, texts: Texts) -> tuple[str, ...]:
        """How many texts were cut to the limit; see `Metric.notes`."""
        sent = [*texts.tokenized.candidates, *(text for refs in texts.tokenized.references for text in refs)]
        # A text of fewer characters has not that many words.
        cut = sum(as_sent(text) != clean(text) for text in sent if len(text) >= 2 * MAX_WORDS)
        if not cut:
            return ()
        return (f"{cut} text(s) cut to their first {MAX_WORDS} words and {MAX_CHARACTERS} characters",)


def _without_perfect_chunks(counts: Array) -> Array:
    """Counts less the chunk of items whose words all match in one, which the jar leaves out of its sums."""
    matches = counts[:, 4:20].reshape(-1, 4, 2, 2).sum(axis=(1, 2))
    perfect = (matches == counts[:, 0:2]).all(axis=1) & (counts[:, _CHUNKS] == 1)
    counts[perfect, _CHUNKS] = 0
    return counts
