"""Sums over word n-grams, orders 1 to 4, of all candidates and references: what BLEU and CIDEr are made of.

The n-grams are sorted and counted as whole numbers, in parts that fit a processor's cache: all n-grams with
the same first word are in one part, so that each part knows its document frequencies, and time and memory
grow with the length of the texts alone.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from microg_bench.metrics.base import Array

Ints = NDArray[np.int64]
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
    words, lengths = _words([*candidates, *(text for refs in references for text in refs)])
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


def _words(texts: Sequence[str]) -> tuple[NDArray[np.int32], Ints]:
    """The number of each word, text after text, and how many words each text has."""
    numbers: dict[str, int] = defaultdict(count().__next__)
    words, lengths = array("i"), array("q")
    for text in texts:
        before = len(words)
        words.extend(map(numbers.__getitem__, text.split()))
        lengths.append(len(words) - before)
    return np.frombuffer(words, dtype=np.int32), np.frombuffer(lengths, dtype=np.int64)


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
    # With the place packed below the key, plain sorting does, which is several times as fast as `argsort`.
    bits = len(keys).bit_length()
    if int(keys.max(initial=0)).bit_length() + bits > 63:
        return np.unique(keys, return_inverse=True)[1]
    ordered = keys << bits | np.arange(len(keys))
    ordered.sort()
    places = ordered & ((1 << bits) - 1)
    ordered >>= bits
    ranks = np.empty_like(keys)
    ranks[places] = np.cumsum(np.diff(ordered, prepend=ordered[:1]) > 0)
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
    cut = int(np.searchsorted(rows.document, items))
    grams = int(rows.gram.max(initial=-1)) + 1
    item, our_gram, our_count = rows.document[:cut], rows.gram[:cut], rows.count[:cut]
    reference, their_gram, their_count = rows.document[cut:] - items, rows.gram[cut:], rows.count[cut:]
    theirs = sums.owner[reference] * grams + their_gram
    frequency = np.bincount(_distinct(theirs) % max(grams, 1), minlength=grams)
    rarity = np.log(float(items)) - np.log(np.maximum(1.0, frequency))
    our_weight, their_weight = our_count * rarity[our_gram], their_count * rarity[their_gram]
    ours = item * grams + our_gram
    place = np.searchsorted(ours, theirs)
    common = np.flatnonzero(np.append(ours, -1)[place] == theirs)
    partner = place[common]

    most = np.zeros(cut)
    np.maximum.at(most, partner, their_count[common])
    weight = np.minimum(our_weight[partner], their_weight[common]) * their_weight[common]
    np.add.at(sums.matched[order], item, np.minimum(most, our_count))
    np.add.at(sums.products[order], reference[common], weight)
    np.add.at(sums.candidate_squares[order], item, our_weight**2)
    np.add.at(sums.reference_squares[order], reference, their_weight**2)


def _distinct(keys: Ints) -> Ints:
    """The different keys. They come almost in order, where sorting beats the hash table of `numpy.unique`."""
    ordered = np.sort(keys, kind="stable")
    return ordered[np.diff(ordered, prepend=-1) > 0]
