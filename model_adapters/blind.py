"""A baseline that never sees a frame: what can be guessed from the question alone."""

import json

import numpy as np
from numpy.typing import NDArray

from microg_bench.adapters.base import Baseline
from microg_bench.adapters.references import OtherSources
from microg_bench.records import Request


class Blind(Baseline):
    """The answer to the most similar question, the medoid caption, and the frequencies of actions.

    All are those of other source videos.
    """

    name = "blind"
    title = "Baseline: blind"
    frames = 0
    tasks = ("caption", "vqa", "har")
    note = "of other source videos: the answer to the most similar question, the medoid caption, how frequent actions are"

    def answer(self, request: Request, descriptor: NDArray[np.float64] | None, others: OtherSources) -> str:
        """A guess from the references of other source videos."""
        if request.person:
            return json.dumps({"scores": others.action_shares})
        if request.question is None:
            return others.medoid_caption
        return others.answer_to_most_similar(request.question)
