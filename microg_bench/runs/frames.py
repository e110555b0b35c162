"""Where the frames of a clip come from during a run: decoded ahead of the model, each clip once.

Each source is an asynchronous stream over the work, in order. A clip that cannot be shown comes with its
`DecodeError` instead, so that it fails alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from microg_bench.adapters.base import Floor
from microg_bench.errors import DecodeError
from microg_bench.records import Clip
from microg_bench.runs.journal import Journal, read_journal
from microg_bench.runs.plan import Work
from microg_bench.video import DecodePool, Frames, FrameSpec, FrameUnion


@dataclass(frozen=True)
class Shown:
    """What a model is shown of a clip: frames, with their indices for the record, or the file itself."""

    frames: Frames | None = None
    indices: tuple[int, ...] = ()
    video: Path | None = None


FrameStream = AsyncIterator[tuple[Work, Shown | DecodeError]]


async def nothing_shown(work: Iterable[Work]) -> FrameStream:
    """For models that see no video."""
    for one in work:
        yield one, Shown()


async def whole(work: Iterable[Work]) -> FrameStream:
    """For models that are sent the file."""
    for one in work:
        yield one, Shown(video=one.clip.video) if one.clip.video else _no_video(one.clip)


async def decoded(
    work: Iterable[Work], pool: DecodePool, spec: FrameSpec | FrameUnion, ahead: int
) -> FrameStream:
    """Decode in `pool`, at most `ahead` clips before the model has taken them."""
    waiting: deque[tuple[Work, Future[Frames] | None]] = deque()
    open_work = iter(work)
    while True:
        while len(waiting) < ahead and (one := next(open_work, None)):
            waiting.append((one, pool.submit(one.clip.video, spec) if one.clip.video else None))
        if not waiting:
            return
        one, future = waiting.popleft()
        yield one, await _shown(one.clip, future)


async def _shown(clip: Clip, future: Future[Frames] | None) -> Shown | DecodeError:
    if future is None:
        return _no_video(clip)
    try:
        frames = await asyncio.wrap_future(future)
    except DecodeError as error:
        return error
    return Shown(frames, frames.indices)


def _no_video(clip: Clip) -> DecodeError:
    return DecodeError(f"{clip.video_id}: the dataset holds no video of this clip")


@dataclass(frozen=True)
class Description:
    """The descriptor of a clip, and the frames that it was made from."""

    descriptor: NDArray[np.float64]
    indices: tuple[int, ...]


async def described(work: Iterable[Work], gallery: dict[str, Description | DecodeError]) -> FrameStream:
    """For floors that see: the clip has been described before the first answer."""
    for one in work:
        found = gallery[one.clip.video_id]
        yield one, found if isinstance(found, DecodeError) else Shown(indices=found.indices)


async def make_gallery(
    clips: Iterable[Clip],
    floor: Floor,
    pool: DecodePool,
    spec: FrameSpec,
    path: Path,
    step: Callable[[], None],
) -> dict[str, Description | DecodeError]:
    """Describe every clip, going on with what an interrupted run has already written to `path`.

    Raises:
        RunError: `path` is damaged or cannot be written.
    """
    gallery: dict[str, Description | DecodeError] = {
        record["id"]: Description(np.array(record["descriptor"]), tuple(record["frames"]))
        for record in read_journal(path)
    }
    left = [Work(clip, ()) for clip in clips if clip.video_id not in gallery]
    with Journal(path) as journal:
        async for one, shown in decoded(left, pool, spec, ahead=4):
            step()
            if isinstance(shown, DecodeError) or shown.frames is None:
                gallery[one.clip.video_id] = (
                    shown if isinstance(shown, DecodeError) else DecodeError("no frames")
                )
                continue
            vector = np.round(floor.describe(shown.frames), 6)
            journal.append(
                {"id": one.clip.video_id, "frames": list(shown.indices), "descriptor": vector.tolist()}
            )
            gallery[one.clip.video_id] = Description(vector, shown.indices)
    return gallery
