"""Tracks: which persons a clip shows, and their boxes in every frame.

Persons are looked at in every so-many-th frame, and their boxes are held until the next. A person counts from
its so-many-th time on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from microg_bench.curation.finding import StageFinding
from microg_bench.curation.folder import Box
from microg_bench.curation.recipe import Interval, Tracks

VERSION = 1


def choose_persons(
    tracked: Sequence[NDArray[np.float64]],
    size: tuple[int, int],
    confident: float,
    motion: str,
    settings: Tracks,
) -> tuple[StageFinding, tuple[Box, ...]]:
    """The boxes of persons, in the order of frames; a clip without any is rejected.

    Args:
        tracked: the persons in each frame with their tracks, as `PersonDetector.track` gives them.
        size: width and height of the frames in pixels.
        confident: the confidence above which a box is taken.
        motion: "high" or "low".
        settings: those of the recipe.
    """
    chooser = _Chooser(size[0] * size[1], confident, settings.dominant, getattr(settings, motion))
    boxes: list[Box] = []
    for number, rows in enumerate(tracked, start=1):
        if number % chooser.interval.every == 0:
            chooser.look(rows)
        boxes += [one.model_copy(update={"frame": number}) for one in chooser.shown()]
    persons = len({one.person for one in boxes})
    numbers: dict[str, int | float | str | list[int]] = {"persons": persons, "motion": motion}
    if not persons:
        return StageFinding(False, "no person is large, clear and long enough in view", numbers), ()
    return StageFinding(True, "", numbers), tuple(boxes)


@dataclass
class _Chooser:
    """Chooses among tracked persons; `area` is that of a frame in pixels.

    `held` are the boxes since the last look, `only` is the person who then covered more than `dominant`.
    """

    area: float
    confident: float
    dominant: float
    interval: Interval
    numbers: dict[int, int] = field(default_factory=dict)  # of persons, by track, in the order of appearance
    seen: Counter[int] = field(default_factory=Counter)
    held: list[Box] = field(default_factory=list)
    only: int | None = None

    def look(self, rows: NDArray[np.float64]) -> None:
        """Take the persons of a frame, those of tracks that are large enough."""
        large = [self._box(row) for row in rows if row[5] >= 0 and self._is_large(row)]
        self.seen.update(box.person for box in large)
        clear = [box for box in large if box.confidence > self.confident]
        if self.only is not None:
            chosen = next((box for box in clear if box.person == self.only), None)
            self.only = self.only if chosen and self._share(chosen) >= self.dominant else None
        elif largest := max(clear, key=self._share, default=None):
            self.only = largest.person if self._share(largest) > self.dominant else None
        self.held = clear

    def shown(self) -> list[Box]:
        """The boxes that count now."""
        known = [box for box in self.held if self.seen[box.person] >= self.interval.detections]
        return [box for box in known if self.only in (None, box.person)]

    def _is_large(self, row: NDArray[np.float64]) -> bool:
        x1, y1, x2, y2 = map(int, row[:4])
        return x2 > x1 and y2 > y1 and (x2 - x1) * (y2 - y1) / self.area >= self.interval.area

    def _box(self, row: NDArray[np.float64]) -> Box:
        x1, y1, x2, y2 = (float(int(value)) for value in row[:4])
        person = self.numbers.setdefault(int(row[5]), len(self.numbers) + 1)
        return Box(
            frame=1, person=person, xmin=x1, ymin=y1, xmax=x2, ymax=y2, confidence=round(float(row[4]), 6)
        )

    def _share(self, box: Box) -> float:
        return (box.xmax - box.xmin) * (box.ymax - box.ymin) / self.area
