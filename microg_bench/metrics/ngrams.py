"""Counts of word n-grams, orders 1 to 4, of all candidates and references at once, as numpy tables.

BLEU and CIDEr both read this one table. An n-gram is an integer: the id of its first n-1 words paired
with the id of its last word, renumbered order by order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from microg_bench.metrics.base import Array

Ints = NDArray[np.int64]
ORDERS = 4


@dataclass(frozen=True)
class Rows:
    """One row for each distinct n-gram of each document, sorted by document, then n-gram."""

    document: Ints
    gram: Ints
    count: Array


@dataclass(frozen=True)
class Order:
    """The n-grams of one order.

    `matched` and `partner` are row numbers: the reference rows whose n-gram is in the candidate of the
    same item, and the candidate row of each. `documents_with` counts, for each n-gram, the items that
    have it in any reference.
    """

    candidates: Rows
    references: Rows
    matched: Ints
    partner: Ints
    documents_with: Array


class NgramTable:
    """All n-grams of one evaluation.

    Attributes:
        owner: (references,) the item that each reference belongs to.
        candidate_lengths, reference_lengths: words in each.
        orders: the tables of orders 1 to 4.
    """

    def __init__(self, candidates: Sequence[str], references: Sequence[Sequence[str]]) -> None:
        self.items = len(candidates)
        self.owner = np.repeat(np.arange(self.items), [len(refs) for refs in references])
        documents = [text.split() for text in candidates]
        documents += [text.split() for refs in references for text in refs]
        lengths = np.array([len(words) for words in documents], dtype=np.int64)
        self.candidate_lengths = lengths[: self.items]
        self.reference_lengths = lengths[self.items :]
        self.orders = tuple(self._order(rows) for rows in _count(documents, lengths))

    def _order(self, rows: Rows) -> Order:
        cut = int(np.searchsorted(rows.document, self.items))
        candidates = Rows(rows.document[:cut], rows.gram[:cut], rows.count[:cut])
        references = Rows(rows.document[cut:] - self.items, rows.gram[cut:], rows.count[cut:])
        grams = int(rows.gram.max(initial=-1)) + 1
        ours = candidates.document * grams + candidates.gram
        theirs = self.owner[references.document] * grams + references.gram
        place = np.searchsorted(ours, theirs)
        matched = np.flatnonzero(np.append(ours, -1)[place] == theirs)
        distinct = np.unique(theirs) % max(grams, 1)
        return Order(
            candidates=candidates,
            references=references,
            matched=matched,
            partner=place[matched],
            documents_with=np.bincount(distinct, minlength=grams).astype(np.float64),
        )


def sums(bins: Ints, weights: Array, size: int) -> Array:
    """The sum of the weights that fall in each of `size` bins."""
    return np.bincount(bins, weights, minlength=size).astype(np.float64)


def _count(documents: Sequence[Sequence[str]], lengths: Ints) -> list[Rows]:
    """The rows of each order, over all documents."""
    vocabulary: dict[str, int] = {}
    words = np.array(
        [vocabulary.setdefault(word, len(vocabulary)) for text in documents for word in text], dtype=np.int64
    )
    document = np.repeat(np.arange(len(documents)), lengths)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(words))
    grams, tables = words, []
    for order in range(1, ORDERS + 1):
        starts = np.flatnonzero(left >= order)
        if order > 1:
            longer = grams[starts] * len(vocabulary) + words[starts + order - 1]
            grams = np.full_like(words, -1)
            grams[starts] = np.unique(longer, return_inverse=True)[1]
        tables.append(_rows(document[starts], grams[starts]))
    return tables


def _rows(document: Ints, gram: Ints) -> Rows:
    """Equal pairs of document and n-gram put together and counted."""
    grams = int(gram.max(initial=0)) + 1
    keys, counts = np.unique(document * grams + gram, return_counts=True)
    return Rows(keys // grams, keys % grams, counts.astype(np.float64))
