"""What a detector is, and how one is found by its name.

Detectors register as entry points of the group `microg_bench.detectors`, ours like those of others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from microg_bench.curation.recipe import Tracks
from microg_bench.errors import UsageError
from microg_bench.records import Record
from microg_bench.text import first_line, unknown

GROUP = "microg_bench.detectors"


class Thresholds(Record):
    """Confidences, from 0 to 1, that only the detector they belong to can be measured by.

    Attributes:
        present: above it, a frame has a person.
        track: above it, the box of a track is taken.
        high: from it on, a detection is matched first.
        new: from it on, a detection begins a track.
    """

    present: float = Field(ge=0, le=1)
    track: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)
    new: float = Field(ge=0, le=1)


class DetectorFacts(Record):
    """What moves the boxes of a detector, and its thresholds."""

    name: str
    facts: dict[str, str]
    thresholds: Thresholds


class PersonDetector(ABC):
    """Finds persons in the frames of a clip, and follows them from frame to frame.

    Args:
        device: a torch device; None takes a GPU where there is one.
    """

    name: ClassVar[str]
    thresholds: ClassVar[Thresholds]

    def __init__(self, device: str | None = None) -> None:
        self.device = device

    @abstractmethod
    def facts(self) -> dict[str, str]:
        """What moves its boxes: weights, and versions of libraries."""

    @abstractmethod
    def detect(self, frames: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
        """The persons in each frame.

        Args:
            frames: RGB, shape (T, H, W, 3).

        Returns:
            T arrays of shape (n, 5): the corners x1, y1, x2, y2 in pixels, and a confidence from 0 to 1.
            Boxes may overhang the picture: they are cut to it. See `checked_boxes` for what is refused.
        """

    def track(
        self, frames: NDArray[np.uint8], found: Sequence[NDArray[np.float64]], settings: Tracks
    ) -> list[NDArray[np.float64]]:
        """The persons in each frame with the number of their track: by BoT-SORT, unless overridden.

        Args:
            frames: RGB, shape (T, H, W, 3), 30 a second.
            found: what `detect` found in them.
            settings: those of the recipe.

        Returns:
            T arrays of shape (n, 6): as `detect`, and the track, from 0; -1 where there is none yet.
        """
        from microg_bench.curation.detectors.botsort import botsort

        return botsort(frames, found, self.thresholds, settings)


def find_detector(name: str) -> type[PersonDetector]:
    """The detector of a name.

    Raises:
        UsageError: there is none, it cannot be imported, or is none.
    """
    points = _points()
    if name not in points:
        raise UsageError(unknown("detector", name, points), item="--detector")
    point = points[name]
    try:
        found = point.load()
    except Exception as error:  # somebody else's code
        raise UsageError(f"{name} ({point.value}): {first_line(error)}", item="--detector") from None
    if not (isinstance(found, type) and issubclass(found, PersonDetector)):
        raise UsageError(f"{name} ({point.value}) is no detector", item="--detector")
    return found


def _points() -> dict[str, EntryPoint]:
    """The entry points by name.

    Raises:
        UsageError: two packages register the same name.
    """
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        if point.name in found and point.value != found[point.name].value:
            reason = f"two packages register {point.name}: {point.value} and {found[point.name].value}"
            raise UsageError(reason, item="--detector")
        found[point.name] = point
    return found
