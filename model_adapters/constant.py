"""The lowest baseline: the same words for every clip. Any useful model scores higher."""

import numpy as np
from numpy.typing import NDArray

from microg_bench.adapters.base import Baseline
from microg_bench.adapters.references import OtherSources
from microg_bench.records import Request

CAPTION = "An astronaut floats inside the International Space Station and speaks to the camera."
ANSWER = "Not mentioned."


class Constant(Baseline):
    """One fixed caption, and the published wording of an absent answer."""

    name = "constant"
    title = "Baseline: constant"
    frames = 0
    note = "the same text for every clip"

    def answer(self, request: Request, descriptor: NDArray[np.float64] | None, others: OtherSources) -> str:
        """The fixed text of the task."""
        return CAPTION if request.task == "caption" else ANSWER
