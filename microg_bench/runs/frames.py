"""Where the frames of a clip come from during a run: decoded ahead of the model, each clip once.

Each source is an asynchronous stream over the work, in order. A clip that cannot be shown comes with its
`DecodeError` instead, so that it fails alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from microg_bench.errors import DecodeError
from microg_bench.records import Clip, Request
from microg_bench.storage import Journal, file_sha256, read_journal
from microg_bench.video.sampling import indices

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from microg_bench.adapters.base import Baseline
    from microg_bench.progress import Progress
    from microg_bench.runs.configure import Configuration
    from microg_bench.video.decode import Frames
    from microg_bench.video.pool import DecodePool
    from microg_bench.video.sampling import FrameSpec, FrameUnion


@dataclass(frozen=True)
class Shown:
    """What a model is shown of a clip: frames, with their indices for the record, or the file itself.

    `clip_sha256` tells the file that they come from; see `Answer`. `donor` are the frames of the clip that is
    shown in place of this one, where some run variant does that.
    """

    frames: Frames | None = None
    indices: tuple[int, ...] = ()
    video: Path | None = None
    clip_sha256: str | None = None
    donor: Shown | DecodeError | None = None

    def only(self, spec: FrameSpec) -> Shown:
        """With the frames that `spec` asks for, among those that were decoded."""
        if self.frames is None:
            return self
        picks = indices(spec, [0.0] * self.frames.total)
        frames = self.frames if picks == self.frames.indices else self.frames.only(picks)
        return replace(self, frames=frames, indices=frames.indices, donor=None)


class OfClip(Protocol):
    """Anything that concerns one clip."""

    @property
    def clip(self) -> Clip:
        """The clip."""

    @property
    def donor(self) -> Clip | None:
        """The clip that is shown in its place, if one is."""


Of = TypeVar("Of", bound=OfClip)
FrameStream = AsyncIterator[tuple[Of, Shown | DecodeError]]


def open_pool(workers: int) -> DecodePool:
    """A pool of `workers` processes that decode clips."""
    from microg_bench.video.pool import DecodePool

    return DecodePool(workers=workers)


def shown_alike(requests: Sequence[Request]) -> Iterator[Sequence[Request]]:
    """The requests of a clip in groups that are shown the same: each person alone, all others together."""
    for person, group in groupby(requests, key=lambda request: request.person):
        own = list(group)
        yield from [own] if person is None else ([one] for one in own)


async def own_frames(one: Configuration, request: Request, shown: Shown | DecodeError) -> Shown | DecodeError:
    """What a run variant that shows frames shows to a request, among what was decoded for several."""
    if request.person and isinstance(shown, Shown) and shown.frames:
        from microg_bench.video.persons import with_person

        shown = replace(shown, frames=await asyncio.to_thread(with_person, shown.frames, request.person))
    return await of_clip(one, request.video_id, shown)


async def of_clip(one: Configuration, clip: str, shown: Shown | DecodeError) -> Shown | DecodeError:
    """What a run variant that shows frames shows of a clip, among what was decoded for several."""
    if isinstance(shown, DecodeError) or shown.frames is None:
        return shown
    if not one.transforms:
        return shown.only(one.frames) if one.frames else shown
    from microg_bench.runs.transforms import show

    return await show(one, clip, shown)


async def whole_clips(work: Iterable[Of]) -> FrameStream[Of]:
    """For models that are sent the file."""
    for one in work:
        file = one.clip.video
        yield one, Shown(video=file, clip_sha256=clip_sha256(file)) if file else _no_video(one.clip)


async def decoded(work: Iterable[Of], pool: DecodePool, spec: FrameSpec | FrameUnion) -> FrameStream[Of]:
    """Decode in `pool`, as many clips as it allows before the model has taken them."""
    waiting: deque[Decoding[Of]] = deque()
    open_work = iter(work)
    while True:
        while len(waiting) < pool.ahead and (one := next(open_work, None)):
            waiting.append(Decoding.of(one, pool, spec))
        if not waiting:
            return
        yield await waiting.popleft().shown()


@dataclass(frozen=True)
class Decoding(Generic[Of]):
    """Work whose clip is being decoded, and the clip that is shown in its place, if one is."""

    work: Of
    frames: _ClipDecoding
    donor: _ClipDecoding | None

    @classmethod
    def of(cls, work: Of, pool: DecodePool, spec: FrameSpec | FrameUnion) -> Decoding[Of]:
        """Queue the clip in `pool`."""
        donor = _ClipDecoding.of(work.donor, pool, spec) if work.donor else None
        return cls(work, _ClipDecoding.of(work.clip, pool, spec), donor)

    async def shown(self) -> tuple[Of, Shown | DecodeError]:
        """The work with what is shown, when it has been decoded."""
        found = await self.frames.shown()
        if self.donor is None or isinstance(found, DecodeError):
            return self.work, found
        return self.work, replace(found, donor=await self.donor.shown())


@dataclass(frozen=True)
class _ClipDecoding:
    """A clip that is being decoded; `frames` is None where it has no video."""

    clip: Clip
    frames: Future[Frames] | None
    clip_sha256: str | None

    @classmethod
    def of(cls, clip: Clip, pool: DecodePool, spec: FrameSpec | FrameUnion) -> _ClipDecoding:
        file = clip.video
        return cls(clip, pool.submit(file, spec) if file else None, clip_sha256(file))

    async def shown(self) -> Shown | DecodeError:
        if self.frames is None:
            return _no_video(self.clip)
        try:
            frames = await asyncio.wrap_future(self.frames)
        except DecodeError as error:
            return error
        return Shown(frames, frames.indices, clip_sha256=self.clip_sha256)


def clip_sha256(file: Path | None) -> str | None:
    """The first 16 hex digits of the SHA-256 of a clip's file; None where there is none that can be read."""
    try:
        return file_sha256(file)[:16] if file else None
    except OSError:
        return None


