"""Texts as arrays of whole numbers, and what numpy lacks or does slowly with such arrays."""

from array import array
from collections import defaultdict
from collections.abc import Iterable
from itertools import count

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def number_words(texts: Iterable[str]) -> tuple[NDArray[np.int32], Ints, list[str]]:
    """The words of texts, parted by white space, as numbers.

    Returns:
        The number of each word, text after text; how many words each text has; the words by their numbers.
    """
    numbers: dict[str, int] = defaultdict(count().__next__)
    words, lengths = array("i"), array("q")
    for text in texts:
        before = len(words)
        words.extend(map(numbers.__getitem__, text.split()))
        lengths.append(len(words) - before)
    return np.frombuffer(words, dtype=np.int32), np.frombuffer(lengths, dtype=np.int64), list(numbers)


def stable_sort(keys: Ints) -> tuple[Ints, Ints]:
    """Whole numbers from 0 in order, and where each was, equal ones in their order."""
    # With the place packed below the key, plain sorting does, several times as fast as a stable one.
    bits = len(keys).bit_length()
    if int(keys.max(initial=0)).bit_length() + bits > 63:
        order = np.argsort(keys, kind="stable")
        return keys[order], order
    packed = keys << bits | np.arange(len(keys))
    packed.sort()
    return packed >> bits, packed & ((1 << bits) - 1)


def stable_argsort(keys: Ints) -> Ints:
    """Where whole numbers from 0 stand in order, equal ones in their order."""
    return stable_sort(keys)[1]


def spread(first: Ints, count: Ints) -> tuple[Ints, Ints]:
    """The rows of many ranges, one range after the other.

    Args:
        first: the first row of each range.
        count: how many rows each has.

    Returns:
        For each row the number of its range, and the row.
    """
    owner = np.repeat(np.arange(len(count)), count)
    rows = np.arange(len(owner)) + (first - (np.cumsum(count) - count))[owner]
    return owner, rows
