"""The beam search for METEOR's alignments (Denkowski and Lavie 2011), as in the jar, for many pairs at once.

The words of a reference are visited from left to right. A state is a partial alignment; at each word it
branches into every match that begins there and uses no used word, and into none. The states of a pair are
kept in the order of their costs: the largest gain first, then the fewest chunks, then the smallest distance
between matched words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from microg_bench.metrics.arrays import Ints, spread, stable_sort

EXACT, STEM, SYNONYM, PARAPHRASE = range(4)
_BEAM = 40
_BATCH = 20_000
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
    """Partial alignments, one a row, in the order of `key`.

    Attributes:
        key: the pair and its cost as one number, the pair above the lowest bits.
        used: words of the candidate in matches, as bits, shape (states × blocks of 64); only of words that
            several matches cover, since no match can lack another.
        chunk: where the candidate would continue the open chunk, `_CLOSED` without one.
        behind: the first word of the reference behind the last match.
    """

    key: Ints
    used: NDArray[np.uint64]
    chunk: Ints
    behind: Ints


def best_alignments(matches: Matches) -> Matches:
    """The matches that are in the best alignment of their pair."""
    chosen = np.zeros(len(matches), dtype=np.bool_)
    for rows in _batches(matches):
        chosen[rows] = _Search(matches[rows]).best()
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
        self._pair = np.cumsum(np.diff(matches.pair, prepend=matches.pair[0]) != 0)
        self._pairs = int(self._pair[-1]) + 1
        self._start, self._end = matches.start, matches.end
        self._width = int(matches.end.max()) + 1
        distance = np.abs(matches.start - matches.candidate_start)
        # One chunk costs more than all distances, and a gain of 1 is worth more than all chunks.
        self._chunk = int(np.bincount(self._pair, distance).max()) + 1
        gain = self._chunk * (self._width + 1)
        # No alignment gains more, so that costs from here on stay above 0.
        self._most = (self._width + int(matches.candidate_end.max())) * gain
        self._cost_bits = (2 * self._most).bit_length()
        # The last row stands for no match.
        self._distance, self._gain = np.append(distance, 0), np.append(gain * _gains(matches), 0)
        self._begins = np.append(matches.candidate_start, _NOWHERE)
        self._chunk_after, self._behind = np.append(matches.candidate_end, _CLOSED), np.append(matches.end, 0)
        before, after = self._contested(matches.start, matches.end)
        low, high = self._contested(matches.candidate_start, matches.candidate_end)
        self._block = np.append(low >> 6, 0)
        # No match covers words in more than two blocks, and most cover them in one.
        covered = [np.append(bits, np.uint64(0)) for bits in _bits(low & 63, high - low)]
        self._covered = covered[: 1 + bool(covered[1].any())]
        self._blocks = int(self._block.max()) + len(self._covered)
        # A match whose words no other match covers is in every alignment, even without gain.
        self._fixed = np.append((before == after) & (low == high), False)

    def best(self) -> NDArray[np.bool_]:
        """Whether each match is in the best alignment of its pair."""
        pairs = np.arange(self._pairs)
        unused = np.zeros(self._pairs * self._blocks, dtype=np.uint64)
        first = pairs << self._cost_bits
        states = _States(first + self._most, unused, 0 * pairs + _CLOSED, 0 * pairs)
        history = []
        for word, begin, count, fixed in self._turns():
            states, parent, row = self._advance(states, word, begin, count, fixed)
            history.append((parent, row))
        chosen = self._fixed.copy()
        state = np.searchsorted(states.key, first)
        for parent, row in reversed(history):
            chosen[row[state]] = True
            state = parent[state]
        return chosen[:_NONE]

    def _turns(self) -> Iterator[Ints]:
        """The words to visit, one of each pair at a time.

        Yields:
            Shape (4, pairs): the word, where a match begins or one may end; the first row of the matches that
            begin there; their number; 1 where it is a fixed one. A pair with few words waits for the others
            while it has one state, at a word where nothing begins.
        """
        begin = self._pair * self._width + self._start
        keys = np.unique(np.concatenate((begin, self._pair * self._width + self._end)))
        first = np.searchsorted(begin, keys)
        count = np.searchsorted(begin, keys, side="right") - first
        pair, word = np.divmod(keys, self._width)
        fixed = self._fixed[first] & (count > 0)
        kept = self._decisive(pair, first, count, fixed)
        pair = pair[kept]
        turn = np.arange(len(pair)) - np.searchsorted(pair, np.arange(self._pairs), side="right")[pair]
        turns = np.zeros((4, -turn.min(), self._pairs), dtype=np.int64)
        turns[:, turn, pair] = np.stack((word, first, count, fixed))[:, kept]
        yield from turns.swapaxes(0, 1)

    def _decisive(self, pair: Ints, first: Ints, count: Ints, fixed: NDArray[np.bool_]) -> Ints:
        """The turns that can change the order of states.

        After a fixed match all states of a pair go on alike, up to the next word that gives a choice. The
        fixed match stands for these turns, with the chunk that the last of them leaves open.
        """
        choice = (count > 0) & ~fixed
        opens = choice | np.append(True, choice[:-1] | (pair[1:] != pair[:-1]))
        earlier: Ints = np.cumsum(fixed) - fixed
        alike: NDArray[np.bool_] = earlier > earlier[opens][np.cumsum(opens) - 1]
        kept = np.flatnonzero(~alike)
        last = np.append(kept[1:], len(pair)) - 1
        stands, last = kept[last > kept], last[last > kept]
        self._chunk_after[first[stands]] = self._chunk_after[np.where(fixed[last], first[last], _NONE)]
        return kept

    def _advance(
        self, states: _States, word: Ints, first: Ints, count: Ints, fixed: Ints
    ) -> tuple[_States, Ints, Ints]:
        """The states after one turn; for each the state it comes from and the match it took, or `_NONE`."""
        pair = states.key >> self._cost_bits
        inside = states.behind > word[pair]  # of a longer match
        options = np.where(inside, 0, count[pair])
        # The branches of each state: the matches in their order, then none of them.
        skips = fixed[pair] == 0
        branches = options + skips
        parent, row = spread(first[pair], branches)
        row[np.cumsum(branches)[skips] - 1] = _NONE
        allowed = np.flatnonzero(self._allowed(states, parent, row))
        parent, row = parent.take(allowed), row.take(allowed)
        key, order = self._lowest(self._keys(states, inside, parent, row))
        parent, row = parent.take(order), row.take(order)

        chunk, behind = self._chunk_after.take(row), self._behind.take(row)
        stay = np.flatnonzero(inside.take(parent))
        chunk[stay], behind[stay] = states.chunk[parent[stay]], states.behind[parent[stay]]
        used = states.used.reshape(-1, self._blocks).take(parent, 0).reshape(-1)
        for place, bits in enumerate(self._covered):
            used[self._cells(np.arange(len(row)), row) + place] |= bits.take(row)
        return _States(key, used, chunk, behind), parent, row

    def _cells(self, state: Ints, row: Ints) -> Ints:
        """Where in `_States.used` the words of matches begin."""
        return state if self._blocks == 1 else state * self._blocks + self._block.take(row)

    def _allowed(self, states: _States, parent: Ints, row: Ints) -> NDArray[np.bool_]:
        """Whether matches use no word that their states use."""
        cells = self._cells(parent, row)
        allowed = np.ones(len(row), dtype=np.bool_)
        for place, bits in enumerate(self._covered):
            allowed &= (states.used.take(cells + place) & bits.take(row)) == 0
        return allowed

    def _keys(self, states: _States, inside: NDArray[np.bool_], parent: Ints, row: Ints) -> Ints:
        """The keys of states with the matches that they take; each state takes one at least, or none."""
        ends = (states.chunk != _CLOSED) & ~inside  # unless the next match goes on
        goes_on = states.chunk.take(parent) == self._begins.take(row)
        # The jar adds the distance of a match to the branches after it, not to its own.
        distance = self._distance.take(row)
        key: Ints = np.cumsum(distance) - distance
        branches = np.bincount(parent)
        before = key[np.cumsum(branches) - branches]
        key += (states.key + ends * self._chunk - before).take(parent)
        key -= self._gain.take(row) + goes_on * self._chunk
        return key

    def _lowest(self, key: Ints) -> tuple[Ints, Ints]:
        """The lowest keys of each pair in order, as many as the beam holds, and where they were."""
        key, order = stable_sort(key)
        pair = key >> self._cost_bits
        kept = np.append(np.ones(_BEAM, dtype=np.bool_), pair[_BEAM:] != pair[:-_BEAM])[: len(key)]
        return key[kept], order[kept]

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
