"""Checks what a detector returns: a detector may be somebody else's code."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microg_bench.errors import EngineError

CORNERS = ("x1", "y1", "x2", "y2")
DETECTED = (*CORNERS, "confidence")
TRACKED = (*DETECTED, "track")
_LEAST = 1e-3  # pixels: what is narrower or lower has no area


def checked_boxes(
    found: Any, shape: tuple[int, ...], columns: tuple[str, ...], detector: str
) -> list[NDArray[np.float64]]:
    """The persons in each frame, with boxes that overhang the picture cut to it, without those of no area.

    Args:
        found: what `PersonDetector.detect` or `track` returned. An empty array of any shape is no person.
        shape: of the frames, (T, H, W, 3).
        columns: `DETECTED` or `TRACKED`.
        detector: its name.

    Returns:
        T arrays of shape (n, number of columns).

    Raises:
        EngineError: there is not an array for each frame, an array has another shape or holds something else
            than finite numbers, a box is turned around or outside of the picture, a confidence is not from 0
            to 1, or a track is no whole number from -1 or in a frame twice. The detector, the frame (from 1)
            and the value are named.
    """
    count, height, width = shape[:3]
    said = f"detector {detector}"
    try:
        arrays = list(found)
    except TypeError:
        raise EngineError(f"returns {type(found).__name__}, not a list of arrays", item=said) from None
    if len(arrays) != count:
        raise EngineError(f"returns {len(arrays)} arrays for {count} frames", item=said)
    checked = []
    for number, array in enumerate(arrays, start=1):
        item = f"{said}: frame {number}"
        rows = _numbers(array, columns, item)
        if fault := _fault(rows, width, height) or _repeated(rows[:, len(DETECTED) :]):
            raise EngineError(fault, item=item)
        rows[:, :4] = rows[:, :4].clip(0, [width, height, width, height])
        checked.append(rows[(rows[:, 2:4] - rows[:, :2] >= _LEAST).all(axis=1)])
    return checked


def _numbers(array: Any, columns: tuple[str, ...], item: str) -> NDArray[np.float64]:
    try:
        rows = np.array(array, float)
    except (TypeError, ValueError):
        raise EngineError("is no array of numbers", item=item) from None
    if not rows.size:
        return np.zeros((0, len(columns)))
    if rows.ndim != 2 or rows.shape[1] != len(columns):
        reason = f"has shape {rows.shape}, not (n, {len(columns)}): {', '.join(columns)}"
        raise EngineError(reason, item=item)
    return rows


def _repeated(tracks: NDArray[np.float64]) -> str:
    """Which track is there twice; "" where none is."""
    numbers, counts = np.unique(tracks[tracks >= 0], return_counts=True)
    return f"track {numbers[counts > 1][0]:g} is there twice" if (counts > 1).any() else ""


def _fault(rows: NDArray[np.float64], width: int, height: int) -> str:
    """What is wrong with the first row that is wrong; "" where none is."""
    for row in rows:
        x1, y1, x2, y2, confidence, *track = map(float, row)
        box = f"box {x1:g}, {y1:g}, {x2:g}, {y2:g}"
        if not all(map(math.isfinite, row)):
            return f"holds a number that is not finite: {', '.join(f'{value:g}' for value in row)}"
        if x2 < x1 or y2 < y1:
            return f"{box} is turned around: x2 must not be less than x1, nor y2 less than y1"
        if x2 < 0 or y2 < 0 or x1 > width or y1 > height:
            return f"{box} is outside of the picture of {width} x {height} pixels"
        if not 0 <= confidence <= 1:
            return f"confidence {confidence:g} is not from 0 to 1"
        if track and (track[0] < -1 or track[0] != int(track[0])):
            return f"track {track[0]:g} is no whole number from -1"
    return ""
