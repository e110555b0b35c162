"""Where the frames of a clip come from during a run: decoded ahead of the model, each clip once.

Each source is an asynchronous stream over the work, in order. A clip that cannot be shown comes with its
`DecodeError` instead, so that it fails alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from microg_bench.errors import DecodeError
from microg_bench.records import Clip
from microg_bench.storage import Journal, read_journal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from microg_bench.adapters.base import Baseline
    from microg_bench.progress import Progress
    from microg_bench.video.decode import Frames
    from microg_bench.video.pool import DecodePool
    from microg_bench.video.sampling import FrameSpec, FrameUnion


@dataclass(frozen=True)
class Shown:
    """What a model is shown of a clip: frames, with their indices for the record, or the file itself."""

    frames: Frames | None = None
    indices: tuple[int, ...] = ()
    video: Path | None = None


class OfClip(Protocol):
    """Anything that concerns one clip."""

    @property
    def clip(self) -> Clip:
        """The clip."""


Of = TypeVar("Of", bound=OfClip)
FrameStream = AsyncIterator[tuple[Of, Shown | DecodeError]]


async def whole_clips(work: Iterable[Of]) -> FrameStream[Of]:
    """For models that are sent the file."""
    for one in work:
        yield one, Shown(video=one.clip.video) if one.clip.video else _no_video(one.clip)


async def decoded(
    work: Iterable[Of], pool: DecodePool, spec: FrameSpec | FrameUnion, ahead: int
) -> FrameStream[Of]:
    """Decode in `pool`, at most `ahead` clips before the model has taken them."""
    waiting: deque[tuple[Of, Future[Frames] | None]] = deque()
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
    return DecodeError("the dataset holds no video of this clip", item=clip.video_id)


@dataclass(frozen=True)
class Description:
    """The descriptor of a clip, and the indices of the frames that it was made from."""

    descriptor: NDArray[np.float64]
    indices: tuple[int, ...]


Descriptions = Mapping[str, Description | DecodeError]


async def described(work: Iterable[Of], descriptions: Descriptions) -> FrameStream[Of]:
    """For baselines that see: the clip has been described before the first answer."""
    for one in work:
        found = descriptions[one.clip.video_id]
        yield one, found if isinstance(found, DecodeError) else Shown(indices=found.indices)


@dataclass(frozen=True)
class _Undescribed:
    clip: Clip


async def describe_clips(
    clips: Iterable[Clip],
    baseline: Baseline,
    pool: DecodePool,
    spec: FrameSpec,
    path: Path,
    progress: Progress,
) -> dict[str, Description | DecodeError]:
    """Describe every clip; what an interrupted run has already written to `path` is kept.

    Raises:
        RunError: `path` is damaged or cannot be written.
    """
    import numpy as np

    found: dict[str, Description | DecodeError] = {
        line["id"]: Description(np.array(line["descriptor"]), tuple(line["frames"]))
        for _, line in read_journal(path)
    }
    left = [_Undescribed(clip) for clip in clips if clip.video_id not in found]
    progress.stage("describing clips", len(found) + len(left), len(found))
    with Journal(path) as journal:
        async for one, shown in decoded(left, pool, spec, ahead=4):
            progress.advance()
            if isinstance(shown, DecodeError) or shown.frames is None:
                no_frames = DecodeError("no frames", item=one.clip.video_id)
                found[one.clip.video_id] = shown if isinstance(shown, DecodeError) else no_frames
                continue
            vector = np.round(baseline.describe(shown.frames), 6)
            line = {"id": one.clip.video_id, "frames": list(shown.indices), "descriptor": vector.tolist()}
            journal.append(line)
            found[one.clip.video_id] = Description(vector, shown.indices)
    return found
