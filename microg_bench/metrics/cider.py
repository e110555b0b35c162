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
from microg_bench.metrics.ngrams import NgramTable, Order, Rows, sums

if TYPE_CHECKING:
    from microg_bench.metrics.texts import Texts

_SIGMA = 6.0
_SCALE = 10.0


class Cider(MeanMetric):
    """CIDEr-D. Its statistic is the item's score: document frequencies stay those of the whole set."""

    name = "CIDEr"

    def measure(self, texts: Texts) -> Array:
        """Shape (n, 1); see `Metric.measure`."""
        table = texts.ngrams
        cosines = np.mean([_cosines(table, order) for order in table.orders], axis=0)
        gap = np.maximum(table.candidate_lengths - 1, 0)[table.owner] - np.maximum(
            table.reference_lengths - 1, 0
        )
        similar = cosines * np.exp(-(gap.astype(np.float64) ** 2) / (2 * _SIGMA**2))
        means = np.bincount(table.owner, similar) / np.bincount(table.owner)
        return _SCALE * means[:, None]

    def settings(self, texts: Texts) -> Mapping[str, str]:
        """The variant of CIDEr; see `Metric.settings`."""
        return {"variant": "CIDEr-D", "sigma": f"{_SIGMA:g}"}


def _cosines(table: NgramTable, order: Order) -> Array:
    """Clipped cosine of each reference with its candidate, 0 where either has no weight."""
    rarity = np.log(float(table.items)) - np.log(np.maximum(1.0, order.documents_with))
    ours = order.candidates.count * rarity[order.candidates.gram]
    theirs = order.references.count * rarity[order.references.gram]
    common = theirs[order.matched]
    product = sums(
        order.references.document[order.matched],
        np.minimum(ours[order.partner], common) * common,
        len(table.owner),
    )
    norms = _norms(order.candidates, ours, table.items)[table.owner]
    norms = norms * _norms(order.references, theirs, len(table.owner))
    return np.divide(product, norms, out=np.zeros_like(product), where=norms > 0)


def _norms(rows: Rows, weights: Array, documents: int) -> Array:
    return np.sqrt(sums(rows.document, weights**2, documents))
