"""A baseline that sees without a model: it repeats the answer of the clip that looks most alike."""

import numpy as np
from numpy.typing import NDArray

from microg_bench.adapters.base import Baseline
from microg_bench.adapters.references import OtherSources, TextIndex
from microg_bench.records import Request
from microg_bench.video.decode import Frames

GRID = 8


class NearestClip(Baseline):
    """The caption, or the answer to the most similar question, of the nearest clip of another source.

    A clip is described by the mean colour of each cell of an 8 × 8 grid and how much the cell changes
    from frame to frame.
    """

    name = "nearest-clip"
    title = "Baseline: nearest clip"
    frames = 4
    sees_video = True
    note = "the caption or answer of the visually nearest clip of another source video"

    def describe(self, frames: Frames) -> NDArray[np.float64]:
        """Mean and change of the cells' colours, shape (2 · 8 · 8 · 3,), values from 0 to 1."""
        cells = np.stack([_cells(frame) for frame in frames.pixels])
        change = np.abs(np.diff(cells, axis=0)).mean(axis=0) if len(cells) > 1 else np.zeros_like(cells[0])
        return np.concatenate([cells.mean(axis=0).ravel(), change.ravel()])

    def answer(self, request: Request, descriptor: NDArray[np.float64] | None, others: OtherSources) -> str:
        """What the references say of the nearest clip that has an answer of the kind asked for."""
        if descriptor is None:
            return ""
        for clip in others.by_similarity(descriptor):
            if request.question is None and clip.caption is not None:
                return clip.caption
            if request.question is not None and clip.questions:
                index = TextIndex([question.text for question in clip.questions])
                return clip.questions[index.nearest(request.question)].answer
        return ""


def _cells(frame: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean colour of each cell of the grid, shape (8, 8, 3); borders are where the divided size rounds to."""
    height, width = frame.shape[:2]
    rows = [
        frame[height * k // GRID : max(height * (k + 1) // GRID, height * k // GRID + 1)] for k in range(GRID)
    ]
    mean = np.empty((GRID, GRID, 3))
    for y, row in enumerate(rows):
        for x in range(GRID):
            left = width * x // GRID
            mean[y, x] = row[:, left : max(width * (x + 1) // GRID, left + 1)].mean(axis=(0, 1)) / 255.0
    return mean
