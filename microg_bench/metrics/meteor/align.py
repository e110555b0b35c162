"""The beam search for METEOR's alignments (Denkowski and Lavie 2011), as in the jar, for many pairs at once.

The words of a reference are visited from left to right. A state is a partial alignment; at each word it
branches into every match that begins there and uses no used word, and into none. The states of a pair are
kept in the order of their costs: the largest gain first, then the fewest chunks, then the smallest distance
between matched words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import reduce
from operator import or_

import numpy as np
from numpy.typing import NDArray

from microg_bench.metrics.arrays import Ints, spread, stable_argsort

EXACT, STEM, SYNONYM, PARAPHRASE = range(4)
_BEAM = 40
_BATCH = 10_000
_CLOSED = -1
_NOWHERE = -2
# The row of no match, counted from the end.
_NONE = -1
# The k lowest bits of 64.
_LOWEST = np.array([(1 << k) - 1 for k in range(65)], dtype=np.uint64)


@dataclass(frozen=True)
class Matches:
    """Matches between texts, one a row: a stage, words of the reference and words of the candidate.

    Rows are sorted by pair, then `start`, then the order in which the jar tries them. All columns have shape
    (matches,); ends are exclusive.
    """

    pair: Ints
    stage: Ints
    start: Ints
    end: Ints
    candidate_start: Ints
    candidate_end: Ints

    def __len__(self) -> int:
        return len(self.pair)

    def __getitem__(self, rows: Ints | NDArray[np.bool_]) -> Matches:
        return Matches(*(getattr(self, column.name)[rows] for column in fields(self)))


@dataclass(frozen=True)
class _States:
    """Partial alignments, one a row, in the order of pairs and costs.

    Attributes:
        cost: what they are ordered by, as one number.
        used: words of the candidate in matches, as bits, shape (states × blocks of 64); only of words that
            several matches cover, since no match can lack another.
        chunk: where the candidate would continue the open chunk, `_CLOSED` without one.
        behind: the first word of the reference behind the last match.
    """

    pair: Ints
    cost: Ints
    used: NDArray[np.uint64]
    chunk: Ints
    behind: Ints


def best_alignments(matches: Matches) -> Matches:
    """The matches that are in the best alignment of their pair."""
    chosen = np.zeros(len(matches), dtype=np.bool_)
    for rows in _batches(matches):
        chosen[rows[_Search(matches[rows]).best()]] = True
    return matches[chosen]


def _batches(matches: Matches) -> Iterator[Ints]:
    """The rows of some pairs at a time, those with like numbers of matches together."""
    first = np.flatnonzero(np.diff(matches.pair, prepend=-1))
    count = np.diff(first, append=len(matches))
    order = np.argsort(count, kind="stable")
    batch = np.cumsum(count[order]) // _BATCH
    for part in np.split(order, np.flatnonzero(np.diff(batch)) + 1):
        if len(part):
            yield spread(first[part], count[part])[1]


class _Search:
    """The search in one batch of pairs, which are numbered from 0 here."""

    def __init__(self, matches: Matches) -> None:
        """Read the matches, at least one, and tell what each of them adds to a state."""
        self._matches = matches
        self._pair = np.cumsum(np.diff(matches.pair, prepend=matches.pair[0]) != 0)
        self._pairs = int(self._pair[-1]) + 1
        self._width = int(matches.end.max()) + 1
        distance = np.abs(matches.start - matches.candidate_start)
        # One chunk costs more than all distances, and a gain of 1 is worth more than all chunks.
        self._chunk = int(np.bincount(self._pair, distance).max()) + 1
        gain = _gains(matches) * self._chunk * (self._width + 1)
        # The last row stands for no match.
        self._distance, self._gain = np.append(distance, 0), np.append(gain, 0)
        self._begins = np.append(matches.candidate_start, _NOWHERE)
        before, after = self._contested(matches.start, matches.end)
        low, high = self._contested(matches.candidate_start, matches.candidate_end)
        self._block = np.append(low >> 6, 0)
        # No match covers words in more than two blocks, and most cover them in one.
        covered = [np.append(bits, np.uint64(0)) for bits in _bits(low & 63, high - low)]
        self._covered = covered[: 1 + bool(covered[1].any())]
        self._blocks = int(self._block.max()) + len(self._covered)
        # A match whose words no other match covers is in every alignment, even without gain.
        self._fixed = (before == after) & (low == high)

    def best(self) -> Ints:
        """The rows of the matches in the best alignments."""
        pairs = np.arange(self._pairs)
        unused = np.zeros(self._pairs * self._blocks, dtype=np.uint64)
        states = _States(pairs, 0 * pairs, unused, 0 * pairs + _CLOSED, 0 * pairs)
        history = []
        for word, first, count in zip(*self._turns(), strict=True):
            states, parent, row = self._advance(states, word, first, count)
            history.append((parent, row))
        state = np.searchsorted(states.pair, pairs)
        rows = []
        for parent, row in reversed(history):
            rows.append(row[state])
            state = parent[state]
        found: Ints = np.concatenate(rows)
        return np.extract(found != _NONE, found)

    def _turns(self) -> tuple[Ints, Ints, Ints]:
        """The words where a match begins or one may end, one a turn, shape (turns, pairs) each.

        Returns:
            The word; the first row of the matches that begin there; their number. A pair without another word
            gets one behind all, where nothing changes.
        """
        begin = self._pair * self._width + self._matches.start
        keys = np.unique(np.concatenate((begin, self._pair * self._width + self._matches.end)))
        pair, word = np.divmod(keys, self._width)
        first = np.searchsorted(begin, keys)
        count = np.searchsorted(begin, keys, side="right") - first
        turn = np.arange(len(keys)) - np.searchsorted(pair, np.arange(self._pairs))[pair]
        words, firsts, counts = (np.full((turn.max() + 1, self._pairs), fill) for fill in (self._width, 0, 0))
        words[turn, pair], firsts[turn, pair], counts[turn, pair] = word, first, count
        return words, firsts, counts

    def _advance(self, states: _States, word: Ints, first: Ints, count: Ints) -> tuple[_States, Ints, Ints]:
        """The states after one turn; for each the state it comes from and the match it took, or `_NONE`."""
        waiting = states.behind > word[states.pair]  # inside of a longer match
        first = first[states.pair]
        options = np.where(waiting, 0, count[states.pair])
        # The branches of each state: the matches in their order, then none of them.
        branches = options + 1
        parent, row = spread(first, branches)
        none = np.cumsum(branches) - 1
        row[none] = _NONE
        block = parent * self._blocks + self._block.take(row)
        shared = [
            states.used.take(block + place) & bits.take(row) for place, bits in enumerate(self._covered)
        ]
        allowed = reduce(or_, shared) == 0

        # The jar adds the distance of a match to the branches after it, not to its own.
        distance = self._distance.take(row) * allowed
        distance = np.cumsum(distance) - distance
        ends = (states.chunk != _CLOSED) & ~waiting  # unless the next match goes on
        cost = (states.cost + ends * self._chunk - distance[none - options]).take(parent) + distance
        goes_on = states.chunk.take(parent) == self._begins.take(row)
        cost -= self._gain.take(row) + goes_on * self._chunk

        allowed[none[(options > 0) & self._fixed[np.where(options > 0, first, 0)]]] = False
        kept = np.flatnonzero(allowed)
        kept = kept[self._lowest(states.pair[parent[kept]], cost[kept])]
        parent, row = parent[kept], row[kept]
        taken = row != _NONE
        chunk = np.where(waiting, states.chunk, _CLOSED)
        used = states.used.reshape(-1, self._blocks).take(parent, 0).reshape(-1)
        block = np.arange(len(row)) * self._blocks + self._block.take(row)
        for place, bits in enumerate(self._covered):
            used[block + place] |= bits.take(row)
        after = _States(
            states.pair[parent],
            cost[kept],
            used,
            np.where(taken, self._matches.candidate_end[row], chunk[parent]),
            np.where(taken, self._matches.end[row], states.behind[parent]),
        )
        return after, parent, row

    def _lowest(self, pair: Ints, cost: Ints) -> Ints:
        """Where the lowest costs of each pair are, in order, as many as the beam holds."""
        cost = cost - cost.min()
        order = stable_argsort(pair * (cost.max() + 1) + cost)
        first = np.searchsorted(pair, np.arange(self._pairs))
        return order[np.arange(len(order)) - first[pair] < _BEAM]

    def _contested(self, start: Ints, end: Ints) -> tuple[Ints, Ints]:
        """How many words of one side that several matches cover stand before each match's start and end."""
        width = int(end.max()) + 1
        first = self._pair * width
        size = self._pairs * width
        covers = np.cumsum(
            np.bincount(first + start, minlength=size) - np.bincount(first + end, minlength=size)
        )
        before = np.concatenate(([0], np.cumsum(covers > 1)))
        return before[first + start] - before[first], before[first + end] - before[first]


def _gains(matches: Matches) -> Ints:
    """What the search gains by each match, which is not its weight in the score: halves are rounded down."""
    words, others = matches.end - matches.start, matches.candidate_end - matches.candidate_start
    return np.where(matches.stage == EXACT, words + others, words // 2 + others // 2)


def _bits(first: Ints, count: Ints) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """`count` bits, at most 64, from bit `first` of a block on: those in the block, those in the next."""
    bits, by = _LOWEST[count], first.astype(np.uint64)
    return np.left_shift(bits, by), np.right_shift(bits >> np.uint64(1), np.uint64(63) - by)
