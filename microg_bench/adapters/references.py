"""The references that a floor may see: those of every source video but the one that it is asked about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from microg_bench.adapters.similarity import TextIndex
from microg_bench.records import Clip, Question


@dataclass(frozen=True)
class OtherSources:
    """A view of the dataset without one source video, and what can be looked up in it.

    Everything here, the word weights of the text indices included, is made from these clips alone.
    `descriptors` maps video ids to vectors, for floors that look at the video.
    """

    clips: tuple[Clip, ...]
    descriptors: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

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

    def by_likeness(self, descriptor: NDArray[np.float64]) -> list[Clip]:
        """The clips with a descriptor, the visually nearest (least Euclidean distance) first."""
        clips, vectors = self._seen
        if not clips:
            return []
        distance = np.linalg.norm(vectors - descriptor, axis=1)
        return [clips[k] for k in np.argsort(distance, kind="stable")]


class References:
    """All references of a dataset; hands out a view for each source video, made once."""

    def __init__(
        self, clips: tuple[Clip, ...], descriptors: Mapping[str, NDArray[np.float64]] | None = None
    ) -> None:
        """Hold `clips` and, for floors that see, the `descriptors` by video id."""
        self._clips = clips
        self._descriptors = descriptors or {}
        self._views: dict[str, OtherSources] = {}

    def without(self, source: str) -> OtherSources:
        """Everything but the clips of `source`: neither their texts nor their descriptors are in the view."""
        if source not in self._views:
            clips = tuple(clip for clip in self._clips if clip.source != source)
            ids = {clip.video_id for clip in clips}
            seen = {key: value for key, value in self._descriptors.items() if key in ids}
            self._views[source] = OtherSources(clips, seen)
        return self._views[source]

    def descriptor(self, video_id: str) -> NDArray[np.float64] | None:
        """The descriptor of one clip, None where it has none."""
        return self._descriptors.get(video_id)
