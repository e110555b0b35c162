"""Runs a network over key frames: decodes ahead, in batches of clips of one size."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from numpy.typing import NDArray

from microg_bench.errors import DecodeError, EngineError
from microg_bench.har.clips import ClipTensors, decoded, shown, stacked
from microg_bench.har.models.head import ActionNetwork
from microg_bench.har.recipe import Input
from microg_bench.memory import halving
from microg_bench.persons.keyframes import KeyFrame
from microg_bench.progress import Progress
from microg_bench.records import Failure
from microg_bench.video.pool import DecodePool

DIGITS = 6  # of a logit


@dataclass
class Machine:
    """What computes: processes that decode, a torch device, and how many clips it is given at a time."""

    pool: DecodePool
    device: torch.device
    batch: int


def look(
    network: ActionNetwork,
    given: Input,
    key_frames: Sequence[KeyFrame],
    machine: Machine,
    progress: Progress,
    *,
    square: bool = False,
) -> Iterator[tuple[KeyFrame, NDArray[np.float64]]]:
    """The logits of each key frame as soon as its batch is computed, in no order.

    Args:
        network: on the device of the machine, in evaluation mode.
        given: what it is shown.
        key_frames: those of a clip follow one another.
        machine: its `batch` is halved where memory does not suffice.
        progress: is told of each key frame without logits: its clip is damaged, or they are not finite.
        square: whether frames are cropped to a square.

    Raises:
        EngineError: not even one clip fits in memory.
    """
    waiting: dict[tuple[int, ...], list[ClipTensors]] = {}
    for one, pixels in decoded(key_frames, given, machine.pool):
        if isinstance(pixels, DecodeError):
            progress.failure(Failure(id=one.id, stage="decode", reason=pixels.reason))
            progress.advance()
            continue
        ready = shown(one, pixels, given.short_side, square=square)
        size = tuple(ready.frames.shape)
        waiting.setdefault(size, []).append(ready)
        if len(waiting[size]) >= machine.batch:
            yield from _batch(network, waiting.pop(size), machine, progress)
    for group in waiting.values():
        yield from _batch(network, group, machine, progress)


def _batch(
    network: ActionNetwork, group: Sequence[ClipTensors], machine: Machine, progress: Progress
) -> Iterator[tuple[KeyFrame, NDArray[np.float64]]]:
    def too_large(one: ClipTensors, said: str) -> NDArray[np.float64]:
        size = "x".join(map(str, one.frames.shape[1:]))
        raise EngineError(f"not even one clip of {size} fits in memory ({said}): give another --device")

    run: Any = partial(logits_of, network, machine.device)
    results, fits = halving(run, group, len(group), too_large)
    if fits < len(group):
        progress.note(f"memory suffices for {fits} clips at a time, not for {len(group)}")
        machine.batch = fits
    for one, logits in zip(group, results, strict=True):
        if np.isfinite(logits).all():
            yield one.key_frame, logits
        else:
            reason = "the network gives numbers that are not finite: are these the weights of this model?"
            progress.failure(Failure(id=one.key_frame.id, stage="engine", reason=reason))
            progress.advance()


@torch.inference_mode()
def logits_of(
    network: ActionNetwork, device: torch.device, batch: Sequence[ClipTensors]
) -> list[NDArray[np.float64]]:
    """The logits of each clip of a batch, shape (boxes, outputs), as precise on a GPU as on a CPU."""
    frames, boxes = stacked(batch)
    with _whole_float32():
        logits = network(frames.to(device), boxes.to(device)).float().cpu()
    parts = logits.split([len(one.boxes) for one in batch])
    return [np.round(part.numpy().astype(float), DIGITS) for part in parts]


@contextmanager
def _whole_float32() -> Iterator[None]:
    """Convolutions in float32: by default cuDNN takes TF32, which moved a logit by 6e-3."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def share(key_frames: Sequence[KeyFrame], state: PartialState) -> list[KeyFrame]:
    """The key frames of one of several processes: those of a clip stay together."""
    clips = list(dict.fromkeys(one.video_id for one in key_frames))
    own = set(clips[state.process_index :: state.num_processes])
    return [one for one in key_frames if one.video_id in own]
