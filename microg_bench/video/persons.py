"""Shows a model which person is meant: a box on each frame, or the frames cut to the box.

The box is true of one frame, the key frame. Persons move within three seconds; the box does not.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from microg_bench.records import ShownPerson
from microg_bench.video.decode import Frames

COLOUR = (255, 0, 0)  # of a drawn box, RGB
WIDTH = 0.008  # of its lines, as a share of the frame's shorter side; at least 2 pixels
MARGIN = 0.1  # on each side of a box that frames are cut to, as a share of the box's width and height
LEAST = 64  # pixels of width and height that frames are cut to, as far as they have them
Pixels = NDArray[np.uint8]


def with_person(frames: Frames, person: ShownPerson) -> Frames:
    """The frames, all of which show `person`, as they show who is meant."""
    change = {"drawn": _with_box, "crop": _cut}[person.form]
    pixels = np.ascontiguousarray(change(frames.pixels, person.corners))
    told = ",".join(f"{one:.6f}" for one in person.corners)
    return replace(frames, pixels=pixels, changed=f"{person.form} {told}")


def _with_box(pixels: Pixels, corners: tuple[float, float, float, float]) -> Pixels:
    """With lines inside the box, along its sides."""
    left, top, right, bottom = _edges(pixels, corners)
    width = max(2, round(WIDTH * min(pixels.shape[1:3])))
    drawn = pixels.copy()
    box = drawn[:, top:bottom, left:right]
    for line in (box[:, :width], box[:, -width:], box[:, :, :width], box[:, :, -width:]):
        line[:] = COLOUR
    return drawn


def _cut(pixels: Pixels, corners: tuple[float, float, float, float]) -> Pixels:
    """What is in the box and in its margin, as far as the frame goes."""
    x1, y1, x2, y2 = corners
    height, width = pixels.shape[1:3]
    wide, tall = _margin(x2 - x1, width), _margin(y2 - y1, height)
    left, top, right, bottom = _edges(pixels, (x1 - wide, y1 - tall, x2 + wide, y2 + tall))
    return pixels[:, top:bottom, left:right]


def _margin(share: float, side: int) -> float:
    """The margin of a box that has this share of a side of the frame, as a share of that side, too."""
    return max(MARGIN * share, (LEAST / side - share) / 2)


def _edges(pixels: Pixels, corners: tuple[float, float, float, float]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom in pixels, rounded, within the frame, at least a pixel apart."""
    height, width = pixels.shape[1:3]
    left, top = (
        min(max(round(share * side), 0), side - 1)
        for share, side in zip(corners[:2], (width, height), strict=True)
    )
    right = min(max(round(corners[2] * width), left + 1), width)
    bottom = min(max(round(corners[3] * height), top + 1), height)
    return left, top, right, bottom
