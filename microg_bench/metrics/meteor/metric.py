"""METEOR 1.5, English, its ``-norm`` tokens: the jar's 23 counts of each item, and the final formula.

Denkowski and Lavie 2014, "Meteor Universal". Scores of items, sets and resamples follow from sums of counts.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from threading import Thread

import numpy as np
from numpy.typing import NDArray

from microg_bench.metrics.arrays import Ints
from microg_bench.metrics.base import Array, Metric
from microg_bench.metrics.meteor.align import best_alignments
from microg_bench.metrics.meteor.data import read_ahead
from microg_bench.metrics.meteor.match import Corpus
from microg_bench.metrics.meteor.normalize import normalize
from microg_bench.metrics.meteor.paraphrases import read_pairs
from microg_bench.metrics.texts import Lazy, Texts, single_spaced

MAX_WORDS = 2000
MAX_CHARACTERS = 20_000
_BLOCK = 50_000_000  # pairs of words; those of all the published answers and references fit in one block

# The jar's parameters for English, and its weights of exact, stem, synonym and paraphrase matches.
_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.20, 0.60, 0.75
_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])
_COUNTS, _STAGES, _CHUNKS, _MATCHED = 23, 4, 20, 21
# Of the counts from _STAGES on: what each adds to the weighted matches of candidate and reference.
_PARTS = np.kron(np.outer(_WEIGHTS, (_DELTA, 1 - _DELTA)).reshape(-1, 1), np.eye(2))


class Alignments:
    """The counts of all items of some sets, found together when the first is asked for."""

    def __init__(self, sets: Sequence[Texts]) -> None:
        self._sets = list(sets)
        Thread(target=read_ahead, daemon=True).start()  # while Java tokenises
        self._counts = Lazy(lambda: _count_all(self._sets))

    def counts(self, texts: Texts) -> Array:
        """Of one of the sets: words and function words of candidate and reference, matches by stage, chunks.

        Returns:
            Shape (n, 23), in the order of the jar; of several references, of the first with the best score.

        Raises:
            MetricUnavailableError: METEOR's data or the stemmer is missing or damaged.
        """
        return self._counts()[self._sets.index(texts)]


@dataclass(frozen=True)
class Meteor(Metric):
    """METEOR 1.5. Statistics: the jar's counts, with no chunk for a perfect item, as the jar sums them.

    Args:
        options: not used.
        alignments: where they are computed for several sets; None computes them alone.
    """

    alignments: Alignments | None = None

    name = "METEOR"

    def measure(self, texts: Texts) -> Array:
        """Shape (n, 23); see `Metric.measure`."""
        return (self.alignments or Alignments([texts])).counts(texts)

    @classmethod
    def combine(cls, totals: Array, items: Array | float) -> Array:
        """Weighted harmonic mean of precision and recall, less the fragmentation; see `Metric.combine`."""
        matched = totals[..., _STAGES:_CHUNKS] @ _PARTS
        words, function = totals[..., 0:2], totals[..., 2:4]
        weighted = _DELTA * (words - function) + (1 - _DELTA) * function
        with np.errstate(divide="ignore", invalid="ignore"):
            precision, recall = np.moveaxis(matched / weighted, -1, 0)
            mean = 1.0 / ((1 - _ALPHA) / precision + _ALPHA / recall)
            fragmentation = totals[..., _CHUNKS] / (totals[..., _MATCHED:].sum(axis=-1) / 2)
            score = mean * (1 - _GAMMA * fragmentation**_BETA)
        points: Array = 100.0 * np.maximum(np.nan_to_num(score, nan=0.0), 0.0)
        return points

    def settings(self, texts: Texts) -> Mapping[str, str]:
        """Version and flags of the jar; see `Metric.settings`."""
        return {"jar": "1.5", "flags": "-l en -norm"}

    def notes(self, texts: Texts) -> tuple[str, ...]:
        """Whether the score can only be 0, and how many texts were cut to the limit; see `Metric.notes`."""
        if not any(map(_clean, chain.from_iterable(texts.tokenized.references))):
            return ("can only be 0 here: all references are empty",)
        read = [*texts.tokenized.candidates, *(text for refs in texts.tokenized.references for text in refs)]
        # A text of fewer characters has not that many words.
        cut = sum(_cut(text) != _clean(text) for text in read if len(text) >= 2 * MAX_WORDS)
        if not cut:
            return ()
        return (f"{cut} text(s) cut to their first {MAX_WORDS} words and {MAX_CHARACTERS} characters",)


def _clean(text: str) -> str:
    """A text as METEOR could be sent it: one line, without the separator of its fields."""
    return single_spaced(text.replace("|||", ""))


def _cut(text: str) -> str:
    """A clean text within the limits."""
    return " ".join(_clean(text).split(" ")[:MAX_WORDS])[:MAX_CHARACTERS]


def _count_all(sets: Sequence[Texts]) -> list[Array]:
    """The counts of each item of each set; each distinct pair of texts is aligned once."""
    tokenized = [texts.tokenized for texts in sets]
    given = {text for some in tokenized for text in chain(some.candidates, *some.references)}
    read = dict(zip(given, normalize([_cut(text) for text in given]), strict=True))
    texts = sorted(set(read.values()))
    number = {text: place for place, text in enumerate(texts)}
    items = [
        [
            [(number[read[candidate]], number[read[reference]]) for reference in references]
            for candidate, references in zip(some.candidates, some.references, strict=True)
        ]
        for some in tokenized
    ]
    pairs = list(dict.fromkeys(pair for some in items for item in some for pair in item))
    candidates, references = np.array(pairs).T
    sides = ([texts[place] for place in np.unique(side)] for side in (references, candidates))
    with ThreadPoolExecutor(1) as pool:  # the table is read while stems and synonyms are looked up
        corpus = Corpus(texts, pool.submit(read_pairs, *sides).result)
    blocks = [
        _count(corpus, candidates[rows], references[rows]) for rows in _blocks(corpus, candidates, references)
    ]
    counts = _without_perfect_chunks(np.concatenate(blocks))
    points = dict(zip(pairs, Meteor.per_item(counts).tolist(), strict=True))
    row = {pair: place for place, pair in enumerate(pairs)}
    # Of several references the first with the best score counts.
    return [counts[[row[max(item, key=points.__getitem__)] for item in some]] for some in items]


def _blocks(corpus: Corpus, candidates: Ints, references: Ints) -> list[Ints]:
    """The rows of pairs in blocks, for the memory that their matches may take."""
    most = np.cumsum(corpus.words(candidates) * corpus.words(references))
    return np.split(np.arange(len(candidates)), np.flatnonzero(np.diff(most // _BLOCK)) + 1)


def _count(corpus: Corpus, candidates: Ints, references: Ints) -> Array:
    """The jar's counts of pairs of texts, shape (pairs, 23)."""
    found = best_alignments(corpus.matches(candidates, references))
    sides = ((candidates, found.candidate_start, found.candidate_end), (references, found.start, found.end))
    counts = np.zeros((len(candidates), _COUNTS))

    def add(column: Ints | int, values: Ints | NDArray[np.bool_]) -> None:
        np.add.at(counts, (found.pair, np.broadcast_to(column, len(found))), values)

    for side, (texts, start, end) in enumerate(sides):
        words = corpus.words(texts)
        counts[:, side] = words
        counts[:, 2 + side] = corpus.function_words(texts, 0 * words, words)
        function = corpus.function_words(texts[found.pair], start, end)
        stage = _STAGES + 4 * found.stage + side
        add(stage, end - start - function)
        add(stage + 2, function)
        add(_MATCHED + side, end - start)
    ends = np.stack((found.pair, found.end, found.candidate_end))
    starts = np.stack((found.pair, found.start, found.candidate_start))
    add(_CHUNKS, np.append(True, (starts[:, 1:] != ends[:, :-1]).any(axis=0))[: len(found)])
    return counts


def _without_perfect_chunks(counts: Array) -> Array:
    """Counts less the chunk of items whose words all match in one, which the jar leaves out of its sums."""
    matches = counts[:, _STAGES:_CHUNKS].reshape(-1, 4, 2, 2).sum(axis=(1, 2))
    perfect = (matches == counts[:, 0:2]).all(axis=1) & (counts[:, _CHUNKS] == 1)
    counts[perfect, _CHUNKS] = 0
    return counts
