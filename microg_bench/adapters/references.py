"""The references that a baseline may see: those of every source video but the one that it is asked about.

Texts are compared without a model, by the cosine of their word weights (tf·idf).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from microg_bench.records import Clip, Question, Request

if TYPE_CHECKING:
    from microg_bench.adapters.base import Baseline


@dataclass(frozen=True)
class OtherSources:
    """A view of the dataset without one source video, and what can be looked up in it.

    Everything here, the word weights of the text indices included, is made from these clips alone.
    `descriptors` maps video ids to vectors, for baselines that look at the video. `action_shares` are the
    shares of persons who perform each action, 0 to 1, in the clips of all sources: the same for whomever is
    asked about, since scores that leave a source out would rank its persons by what is not true of them.
    """

    clips: tuple[Clip, ...]
    descriptors: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    action_shares: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def captions(self) -> tuple[str, ...]:
        """All captions, in dataset order."""
        return tuple(clip.caption for clip in self.clips if clip.caption is not None)

    @cached_property
    def questions(self) -> tuple[Question, ...]:
        """All questions with their answers, in dataset order."""
        return tuple(question for clip in self.clips for question in clip.questions)

    @cached_property
    def medoid_caption(self) -> str:
        """The caption that is on average most similar to all captions; empty where there are none."""
        if not self.captions:
            return ""
        return self.captions[TextIndex(self.captions).medoid()]

    @cached_property
    def _question_index(self) -> TextIndex:
        return TextIndex([question.text for question in self.questions])

    def answer_to_most_similar(self, question: str) -> str:
        """The answer to the question most similar to `question`; empty where there are none."""
        if not self.questions:
            return ""
        return self.questions[self._question_index.nearest(question)].answer

    @cached_property
    def _seen(self) -> tuple[list[Clip], NDArray[np.float64]]:
        """The clips that have a descriptor, and those descriptors, one a row."""
        clips = [clip for clip in self.clips if clip.video_id in self.descriptors]
        vectors = [self.descriptors[clip.video_id] for clip in clips]
        return clips, np.stack(vectors) if vectors else np.empty((0, 0))

    def by_similarity(self, descriptor: NDArray[np.float64]) -> list[Clip]:
        """The clips with a descriptor, the visually nearest (least Euclidean distance) first."""
        clips, vectors = self._seen
        if not clips:
            return []
        distance = np.linalg.norm(vectors - descriptor, axis=1)
        return [clips[k] for k in np.argsort(distance, kind="stable")]


class References:
    """All references of a dataset; hands out a view for each source video, made once."""

    def __init__(
        self,
        clips: tuple[Clip, ...],
        descriptors: Mapping[str, NDArray[np.float64]] | None = None,
        shown: Mapping[str, NDArray[np.float64]] | None = None,
    ) -> None:
        """Hold `clips` and, for baselines that see, the `descriptors` by video id.

        `shown` are those of what is shown of the clips that are asked about, where that is not the clips as
        they are.
        """
        self._clips = clips
        self._descriptors = descriptors or {}
        self._shown = self._descriptors if shown is None else shown
        self._views: dict[str, OtherSources] = {}

    def without(self, source: str) -> OtherSources:
        """Everything but the clips of `source`: neither their texts nor their descriptors are in the view."""
        if source not in self._views:
            clips = tuple(clip for clip in self._clips if clip.source != source)
            ids = {clip.video_id for clip in clips}
            seen = {key: value for key, value in self._descriptors.items() if key in ids}
            self._views[source] = OtherSources(clips, seen, self._action_shares)
        return self._views[source]

    @cached_property
    def _action_shares(self) -> dict[str, float]:
        persons = [person for clip in self._clips for person in clip.persons]
        counts = Counter(name for person in persons for name in person.actions)
        return {name: count / len(persons) for name, count in sorted(counts.items())}

    def descriptor(self, video_id: str) -> NDArray[np.float64] | None:
        """The descriptor of what is shown of one clip, None where there is none."""
        return self._shown.get(video_id)

    def answer(self, baseline: Baseline, request: Request) -> str:
        """What `baseline` answers to `request`."""
        return baseline.answer(request, self.descriptor(request.video_id), self.without(request.source))

    def answering(self, baseline: Baseline) -> Callable[[Any], str]:
        """A function that lets `baseline` answer jobs of an engine."""
        return lambda job: self.answer(baseline, job.request)


def baseline_answers(
    baseline: Baseline, clips: tuple[Clip, ...], requests: Sequence[Request]
) -> dict[str, str]:
    """What a baseline that sees no video answers to `requests`, by request id."""
    references = References(clips)
    return {request.id: references.answer(baseline, request) for request in requests}


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
