"""An adapter file for tests: a floor that looks at the video, takes its time, and notes what it is asked."""

import os
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from microg_bench.adapters.base import Floor
from microg_bench.adapters.references import OtherSources
from microg_bench.records import Request
from microg_bench.video import Frames


class SlowFloor(Floor):
    """Answers with the brightness of the clip and the number of other captions."""

    name = "slow-floor"
    title = "Slow floor"
    frames = 2
    sees_video = True

    def describe(self, frames: Frames) -> NDArray[np.float64]:
        """Mean brightness, shape (1,)."""
        return np.array([frames.pixels.mean()])

    def answer(self, request: Request, descriptor: NDArray[np.float64] | None, others: OtherSources) -> str:
        """Note the request in the file named by SLOW_FLOOR_ASKED, wait, and answer."""
        if asked := os.environ.get("SLOW_FLOOR_ASKED"):
            with Path(asked).open("a") as file:
                file.write(f"{request.id}\n")
        time.sleep(float(os.environ.get("SLOW_FLOOR_SECONDS", "0")))
        brightness = 0.0 if descriptor is None else descriptor[0]
        return f"{request.question or 'caption'} brightness {brightness:.3f} others {len(others.captions)}"
