"""What a network is shown of a key frame: the frames about it, scaled and normalised, and its boxes."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from microg_bench.errors import DecodeError
from microg_bench.har.recipe import Input, Training
from microg_bench.persons.keyframes import KeyFrame, decoded_clips
from microg_bench.video.decode import Frames
from microg_bench.video.pool import DecodePool

MEAN, DEVIATION = 0.45, 0.225  # of each colour, of values from 0 to 1
FLIPPED = 0.5  # share of the clips that are mirrored in training


@dataclass(frozen=True, eq=False)
class ClipTensors:
    """A key frame as a network takes it.

    Attributes:
        key_frame: which one.
        frames: float32 (3, T, H, W), normalised.
        boxes: float32 (n, 4), corners in pixels.
        kept: which boxes of the key frame these are.
    """

    key_frame: KeyFrame
    frames: Tensor
    boxes: Tensor
    kept: tuple[int, ...]


def window(frame: int, given: Input) -> list[int]:
    """The positions of the frames about a key frame; they may lie before the clip or beyond its end.

    `frames * rate` frames, the middle of which is the key frame, of which every `rate`-th is taken. A
    position before the clip stands for its first frame, one beyond its end for its last.
    """
    middle, half = frame - given.first_frame, given.frames * given.rate // 2
    return list(range(middle - half, middle + half, given.rate))


def decoded(
    key_frames: Sequence[KeyFrame], given: Input, pool: DecodePool
) -> Iterator[tuple[KeyFrame, NDArray[np.uint8] | DecodeError]]:
    """Each key frame with its frames, uint8 (T, H, W, 3), or why there are none.

    A clip is decoded once for all its key frames that follow one another, in the pool, ahead of what is
    taken.
    """
    clips = decoded_clips(key_frames, lambda one: (max(0, at) for at in window(one.frame, given)), pool)
    for group, frames in clips:
        for one in group:
            yield one, frames if isinstance(frames, DecodeError) else _of_window(frames, one, given)


def _of_window(frames: Frames, key_frame: KeyFrame, given: Input) -> NDArray[np.uint8] | DecodeError:
    if key_frame.frame > frames.total:
        return DecodeError(
            f"there is no frame {key_frame.frame}: it has {frames.total}", path=key_frame.video
        )
    picks = [min(max(at, 0), frames.total - 1) for at in window(key_frame.frame, given)]
    return frames.only(picks).pixels


def shown(key_frame: KeyFrame, pixels: NDArray[np.uint8], side: int, *, square: bool = False) -> ClipTensors:
    """Scale the short side to `side`, and crop the middle to a square if asked; no box is left out."""
    frames, boxes = _scaled(pixels, key_frame.boxes, side)
    if square:
        top, left = (math.ceil((size - side) / 2) for size in frames.shape[2:])
        frames, boxes = _cropped(frames, boxes, top, left, side)
    return ClipTensors(key_frame, _normalised(frames), _within(boxes, frames), tuple(range(len(boxes))))


def shown_in_training(
    key_frame: KeyFrame,
    pixels: NDArray[np.uint8],
    training: Training,
    random: np.random.Generator,
    *,
    flat: bool,
) -> ClipTensors:
    """Scale the short side by chance, crop a square by chance, mirror by chance.

    Boxes that the crop leaves no area of are kept if `flat`, as the published training keeps them.
    """
    low, high = training.short_sides
    side = round(1 / random.uniform(1 / high, 1 / low))
    frames, boxes = _scaled(pixels, key_frame.boxes, side)
    top, left = (int(random.integers(0, size - training.crop + 1)) for size in frames.shape[2:])
    frames, boxes = _cropped(frames, boxes, top, left, training.crop)
    boxes = _within(boxes, frames)
    if random.random() < FLIPPED:
        frames = frames.flip(3)
        boxes = torch.stack(
            [frames.shape[3] - 1 - boxes[:, 2], boxes[:, 1], frames.shape[3] - 1 - boxes[:, 0], boxes[:, 3]],
            1,
        )
    areas = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    kept = tuple(k for k in range(len(boxes)) if flat or areas[k])
    return ClipTensors(key_frame, _normalised(frames), boxes[list(kept)], kept)


def _scaled(pixels: NDArray[np.uint8], shares: NDArray[np.float64], side: int) -> tuple[Tensor, Tensor]:
    """Frames (3, T, H, W) from 0 to 255 in whole numbers, whose short side is `side`; boxes in pixels."""
    height, width = pixels.shape[1:3]
    frames = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    long = math.floor(max(height, width) / min(height, width) * side)
    size = (side, long) if height <= width else (long, side)
    if size != (height, width):
        frames = functional.interpolate(frames, size=size, mode="bilinear", align_corners=False).round_()
    boxes = torch.from_numpy(shares * [size[1], size[0], size[1], size[0]]).float()
    return frames.transpose(0, 1), boxes


def _cropped(frames: Tensor, boxes: Tensor, top: int, left: int, side: int) -> tuple[Tensor, Tensor]:
    moved = boxes - torch.tensor([left, top, left, top])
    return frames[:, :, top : top + side, left : left + side], moved


def _within(boxes: Tensor, frames: Tensor) -> Tensor:
    """Boxes cut at the outermost pixels of the frames."""
    height, width = frames.shape[2:]
    limit = torch.tensor([width, height, width, height], dtype=torch.float32) - 1
    return torch.minimum(boxes.clamp(min=0), limit)


def _normalised(frames: Tensor) -> Tensor:
    return ((frames / 255 - MEAN) / DEVIATION).contiguous()


def stacked(batch: Sequence[ClipTensors]) -> tuple[Tensor, Tensor]:
    """Frames (B, 3, T, H, W) of clips of one size, and their boxes (K, 5) with the number of the clip."""
    boxes = [functional.pad(one.boxes, (1, 0), value=k) for k, one in enumerate(batch)]
    return torch.stack([one.frames for one in batch]), torch.cat(boxes)