def _no_video(clip: Clip) -> DecodeError:
    reason = "the dataset holds no video of this clip"
    if clip.video_fault:
        reason += f" that can be used: {clip.video_fault}; `microg-bench data check` tells more"
    return DecodeError(reason, item=clip.video_id)


@dataclass(frozen=True)
class Description:
    """The descriptor of a clip, and the frames that it was made from: their indices, and of which file."""

    descriptor: NDArray[np.float64]
    indices: tuple[int, ...]
    clip_sha256: str | None = None


Descriptions = Mapping[str, Description | DecodeError]


def descriptors_of(descriptions: Descriptions) -> dict[str, NDArray[np.float64]]:
    """The descriptors of the clips that could be described, by their ids."""
    return {name: one.descriptor for name, one in descriptions.items() if isinstance(one, Description)}


async def described(work: Iterable[Of], descriptions: Descriptions) -> FrameStream[Of]:
    """For baselines that see: the clip has been described before the first answer."""
    for one in work:
        found = descriptions[one.clip.video_id]
        if isinstance(found, DecodeError):
            yield one, found
        else:
            yield one, Shown(indices=found.indices, clip_sha256=found.clip_sha256)


@dataclass(frozen=True)
class _Undescribed:
    clip: Clip
    donor: Clip | None = None


def read_descriptions(path: Path, made_with: str) -> dict[str, Description]:
    """The descriptions in a file that were made with the same baseline and frames, the last of each clip.

    Raises:
        RunError: `path` is damaged.
    """
    import numpy as np

    return {
        line["id"]: Description(np.array(line["descriptor"]), tuple(line["frames"]), line["clip_sha256"])
        for _, line in read_journal(path)
        if line.get("made_with") == made_with
    }


async def describe_clips(
    one: Configuration,
    clips: Iterable[Clip],
    baseline: Baseline,
    pool: DecodePool,
    path: Path,
    progress: Progress,
) -> dict[str, Description | DecodeError]:
    """Describe `clips` as `one` shows them; what an interrupted run has already written to `path` is kept.

    A clip whose file has changed since is described again.

    Raises:
        RunError: `path` is damaged or cannot be written.
    """
    import numpy as np

    if one.decoded is None:
        return {}
    chosen = [_Undescribed(clip, one.donors.get(clip.video_id)) for clip in clips]
    kept = read_descriptions(path, one.described_with)
    left = [work for work in chosen if _is_undescribed(work, kept)]
    found: dict[str, Description | DecodeError] = {**kept}
    progress.stage("describing clips", len(chosen), len(chosen) - len(left))
    with Journal(path) as journal:
        async for work, own in decoded(left, pool, one.decoded):
            progress.advance()
            name = work.clip.video_id
            shown = await of_clip(one, name, own)
            if isinstance(shown, DecodeError) or shown.frames is None:
                found[name] = shown if isinstance(shown, DecodeError) else DecodeError("no frames", item=name)
                continue
            vector = np.round(baseline.describe(shown.frames), 6)
            how = {
                "made_with": one.described_with,
                "clip_sha256": shown.clip_sha256,
                "frames": list(shown.indices),
            }
            journal.append({"id": name, **how, "descriptor": vector.tolist()})
            found[name] = Description(vector, shown.indices, shown.clip_sha256)
    return found


def _is_undescribed(work: _Undescribed, kept: Mapping[str, Description]) -> bool:
    name = work.clip.video_id
    return name not in kept or changed(work.donor or work.clip, kept[name])


def changed(
    clip: Clip, shown: Description, digest: Callable[[Path | None], str | None] = clip_sha256
) -> bool:
    """Whether the file of a clip is there, and another one than was described, by its `digest`."""
    return digest(clip.video) not in (None, shown.clip_sha256)
