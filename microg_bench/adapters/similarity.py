"""Similarity of short texts without a model: cosine of word weights (tf·idf), for the floors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"\w+")


class TextIndex:
    """An inverted index over `texts`.

    A word weighs its count times log(1 + N / number of texts that hold it) (Salton and Buckley 1988);
    vectors have unit length, so that their dot product is the cosine, in [0, 1]. Ties go to the first text.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        """Index `texts` (at least one)."""
        counts = [_words(text) for text in texts]
        document_frequency = Counter(word for words in counts for word in words)
        self._size = len(texts)
        self._weight = {
            word: float(np.log1p(self._size / frequency)) for word, frequency in document_frequency.items()
        }
        postings: dict[str, tuple[list[int], list[float]]] = {}
        for number, words in enumerate(counts):
            for word, weight in self._unit_vector(words).items():
                numbers, weights = postings.setdefault(word, ([], []))
                numbers.append(number)
                weights.append(weight)
        self._postings = {
            word: (np.array(numbers), np.array(weights)) for word, (numbers, weights) in postings.items()
        }

    def similarities(self, text: str) -> NDArray[np.float64]:
        """Cosine of `text` with every indexed text, shape (N,)."""
        return self._dot(self._unit_vector(_words(text)))

    def nearest(self, text: str) -> int:
        """The position of the most similar text."""
        return int(np.argmax(self.similarities(text)))

    def medoid(self) -> int:
        """The position of the text with the highest mean similarity to all."""
        centre = {word: float(weights.sum()) for word, (_, weights) in self._postings.items()}
        return int(np.argmax(self._dot(centre)))

    def _dot(self, vector: dict[str, float]) -> NDArray[np.float64]:
        scores = np.zeros(self._size)
        for word, weight in vector.items():
            if word in self._postings:
                numbers, weights = self._postings[word]
                scores[numbers] += weight * weights
        return scores

    def _unit_vector(self, words: Counter[str]) -> dict[str, float]:
        vector = {word: count * self._weight[word] for word, count in words.items() if word in self._weight}
        length = float(np.sqrt(sum(weight * weight for weight in vector.values())))
        return {word: weight / length for word, weight in vector.items()} if length else {}


def _words(text: str) -> Counter[str]:
    return Counter(_WORD.findall(text.lower()))
