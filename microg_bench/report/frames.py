"""Pictures of the frames that a model was shown: decoded again at the recorded places, as small JPEGs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from microg_bench.dataset import Dataset
from microg_bench.errors import DecodeError, UsageError
from microg_bench.records import Clip
from microg_bench.report.part import Part
from microg_bench.video import DecodePool, Frames, FrameSpec

WIDTH = 320  # pixels of the longer side
QUALITY = 5  # quantiser of the encoder, 2 (best) to 31
AHEAD = 4

Recorded = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Strip:
    """The frames of a clip that were shown: (index, seconds from its first frame) each.

    `folder` holds their pictures as `INDEX.jpg`, relative to the pictures' folder; None where there are none,
    and `why` says the reason.
    """

    frames: tuple[tuple[int, float], ...] = ()
    folder: str | None = None
    why: str = ""


def recorded(parts: Iterable[Part]) -> dict[str, tuple[int, ...]]:
    """The indices of the frames that were shown, by clip."""
    found: dict[str, tuple[int, ...]] = {}
    for part in parts:
        clips = {one.id: one.video_id for one in part.asked}
        for name, answer in part.state.answers.items():
            if answer.frames and name in clips:
                found.setdefault(clips[name], answer.frames)
    return found


def spec_of(frames: str) -> FrameSpec | None:
    """The sampling that a run's setting `frames` names; None where none was decoded ("none", "clip")."""
    how, _, count = frames.partition(":")
    try:
        return FrameSpec.parse(int(count) if count.isdigit() else None, frames if how == "fps" else how)
    except UsageError:
        return None


def why_none(frames: str, dataset: Dataset | None, wanted: bool = True) -> str | None:
    """Why a page has no pictures at all; None where it has.

    Args:
        frames: the run's setting of that name.
        dataset: what is at hand.
        wanted: whether pictures were asked for.
    """
    if frames == "none":
        return "This model sees no video."
    if spec_of(frames) is None:
        return "The model was sent each clip as its file, so there are no frames of ours to show."
    if not wanted:
        return "Pictures of the frames were left out of this page."
    if dataset is None or not dataset.has_video:
        return "There are no pictures of the frames: no videos were at hand when this page was made."
    return None


def draw(
    dataset: Dataset,
    frames: str,
    shown: Recorded,
    write: Callable[[str, bytes], None],
    step: Callable[[], None],
) -> dict[str, Strip]:
    """Write the pictures of all clips in `shown`, each as `frames/CLIP/INDEX.jpg`.

    Folders are numbered as the clips of the dataset, so that no id names a file.

    Args:
        dataset: with the videos.
        frames: the run's setting of that name.
        shown: the recorded indices by clip.
        write: takes a relative name and its content.
        step: called after each clip.

    Returns:
        A strip for each clip in `shown`; without pictures where the video is missing, cannot be decoded, or
        is not the one that was shown.
    """
    spec = spec_of(frames)
    strips: dict[str, Strip] = {}
    with DecodePool() as pool:
        for place, clip, found in _decoded(dataset, spec, shown, pool):
            strips[clip.video_id] = _strip(f"{place:05d}", shown[clip.video_id], found, write)
            step()
    return strips


def _decoded(
    dataset: Dataset, spec: FrameSpec | None, shown: Recorded, pool: DecodePool
) -> Iterator[tuple[int, Clip, Frames | str]]:
    """The clips in `shown` with their place in the dataset and their frames, a few decoded ahead."""
    waiting: deque[tuple[int, Clip, Future[Frames] | None]] = deque()
    for place, clip in enumerate(dataset.clips):
        if clip.video_id in shown:
            waiting.append((place, clip, pool.submit(clip.video, spec) if clip.video and spec else None))
        if len(waiting) > AHEAD:
            yield _settled(*waiting.popleft())
    while waiting:
        yield _settled(*waiting.popleft())


def _settled(place: int, clip: Clip, future: Future[Frames] | None) -> tuple[int, Clip, Frames | str]:
    if future is None:
        return place, clip, "the dataset at hand holds no video of this clip"
    try:
        return place, clip, future.result()
    except DecodeError as error:
        return place, clip, str(error)


def _strip(
    folder: str, indices: tuple[int, ...], found: Frames | str, write: Callable[[str, bytes], None]
) -> Strip:
    if isinstance(found, str):
        return Strip(why=found)
    if found.indices != tuple(indices):
        return Strip(why="the video at hand is not the one that the model was shown: it gives other frames")
    for index, picture in zip(found.indices, jpegs(found.pixels), strict=True):
        write(f"frames/{folder}/{index}.jpg", picture)
    times = (round(seconds, 3) for seconds in found.timestamps)
    return Strip(tuple(zip(found.indices, times, strict=True)), folder)


def jpegs(pixels: NDArray[np.uint8]) -> list[bytes]:
    """Pictures of RGB frames, (T, H, W, 3), at most 320 pixels on the longer side; the same each time."""
    height, width = pixels.shape[1:3]
    scale = min(1.0, WIDTH / max(height, width))
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height = (max(2, 2 * round(side * scale / 2)) for side in (width, height))
    encoder.pix_fmt, encoder.time_base = "yuvj420p", Fraction(1, 25)
    encoder.thread_count = 1
    encoder.options = {"qmin": str(QUALITY), "qmax": str(QUALITY), "flags": "+bitexact"}
    packets = [
        packet
        for frame in pixels
        for packet in encoder.encode(
            av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(
                width=encoder.width, height=encoder.height, format="yuvj420p"
            )
        )
    ]
    return [bytes(packet) for packet in [*packets, *encoder.encode(None)]]
