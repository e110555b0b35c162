"""A baseline that never sees a frame: what can be guessed from the question alone."""

import numpy as np
from numpy.typing import NDArray

from microg_bench.adapters.base import Baseline
from microg_bench.adapters.references import OtherSources
from microg_bench.records import Request


class Blind(Baseline):
    """The answer to the most similar question, and the medoid caption, of other source videos."""

    name = "blind"
    title = "Baseline: blind"
    frames = 0
    note = "the answer to the most similar question of other source videos; their medoid caption"

    def answer(self, request: Request, descriptor: NDArray[np.float64] | None, others: OtherSources) -> str:
        """A guess from the references of other source videos."""
        if request.question is None:
            return others.medoid_caption
        return others.answer_to_most_similar(request.question)
