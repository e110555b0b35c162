"""A baseline that never sees a frame: what can be guessed from the question alone."""

import json

import numpy as np
from numpy.typing import NDArray

from microg_bench.adapters.base import Baseline
from microg_bench.adapters.references import OtherSources
from microg_bench.records import Request


class Blind(Baseline):
    """The answer to the most similar question and the medoid caption of other source videos.

    Of each person, how frequent each action is among the persons whom it may know.
    """

    name = "blind"
    title = "Baseline: blind"
    frames = 0
    tasks = ("caption", "vqa", "har")
    note = "the answer to the most similar question of other source videos; their medoid caption"

    def answer(self, request: Request, descriptor: NDArray[np.float64] | None, others: OtherSources) -> str:
        """A guess from the references of other source videos; of a person, the frequency of each action."""
        if request.person:
            return json.dumps({"scores": others.action_shares})
        if request.question is None:
            return others.medoid_caption
        return others.answer_to_most_similar(request.question)
