"""Motion: sparse optical flow of corners, which decides how persons are taken from tracks."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microg_bench.curation.finding import StageFinding
from microg_bench.curation.recipe import Motion
from microg_bench.errors import MissingExtraError
from microg_bench.text import first_line

VERSION = 1
_ITERATIONS, _PRECISION = 10, 0.03  # of Lucas-Kanade's search


def measure_motion(frames: NDArray[np.uint8], fps: float, settings: Motion) -> StageFinding:
    """How much moves; never a reason to reject a clip.

    Its numbers: `sum`, the pixels that all corners together move a frame, on average (the published measure,
    which grows with resolution and the number of corners); `speed`, how far a corner moves in a second, in
    diagonals of the frame; and `motion`, "high" or "low", by the first.

    Args:
        frames: RGB, shape (T, H, W, 3).
        fps: frames a second.
        settings: those of the recipe.

    Raises:
        MissingExtraError: OpenCV is not installed.
    """
    sums, means = _steps(frames[: settings.frames], settings)
    total = float(np.mean(sums)) if sums else 0.0
    diagonal = float(np.hypot(*frames.shape[1:3]))
    speed = float(np.mean(means)) * fps / diagonal if means else 0.0
    motion = "high" if total > settings.threshold else "low"
    return StageFinding(True, "", {"sum": total, "speed": speed, "motion": motion})


def _steps(frames: NDArray[np.uint8], settings: Motion) -> tuple[list[float], list[float]]:
    """The pixels that corners move from frame to frame: the sum over them, and the mean."""
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError("motion", "curate", first_line(error)) from None
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    corners = cv2.goodFeaturesToTrack(
        grey[0], settings.corners, settings.quality, settings.distance, blockSize=settings.block
    )
    search = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _ITERATIONS, _PRECISION)
    window = (settings.window, settings.window)
    nothing: Any = None  # where to write the new places
    sums: list[float] = []
    means: list[float] = []
    for before, after in pairwise(grey):
        if corners is None or not len(corners):
            break
        moved, status, _ = cv2.calcOpticalFlowPyrLK(
            before, after, corners, nothing, winSize=window, maxLevel=settings.levels, criteria=search
        )
        known = status.ravel() == 1
        if not known.any():
            break
        steps = np.linalg.norm((moved - corners).reshape(-1, 2)[known], axis=1)
        sums.append(float(steps.sum()))
        means.append(float(steps.mean()))
        corners = moved[known].reshape(-1, 1, 2)
    return sums, means
