"""What a run with transforms shows: frames that are changed, those of another clip, or none."""

import asyncio
from collections.abc import Mapping
from operator import attrgetter

from microg_bench.errors import DataError, DecodeError, UsageError
from microg_bench.options import Options, flag
from microg_bench.records import Clip
from microg_bench.runs.configure import Configuration
from microg_bench.runs.frames import Shown
from microg_bench.video.transforms import SWAP, Transform, generator, parse_transforms, transformed


def read_transforms(options: Options) -> tuple[Transform, ...]:
    """The transforms of a run.

    Raises:
        UsageError: see `parse_transforms`; or there are no frames that could be transformed.
    """
    if options.media == "clip":
        raise UsageError("does not apply: --media clip sends the whole file", item=flag("transforms"))
    try:
        return parse_transforms(options.transforms)
    except UsageError as error:
        raise UsageError(error.reason, item=flag("transforms")) from None


def choose_donors(one: Configuration) -> Mapping[str, Clip]:
    """The clip that is shown in place of each, where clips are swapped: of another source, by chance.

    The choice follows from the clip, the seed and the clips of the dataset that have a video.

    Raises:
        DataError: no other source has such a clip.
    """
    if not swaps(one):
        return {}
    usable = sorted((clip for clip in one.dataset.clips if clip.video), key=attrgetter("video_id"))
    by_source: dict[str, list[Clip]] = {}
    found = {}
    for clip in one.clips:
        if clip.source not in by_source:
            by_source[clip.source] = [other for other in usable if other.source != clip.source]
        others = by_source[clip.source]
        if not others:
            raise DataError("no other source has a clip with a video to show instead", item=clip.video_id)
        chance = generator(clip.video_id, f"{one.options.seed} {SWAP}")
        found[clip.video_id] = others[int(chance.integers(len(others)))]
    return found


def swaps(one: Configuration) -> bool:
    """Whether other clips are shown in place of those that are asked about."""
    return any(transform.name == SWAP for transform in one.transforms)


async def show(one: Configuration, clip: str, shown: Shown) -> Shown | DecodeError:
    """What a run shows, of what was decoded for several; in a thread, so that nothing else waits."""
    return await asyncio.to_thread(_show, one, clip, shown)


def _show(one: Configuration, clip: str, shown: Shown) -> Shown | DecodeError:
    if one.frames is None:
        return shown
    if one.decoded is None:
        return Shown()
    found = shown.donor if swaps(one) else shown
    if not isinstance(found, Shown):
        return found or DecodeError("the clip to show instead was not decoded", item=clip)
    own = found.only(one.frames)
    if own.frames is None:
        return own
    frames, order = transformed(own.frames, one.transforms, clip, one.options.seed)
    return Shown(frames, order, clip_sha256=own.clip_sha256)
