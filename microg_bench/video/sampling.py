"""Chooses the frames of a clip that are shown to a model.

The rules are integer arithmetic on the number of frames that decode (and, for `fps`, on their times), so
the same clip gives the same frames on every machine and from every container.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import ValidationError, model_validator

from microg_bench.errors import UsageError
from microg_bench.records import Record, first_fault

MAX_FRAMES = 1024
MAX_RATE = 1000.0
# Matroska stores times in whole milliseconds: two rounded stamps can be off by one each.
TOLERANCE_S = 0.002

How = Literal["uniform", "endpoints", "fps", "all"]


class FrameSpec(Record):
    """Which frames to take of a clip.

    `uniform`: the middles of `count` equal spans of the clip; `endpoints`: `count` frames equally spaced
    from the first to the last; `fps`: the frame on display at 0, 1/`rate`, 2/`rate`, … seconds; `all`:
    every frame. `count` (1 to 1024) belongs to the first two, `rate` (above 0, at most 1000 a second) to
    `fps`.
    """

    count: int | None = None
    how: How = "uniform"
    rate: float | None = None

    @model_validator(mode="after")
    def _consistent(self) -> FrameSpec:
        counted = self.how in ("uniform", "endpoints")
        if counted and (self.count is None or not 1 <= self.count <= MAX_FRAMES):
            raise ValueError(f"the number of frames must be 1 to {MAX_FRAMES}, not {self.count}")
        if self.how == "fps" and (self.rate is None or not 0 < self.rate <= MAX_RATE):
            raise ValueError(
                f"the rate in fps:RATE must be above 0 and at most {MAX_RATE:g}, not {self.rate}"
            )
        if (self.count is not None and not counted) or (self.rate is not None and self.how != "fps"):
            raise ValueError(f"{self.how!r} sampling takes no {'rate' if counted else 'number of frames'}")
        return self

    @classmethod
    def parse(cls, frames: int | None, sampling: str = "uniform") -> FrameSpec:
        """Read the command-line forms ``uniform``, ``endpoints``, ``fps:RATE`` and ``all``.

        `frames` is the number for ``uniform`` and ``endpoints``; the other two set the number themselves
        and ignore it.

        Raises:
            UsageError: anything else, or a number out of range.
        """
        how, _, rate = sampling.partition(":")
        fields: dict[str, object]
        if how == "fps" and _is_number(rate):
            fields = {"how": how, "rate": float(rate)}
        elif sampling == "all":
            fields = {"how": sampling}
        elif sampling in ("uniform", "endpoints"):
            fields = {"how": sampling, "count": frames}
        else:
            raise UsageError(f"unknown sampling {sampling!r}: use uniform, endpoints, fps:RATE or all")
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise UsageError(first_fault(error)) from None

    def __str__(self) -> str:
        """Canonical short form: ``uniform:8``, ``endpoints:8``, ``fps:2`` or ``all``."""
        if self.how == "all":
            return "all"
        return f"{self.how}:{self.rate:.12g}" if self.how == "fps" else f"{self.how}:{self.count}"


class FramePositions(Record):
    """The frames at these positions, ascending from 0; one beyond the end of a clip is its last frame."""

    positions: tuple[int, ...]

    def __str__(self) -> str:
        """The positions, joined by commas."""
        return ",".join(map(str, self.positions))


class FrameUnion(Record):
    """All frames that any of several specs asks for, so that one decoding serves them all."""

    specs: tuple[FrameSpec | FramePositions, ...]

    def __str__(self) -> str:
        """The specs, joined by a plus sign."""
        return "+".join(map(str, self.specs))


Sampling = FrameSpec | FrameUnion | FramePositions


def union(specs: Iterable[FrameSpec]) -> FrameSpec | FrameUnion:
    """The frames that several specs, one or more, ask for together."""
    needed = tuple(dict.fromkeys(specs))
    return needed[0] if len(needed) == 1 else FrameUnion(specs=needed)


def indices(spec: Sampling, timestamps: Sequence[float]) -> tuple[int, ...]:
    """The positions of the frames to deliver, never decreasing, each in ``range(len(timestamps))``.

    `timestamps` are the times of all frames of the clip in seconds from the first, one or more, never
    decreasing; only `fps` reads more than their number. A clip with fewer frames than asked repeats frames
    by the same formula, so the number delivered is always the number asked.

    Raises:
        ValueError: there are no timestamps.
    """
    total = len(timestamps)
    if total == 0:
        raise ValueError("a clip without frames has none to choose from")
    if isinstance(spec, FrameUnion):
        return tuple(sorted({pick for one in spec.specs for pick in indices(one, timestamps)}))
    if isinstance(spec, FramePositions):
        return tuple(sorted({min(position, total - 1) for position in spec.positions}))
    if spec.how == "all":
        return tuple(range(total))
    if spec.how == "fps":
        return _at_rate(spec.rate or 0.0, timestamps)
    count = spec.count or 0
    if spec.how == "uniform" or count == 1:
        return tuple((2 * i + 1) * total // (2 * count) for i in range(count))
    last, gaps = total - 1, count - 1
    return tuple((2 * i * last + gaps) // (2 * gaps) for i in range(count))


def _at_rate(rate: float, timestamps: Sequence[float]) -> tuple[int, ...]:
    """Frames on display at k/rate, for every k/rate below the clip's end (its last time plus a mean gap)."""
    total, last = len(timestamps), timestamps[-1]
    end = last + last / (total - 1) if total > 1 else 0.0
    count = max(1, math.ceil((end - TOLERANCE_S) * rate))
    return tuple(max(0, bisect_right(timestamps, k / rate + TOLERANCE_S) - 1) for k in range(count))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
