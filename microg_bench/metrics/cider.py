"""CIDEr, in the form that captioning papers report under this name: CIDEr-D.

Vedantam et al. 2015, "CIDEr: Consensus-based Image Description Evaluation": cosine of tf-idf vectors of
n-grams, orders 1 to 4, with clipped counts and a Gaussian penalty (sigma 6) on the difference of lengths,
times 10. Lengths are counted in bigrams and document frequencies over the references of the scored set,
as the published numbers have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from microg_bench.metrics.base import Array, MeanMetric

if TYPE_CHECKING:
    from microg_bench.metrics.texts import Texts

_SIGMA = 6.0
_SCALE = 10.0


class Cider(MeanMetric):
    """CIDEr-D. Its statistic is the item's score: document frequencies stay those of the whole set."""

    name = "CIDEr"

    def measure(self, texts: Texts) -> Array:
        """Shape (n, 1); see `Metric.measure`."""
        sums = texts.ngrams
        norms = np.sqrt(sums.candidate_squares)[:, sums.owner] * np.sqrt(sums.reference_squares)
        cosines = np.divide(sums.products, norms, out=np.zeros_like(norms), where=norms > 0).mean(axis=0)
        ours, theirs = (np.maximum(n - 1, 0) for n in (sums.candidate_lengths, sums.reference_lengths))
        gap = (ours[sums.owner] - theirs).astype(np.float64)
        similar = cosines * np.exp(-(gap**2) / (2 * _SIGMA**2))
        means = np.bincount(sums.owner, similar) / np.bincount(sums.owner)
        return _SCALE * means[:, None]

    def settings(self, texts: Texts) -> Mapping[str, str]:
        """The variant of CIDEr; see `Metric.settings`."""
        return {"variant": "CIDEr-D", "sigma": f"{_SIGMA:g}"}
