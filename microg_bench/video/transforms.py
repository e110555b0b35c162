"""Changes what is shown of a clip, to see whether a model's answers follow from it.

A transform is written as ``NAME`` or ``NAME:AMOUNT``. Those of a run are applied in the order given. Chance
follows from the clip and a seed alone: the same clip is changed in the same way in every run.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from microg_bench.errors import UsageError
from microg_bench.text import unknown

if TYPE_CHECKING:
    from microg_bench.video.decode import Frames

Pixels = NDArray[np.uint8]
NO_FRAMES, SWAP = "no-frames", "swap"  # what is decoded is changed, not the frames


@dataclass(frozen=True)
class Transform:
    """One transform, as ``rotate:90``; `amount` is None for those that take none."""

    name: str
    amount: float | None = None

    def __str__(self) -> str:
        """The form in which it is written."""
        return self.name if self.amount is None else f"{self.name}:{self.amount:g}"


@dataclass(frozen=True)
class _Kind:
    """What a name stands for: what is changed, and which amounts there are, from `least` to `most`."""

    change: Callable[[Pixels, float, np.random.Generator], Pixels] | None = None
    order: Callable[[int, np.random.Generator], Sequence[int]] | None = None
    bounds: tuple[float, float] | None = None


def parse_transforms(given: Iterable[str]) -> tuple[Transform, ...]:
    """Read transforms from their written forms.

    Raises:
        UsageError: one is not known, or its amount is missing, too many or out of range; or `no-frames` and
            another are given.
    """
    found = tuple(map(_parse, given))
    names = [one.name for one in found]
    if NO_FRAMES in names and len(names) > 1:
        raise UsageError(f"{NO_FRAMES} leaves no frames for another transform: give it alone")
    if names.count(SWAP) > 1:
        raise UsageError(f"{SWAP} twice: give it once")
    return found


def _parse(text: str) -> Transform:
    name, colon, number = text.strip().partition(":")
    if name not in KINDS:
        raise UsageError(unknown("transform", name, KINDS))
    bounds = KINDS[name].bounds
    if bounds is None:
        if colon:
            raise UsageError(f"{text}: {name} takes no amount")
        return Transform(name)
    try:
        amount = float(number)
    except ValueError:
        raise UsageError(f"{text}: give {name}:NUMBER") from None
    least, most = bounds
    if not least <= amount <= most:
        raise UsageError(f"{text}: {name} takes {least:g} to {most:g}")
    return Transform(name, amount % 360 if name == "rotate" else amount)


def transformed(
    frames: Frames, transforms: Sequence[Transform], clip: str, seed: int = 0
) -> tuple[Frames, tuple[int, ...]]:
    """The frames as they are shown, and which frames of the clip they are, in the order of showing.

    The times that a model is told stay as they are: they belong to the places of the frames.

    Args:
        frames: as decoded.
        transforms: in order; `swap` and `no-frames` are those of the caller, who decodes.
        clip: its id, from which chance follows, with `seed`.
        seed: of the run.
    """
    pixels, shown = frames.pixels, np.array(frames.indices)
    for number, one in enumerate(transforms):
        kind = KINDS[one.name]
        chance = generator(clip, f"{seed} {number} {one}")
        if kind.order is not None:
            order = list(kind.order(len(pixels), chance))
            pixels, shown = pixels[order], shown[order]
        if kind.change is not None:
            pixels = kind.change(pixels, one.amount or 0.0, chance)
    pixels = np.ascontiguousarray(pixels)
    changed = [clip, str(seed), *map(str, transforms)] if transforms else []
    told = " ".join(filter(None, [frames.changed, *changed]))
    return replace(frames, pixels=pixels, changed=told), tuple(map(int, shown))


def generator(clip: str, what: str) -> np.random.Generator:
    """Chance that follows from a clip and from what it is for alone."""
    digest = hashlib.sha256(f"{clip}\n{what}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def _rotated(pixels: Pixels, degrees: float, chance: np.random.Generator) -> Pixels:
    """Turned counter-clockwise on the square around the frame, which is black outside of it.

    The side of the square is the diagonal of the frame: no angle loses anything, and all angles give frames
    of one size. Multiples of 90 degrees move pixels, others are resampled (bicubic).
    """
    square = _padded(pixels)
    turns, rest = divmod(degrees % 360, 90)
    if rest == 0:
        return np.rot90(square, int(turns), axes=(1, 2))
    image: Any = import_module("PIL.Image")
    bicubic = image.Resampling.BICUBIC
    turned = [np.asarray(image.fromarray(one).rotate(degrees, bicubic)) for one in square]
    return np.stack(turned)


def _padded(pixels: Pixels) -> Pixels:
    """Frames in the middle of the square whose side is their diagonal."""
    count, height, width, channels = pixels.shape
    side = math.ceil(math.hypot(height, width))
    square = np.zeros((count, side, side, channels), np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[:, top : top + height, left : left + width] = pixels
    return square


def _mirrored(pixels: Pixels, amount: float, chance: np.random.Generator) -> Pixels:
    return pixels[:, :, ::-1]


def _noisy(pixels: Pixels, deviation: float, chance: np.random.Generator) -> Pixels:
    """With normal noise of this standard deviation, in levels of 0 to 255, on each channel of each pixel."""
    found = np.empty_like(pixels)
    for number, one in enumerate(pixels):  # one at a time, since noise takes 8 bytes a value
        noise = chance.standard_normal(one.shape, dtype=np.float32) * np.float32(deviation)
        found[number] = np.clip(np.rint(one + noise), 0, 255).astype(np.uint8)
    return found


def _cropped(pixels: Pixels, share: float, chance: np.random.Generator) -> Pixels:
    """The middle of the frames, of this share of each side."""
    _, height, width, _ = pixels.shape
    tall, wide = (max(1, round(share * side)) for side in (height, width))
    top, left = (height - tall) // 2, (width - wide) // 2
    return pixels[:, top : top + tall, left : left + wide]


def _shuffled(count: int, chance: np.random.Generator) -> Sequence[int]:
    """Another order than the clip's, all others equally likely."""
    order = chance.permutation(count)
    while count > 1 and (order == np.arange(count)).all():
        order = chance.permutation(count)
    return [int(place) for place in order]


KINDS: Mapping[str, _Kind] = {
    "rotate": _Kind(change=_rotated, bounds=(-360, 360)),
    "mirror": _Kind(change=_mirrored),
    "crop": _Kind(change=_cropped, bounds=(0.01, 1)),
    "noise": _Kind(change=_noisy, bounds=(0, 255)),
    "reverse": _Kind(order=lambda count, chance: range(count - 1, -1, -1)),
    "shuffle": _Kind(order=_shuffled),
    "freeze": _Kind(order=lambda count, chance: [count // 2] * count),
    SWAP: _Kind(),
    NO_FRAMES: _Kind(),
}
