"""Sums over word n-grams, orders 1 to 4, of all candidates and references: what BLEU and CIDEr are made of.

The n-grams are sorted and counted as whole numbers, in parts that fit a processor's cache: all n-grams with
the same first word are in one part, so that each part knows its document frequencies, and time and memory
grow with the length of the texts alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from microg_bench.metrics.arrays import Ints, number_words, stable_argsort
from microg_bench.metrics.base import Array

ORDERS = 4
_PART = 1 << 18


@dataclass(frozen=True)
class NgramSums:
    """Lengths and sums, one column an item or a reference, one row an order of n-grams.

    Attributes:
        owner: (references,) the item that each reference belongs to.
        candidate_lengths, reference_lengths: words in each.
        matched: (4, items) n-grams of a candidate, each counted as often as one reference has it at most.
        products: (4, references) clipped products of a reference's tf-idf vector with its candidate's.
        candidate_squares, reference_squares: (4, items) and (4, references) squared lengths of these vectors.
    """

    owner: Ints
    candidate_lengths: Ints
    reference_lengths: Ints
    matched: Array
    products: Array
    candidate_squares: Array
    reference_squares: Array


@dataclass(frozen=True)
class _Rows:
    """One row for each distinct n-gram of each document, sorted by document, then n-gram."""

    document: Ints
    gram: Ints
    count: Array


def ngram_sums(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> NgramSums:
    """Read the texts, one candidate and at least one reference an item; words are parted by white space."""
    items = len(candidates)
    owner = np.repeat(np.arange(items), [len(refs) for refs in references])
    words, lengths, _ = number_words([*candidates, *(text for refs in references for text in refs)])
    sums = NgramSums(
        owner=owner,
        candidate_lengths=lengths[:items],
        reference_lengths=lengths[items:],
        matched=np.zeros((ORDERS, items)),
        products=np.zeros((ORDERS, len(owner))),
        candidate_squares=np.zeros((ORDERS, items)),
        reference_squares=np.zeros((ORDERS, len(owner))),
    )
    for order, rows in _parts(words, lengths):
        _add(sums, order, rows)
    return sums


def _parts(words: NDArray[np.int32], lengths: Ints) -> Iterator[tuple[int, _Rows]]:
    """The rows of each part and order."""
    part = (np.cumsum(np.bincount(words)) // _PART).astype(np.uint16)[words]
    places = np.argsort(part, kind="stable")
    cuts = np.cumsum(np.bincount(part))[:-1]
    del part
    document = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    ends = np.cumsum(lengths)
    for starts in np.split(places, cuts):
        yield from enumerate(_orders(words, document[starts].astype(np.int64), ends, starts))


def _orders(
    words: NDArray[np.int32], document: Ints, ends: Ints, starts: NDArray[np.intp]
) -> Iterator[_Rows]:
    """The rows of each order, of the n-grams that start at some places, in the document of each."""
    vocabulary = int(words.max(initial=0)) + 1
    grams = words[starts].astype(np.int64)
    grams -= grams.min(initial=vocabulary)  # the words of a part have neighbouring numbers
    yield _counted(document, grams)
    for order in range(1, ORDERS):
        long = starts + order < ends[document]
        starts, document, grams = starts[long], document[long], grams[long]
        grams = _ranks(grams * vocabulary + words[starts + order])
        yield _counted(document, grams)


def _ranks(keys: Ints) -> Ints:
    """The rank of each key among the different keys."""
    order = stable_argsort(keys)
    ordered = keys[order]
    ranks = np.empty_like(keys)
    ranks[order] = np.cumsum(np.diff(ordered, prepend=ordered[:1]) > 0)
    return ranks


def _counted(document: Ints, gram: Ints) -> _Rows:
    """Equal pairs of document and n-gram put together and counted."""
    grams = int(gram.max(initial=0)) + 1
    keys, counts = np.unique(document * grams + gram, return_counts=True)
    rows = keys // grams
    return _Rows(rows, keys - rows * grams, counts.astype(np.float64))


def _add(sums: NgramSums, order: int, rows: _Rows) -> None:
    """Add the n-grams of one part to the sums of their order."""
    items = len(sums.candidate_lengths)
    grams = int(rows.gram.max(initial=0)) + 1
    cut = int(np.searchsorted(rows.document, items))
    ours = _Rows(rows.document[:cut], rows.gram[:cut], rows.count[:cut])
    theirs = _Rows(rows.document[cut:] - items, rows.gram[cut:], rows.count[cut:])
    # N-grams by item: a reference shares a key with the candidate of its item.
    our_keys, their_keys = (
        ours.document * grams + ours.gram,
        sums.owner[theirs.document] * grams + theirs.gram,
    )

    items_with = np.bincount(_distinct(their_keys) % grams, minlength=grams)
    rarity = np.log(float(items)) - np.log(np.maximum(1.0, items_with))
    our_weights, their_weights = ours.count * rarity[ours.gram], theirs.count * rarity[theirs.gram]
    np.add.at(sums.candidate_squares[order], ours.document, our_weights**2)
    np.add.at(sums.reference_squares[order], theirs.document, their_weights**2)

    row = np.searchsorted(our_keys, their_keys)
    shared = np.flatnonzero(np.append(our_keys, -1)[row] == their_keys)
    partner = row[shared]  # the candidate's row of each shared n-gram
    most = np.zeros(cut)
    np.maximum.at(most, partner, theirs.count[shared])
    np.add.at(sums.matched[order], ours.document, np.minimum(most, ours.count))
    clipped = np.minimum(our_weights[partner], their_weights[shared])
    np.add.at(sums.products[order], theirs.document[shared], clipped * their_weights[shared])


def _distinct(keys: Ints) -> Ints:
    """The different keys. They come almost in order, where sorting beats the hash table of `numpy.unique`."""
    ordered = np.sort(keys, kind="stable")
    return ordered[np.diff(ordered, prepend=-1) > 0]
