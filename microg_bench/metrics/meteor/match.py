"""What METEOR can match between texts: equal words, equal stems, synonyms, paraphrases.

Matches are found as tables are joined: where words and phrases stand in one text of a pair, what they are
related to, and where that stands in the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import reduce
from itertools import count

import numpy as np
from numpy.typing import NDArray

from microg_bench.metrics.arrays import Ints, number_words, spread, stable_argsort
from microg_bench.metrics.meteor.align import EXACT, PARAPHRASE, STEM, SYNONYM, Matches
from microg_bench.metrics.meteor.data import function_words, stemmer, synsets

# For each row a number and what it is related to, in the order of the numbers.
_Relation = tuple[Ints, Ints]
_NONE = -1


@dataclass(frozen=True)
class Spans:
    """Words or phrases where they stand, one a row, in the order of texts, first words and lengths.

    All columns have shape (spans,): the text, the number of the word or phrase, its first word, and its end,
    exclusive.
    """

    text: Ints
    number: Ints
    start: Ints
    end: Ints

    def __getitem__(self, rows: Ints | NDArray[np.bool_]) -> Spans:
        return Spans(*(getattr(self, column.name)[rows] for column in fields(self)))

    def of(self, texts: Ints) -> Spans:
        """The spans of some texts, which are numbered by their place in `texts` then."""
        first = np.searchsorted(self.text, texts)
        place, rows = spread(first, np.searchsorted(self.text, texts, side="right") - first)
        return Spans(place, *(column[rows] for column in (self.number, self.start, self.end)))


class Corpus:
    """Distinct normalised texts, and what can match between any two of them.

    Args:
        texts: the texts.
        paraphrases: gives pairs of phrases in the order of the table; is called when the words are known.

    Raises:
        MetricUnavailableError: a file or package is missing.
    """

    def __init__(self, texts: Sequence[str], paraphrases: Callable[[], Sequence[tuple[str, str]]]) -> None:
        numbers, lengths, vocabulary = number_words(texts)
        self._first = np.concatenate(([0], np.cumsum(lengths)))
        text, row = spread(self._first[:-1], lengths)
        start = row - self._first[text]
        self._words = Spans(text, numbers.astype(np.int64), start, start + 1)
        known = function_words()
        function = np.array([word in known for word in vocabulary], dtype=np.int64)
        self._function = np.concatenate(([0], np.cumsum(function[numbers])))
        self._related = _relations(vocabulary)
        phrases: dict[str, int] = defaultdict(count().__next__)
        pairs = [(phrases[one], phrases[other]) for one, other in paraphrases()]
        one, other = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        by_number = stable_argsort(one)
        self._paraphrases = one[by_number], other[by_number]
        self._phrases = _find_phrases(self._words, lengths, _PhraseTree(vocabulary, list(phrases)))

    def words(self, texts: Ints) -> Ints:
        """How many words each of some texts has."""
        return self._first[texts + 1] - self._first[texts]

    def function_words(self, texts: Ints, start: Ints, end: Ints) -> Ints:
        """How many function words stand between two places of each of some texts."""
        return self._function[self._first[texts] + end] - self._function[self._first[texts] + start]

    def matches(self, candidates: Ints, references: Ints) -> Matches:
        """What can match between pairs of texts, in the order of the jar at each word of the reference.

        That is by stage and place in the candidate; paraphrases of the reference's phrases by the length of
        the phrase, the order of the table and the place, then paraphrases of the candidate's phrases.
        """
        ours, theirs = self._words.of(candidates), self._words.of(references)
        found = [_matches(EXACT, theirs, ours, _join(theirs, self._related[EXACT], ours))]
        # Equal texts match word by word, and not otherwise.
        differ = candidates != references
        ours, theirs = ours[differ[ours.text]], theirs[differ[theirs.text]]
        for stage in (STEM, SYNONYM):
            found.append(_matches(stage, theirs, ours, _join(theirs, self._related[stage], ours)))
        ours, theirs = self._phrases.of(candidates), self._phrases.of(references)
        ours, theirs = ours[differ[ours.text]], theirs[differ[theirs.text]]
        found.append(_matches(PARAPHRASE, theirs, ours, _join(theirs, self._paraphrases, ours)))
        found.append(_matches(PARAPHRASE, theirs, ours, _join(ours, self._paraphrases, theirs)[::-1]))
        columns = (np.concatenate([getattr(one, column.name) for one in found]) for column in fields(Matches))
        matches = Matches(*columns)
        return matches[stable_argsort(matches.pair * (matches.start.max(initial=0) + 1) + matches.start)]


def _matches(stage: int, theirs: Spans, ours: Spans, rows: tuple[Ints, Ints]) -> Matches:
    """Rows of both sides as matches; words by their places on both sides, paraphrases as they come."""
    one, other = rows
    if stage != PARAPHRASE:
        order = np.lexsort((other, one))
        one, other = one[order], other[order]
    stages = np.full(len(one), stage)
    return Matches(
        theirs.text[one], stages, theirs.start[one], theirs.end[one], ours.start[other], ours.end[other]
    )


def _join(left: Spans, relation: _Relation, right: Spans) -> tuple[Ints, Ints]:
    """The rows of both sides that are of one pair and related, in the order of left, relation, right."""
    numbers, related = relation
    first = np.searchsorted(numbers, np.arange(left.number.max(initial=0) + 2))
    owner, rows = spread(first[left.number], np.diff(first)[left.number])
    size = max(int(side.max(initial=0)) for side in (related, right.number)) + 1
    wanted = left.text[owner] * size + related[rows]
    keys = right.text * size + right.number
    order = stable_argsort(keys)
    keys = keys[order]
    first = np.searchsorted(keys, wanted)
    there = np.flatnonzero(np.append(keys, -1)[first] == wanted)
    first = first[there]
    hit, rows = spread(first, np.searchsorted(keys, wanted[there], side="right") - first)
    return owner[there[hit]], order[rows]


class _PhraseTree:
    """Phrases by their words: from each node, and the number of the word that follows, to the next node.

    `phrase` has the phrase that ends at each node, by its place in `phrases`, or `_NONE`.
    """

    def __init__(self, vocabulary: Sequence[str], phrases: Sequence[str]) -> None:
        known = {word: number for number, word in enumerate(vocabulary)}
        tree: dict[int, int] = defaultdict(count(1).__next__)
        ends = {}
        for place, phrase in enumerate(phrases):
            words = phrase.split(" ")
            if all(map(known.__contains__, words)):
                end = reduce(lambda node, word: tree[node * len(known) + known[word]], words, 0)
                ends[end] = place
        self._words = len(known)
        edges = [*sorted(tree.items()), (np.iinfo(np.int64).max, _NONE)]
        self._keys, self._nodes = np.array(edges, dtype=np.int64).T
        self.phrase = np.array([ends.get(node, _NONE) for node in range(len(tree) + 1)])

    def follow(self, node: Ints, word: Ints) -> tuple[Ints, Ints]:
        """Where a word leads from a node: the places in `node` and `word`, and the next nodes."""
        key = node * self._words + word
        edge = np.searchsorted(self._keys, key)
        there = np.flatnonzero(self._keys[edge] == key)
        return there, self._nodes[edge[there]]


def _find_phrases(words: Spans, lengths: Ints, tree: _PhraseTree) -> Spans:
    """Where phrases stand among the words of texts, each of which has so many words."""
    ends = np.repeat(np.cumsum(lengths), lengths)
    first, length = np.arange(len(ends)), 0
    node = 0 * first
    found = [(first[:0], first[:0], first[:0])]
    while len(first):
        there, node = tree.follow(node, words.number[first + length])
        first, length = first[there], length + 1
        phrase = tree.phrase[node]
        whole = np.flatnonzero(phrase != _NONE)
        found.append((first[whole], phrase[whole], 0 * whole + length))
        longer = np.flatnonzero(first + length < ends[first])
        first, node = first[longer], node[longer]
    row, number, size = map(np.concatenate, zip(*found, strict=True))
    order = stable_argsort(row)
    row, number, size = row[order], number[order], size[order]
    return Spans(words.text[row], number, words.start[row], words.start[row] + size)


def _relations(vocabulary: Sequence[str]) -> dict[int, _Relation]:
    """The words that each word of a vocabulary, by its number, matches at each stage."""
    stem = stemmer()
    codes = np.array([java_hash(word) for word in vocabulary], dtype=np.int64)
    found = {}
    for stage, keys in (
        (EXACT, [[code] for code in codes.tolist()]),
        (STEM, [[java_hash(stem(word))] for word in vocabulary]),
        (SYNONYM, map(synsets, vocabulary)),
    ):
        one, other = _sharing_a_key(keys)
        # Words match by stem or as synonyms only where they are not equal.
        kept = slice(None) if stage == EXACT else codes[one] != codes[other]
        found[stage] = one[kept], other[kept]
    return found


def _sharing_a_key(keys: Iterable[Iterable[Hashable]]) -> _Relation:
    """The numbers of the words that have a key in common, each pair once; `keys` has those of each word."""
    members: dict[Hashable, list[int]] = defaultdict(list)
    for number, some in enumerate(keys):
        for key in some:
            members[key].append(number)
    pairs = {(one, other) for some in members.values() for one in some for other in some}
    one, other = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2).T
    return one, other


def java_hash(word: str) -> int:
    """Java's hash code of a string, without sign: what the jar compares words by, so that "an" is "c0"."""
    units = memoryview(word.encode("utf-16-le")).cast("H")
    return reduce(lambda code, unit: 31 * code + unit & 0xFFFFFFFF, units, 0)
