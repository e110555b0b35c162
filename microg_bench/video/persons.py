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
MOST = 0.125  # of its lines, as a share of the box's shorter side; at least 1 pixel
SMALLEST = 8  # pixels of width and height of a drawn box, as far as the frame goes
MARGIN = 0.1  # on each side of a box that frames are cut to, as a share of the box's width and height
LEAST = 64  # pixels of width and height that frames are cut to, as far as they have them
Pixels = NDArray[np.uint8]
Corners = tuple[float, float, float, float]  # as shares of the frame


def with_person(frames: Frames, person: ShownPerson) -> Frames:
    """The frames, all of which show `person`, as they show who is meant."""
    change = {"drawn": _with_box, "crop": _cut}[person.form]
    pixels = np.ascontiguousarray(change(frames.pixels, person.corners))
    told = ",".join(f"{one:.6f}" for one in person.corners)
    return replace(frames, pixels=pixels, changed=f"{person.form} {told}")


def _with_box(pixels: Pixels, corners: Corners) -> Pixels:
    """With lines inside the box, along its sides; a box that is smaller than `SMALLEST` grows to it."""
    left, top, right, bottom = _edges(pixels, _grown(corners, pixels.shape[2], pixels.shape[1]))
    widest = max(1, int(MOST * min(right - left, bottom - top)))
    width = min(max(2, round(WIDTH * min(pixels.shape[1:3]))), widest)
    drawn = pixels.copy()
    box = drawn[:, top:bottom, left:right]
    for line in (box[:, :width], box[:, -width:], box[:, :, :width], box[:, :, -width:]):
        line[:] = COLOUR
    return drawn


def _grown(corners: Corners, width: int, height: int) -> Corners:
    """The corners of a box, or of one about its middle that has the least size on each side."""
    x1, y1, x2, y2 = corners
    wide, tall = (
        max(0.0, SMALLEST / side - share) / 2 for share, side in ((x2 - x1, width), (y2 - y1, height))
    )
    return x1 - wide, y1 - tall, x2 + wide, y2 + tall


def _cut(pixels: Pixels, corners: Corners) -> Pixels:
    """What is in the box and in its margin, as far as the frame goes."""
    x1, y1, x2, y2 = corners
    height, width = pixels.shape[1:3]
    wide, tall = _margin(x2 - x1, width), _margin(y2 - y1, height)
    left, top, right, bottom = _edges(pixels, (x1 - wide, y1 - tall, x2 + wide, y2 + tall))
    return pixels[:, top:bottom, left:right]


def _margin(share: float, side: int) -> float:
    """The margin of a box that has this share of a side of the frame, as a share of that side, too."""
    return max(MARGIN * share, (LEAST / side - share) / 2)


def _edges(pixels: Pixels, corners: Corners) -> tuple[int, int, int, int]:
    """Left, top, right and bottom in pixels, rounded, within the frame, at least a pixel apart."""
    height, width = pixels.shape[1:3]
    left, top = (
        min(max(round(share * side), 0), side - 1)
        for share, side in zip(corners[:2], (width, height), strict=True)
    )
    right = min(max(round(corners[2] * width), left + 1), width)
    bottom = min(max(round(corners[3] * height), top + 1), height)
    return left, top, right, bottom
