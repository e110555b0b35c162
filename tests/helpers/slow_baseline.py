"""An adapter file for tests: a baseline that sees the video, takes its time and notes what it is asked."""

import os
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from microg_bench.adapters.base import Baseline
from microg_bench.adapters.references import OtherSources
from microg_bench.records import Request
from microg_bench.video.decode import Frames


class SlowBaseline(Baseline):
    """Answers with the brightness of the clip and the number of other captions."""

    name = "slow-baseline"
    title = "Slow baseline"
    frames = 2
    sees_video = True

    def describe(self, frames: Frames) -> NDArray[np.float64]:
        """Mean brightness, shape (1,)."""
        return np.array([frames.pixels.mean()])

    def answer(self, request: Request, descriptor: NDArray[np.float64] | None, others: OtherSources) -> str:
        """Note the request in the file named by SLOW_BASELINE_ASKED, wait, and answer."""
        if asked := os.environ.get("SLOW_BASELINE_ASKED"):
            with Path(asked).open("a") as file:
                file.write(f"{request.id}\n")
        time.sleep(float(os.environ.get("SLOW_BASELINE_SECONDS", "0")))
        brightness = 0.0 if descriptor is None else descriptor[0]
        return f"{request.question or 'caption'} brightness {brightness:.3f} others {len(others.captions)}"
