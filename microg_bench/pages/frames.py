"""Pictures of the frames that a model was shown: decoded and transformed again, as small JPEGs."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from microg_bench.dataset.load import Dataset
from microg_bench.errors import DecodeError
from microg_bench.runs.record import RunRecord
from microg_bench.settings import Settings
from microg_bench.video.decode import Frames
from microg_bench.video.pool import DecodePool
from microg_bench.video.sampling import FrameSpec
from microg_bench.video.transforms import parse_transforms, transformed

WIDTH = 320  # pixels of the longer side
QUALITY = 5  # quantiser of the encoder, 2 (best) to 31
AHEAD = 4
PICTURES = "pictures"  # the folder of pictures beside a page that stands among runs
FRAMES = "frames"  # the folder of the frames of clips

Write = Callable[[str, bytes], None]


@dataclass(frozen=True)
class Recorded:
    """What was shown of a clip: the indices of frames, in order, and of which clip where it was another."""

    indices: tuple[int, ...]
    clip: str | None = None


@dataclass(frozen=True)
class Strip:
    """The frames of a clip that were shown: (index, seconds from its first frame) each.

    `folder` holds their pictures in order as `0.jpg` and so on, relative to the pictures' folder; None where
    there are none, and `why` says the reason.
    """

    frames: tuple[tuple[int, float], ...] = ()
    folder: str | None = None
    why: str = ""


def frames_json(name: str, shown: Recorded | None, strip: Strip | None, within: str = "") -> dict[str, Any]:
    """The frames of a clip as `assets/components/frames.js` reads them; `within` holds the strip's folder."""
    clip: dict[str, Any] = {"id": name, **({"other": shown.clip} if shown and shown.clip else {})}
    if strip and strip.folder:
        return {**clip, "folder": within + strip.folder, "frames": strip.frames}
    why = {"why": strip.why} if strip and strip.why else {}
    return {**clip, **why, "frames": [[index] for index in (shown.indices if shown else ())]}


def same_frames(settings: Iterable[Settings]) -> bool:
    """Whether runs were shown the same frames of each clip: the seed counts where these were transformed."""
    return len({(one.shown, one.generation.seed if one.transforms else None) for one in settings}) <= 1


def recorded(runs: Iterable[RunRecord]) -> dict[str, Recorded]:
    """What was shown, by clip."""
    found: dict[str, Recorded] = {}
    for run in runs:
        for name, answer in run.answers.items():
            if answer.frames:
                clip = name if run.settings.task == "caption" else name.rpartition("#")[0]
                found.setdefault(clip, Recorded(answer.frames, answer.shown_clip))
    return found


def why_none(settings: Settings, dataset: Dataset | None, wanted: bool = True) -> str | None:
    """Why a page has no pictures at all; None where it has. `wanted` tells whether they were asked for."""
    if settings.shown == "clip":
        return "The model was sent each clip as its file, so no frames were decoded that could be shown."
    if settings.frames is None:
        return "This model sees no video."
    if "no-frames" in settings.transforms:
        return "The model was asked without frames."
    if not wanted:
        return "Pictures of the frames were left out of this page."
    if dataset is None or not dataset.has_video:
        return "There are no pictures of the frames: no videos were at hand when this page was made."
    return None


def evenly(clips: Collection[str], most: int) -> list[str]:
    """At most `most` of the clips, which lie evenly among all."""
    return list(clips)[:: max(1, -(-len(clips) // most))]


def note_of_some(pictured: int, clips: int) -> str | None:
    """What a page says where frames are drawn of some clips alone; None where they are of all."""
    if pictured == clips:
        return None
    return f"Frames are drawn of {pictured:,} of {clips:,} clips, which lie evenly among all."


def draw(
    dataset: Dataset,
    settings: Settings,
    shown: Mapping[str, Recorded],
    write: Write,
    step: Callable[[], None],
    into: str = FRAMES,
) -> dict[str, Strip]:
    """Write the pictures of all clips in `shown`, in order, as `INTO/CLIP/0.jpg` and so on.

    Folders are numbered as the clips of the dataset, so that no id names a file.

    Args:
        dataset: with the videos.
        settings: of the run, which samples frames.
        shown: what was recorded, by clip.
        write: takes a relative name and its content.
        step: called after each clip.
        into: the folder of the pictures.

    Returns:
        A strip for each clip in `shown`; without pictures where the video is missing, cannot be decoded, or
        is not the one that was shown.
    """
    strips: dict[str, Strip] = {}
    spec = settings.frames
    if spec is None:
        raise AssertionError("a run without frames has no pictures: see why_none")
    with DecodePool() as pool:
        for place, name, future in _decoded(dataset, spec, shown, pool):
            found = _shown(settings, name, shown[name], future)
            folder = f"{place:05d}"
            strips[name] = found if isinstance(found, Strip) else _strip(into, folder, *found, write)
            step()
    return strips


def draw_clips(
    dataset: Dataset, clips: Collection[str], spec: FrameSpec, write: Write, step: Callable[[], None]
) -> dict[str, Strip]:
    """Write pictures of some frames of `clips`, in dataset order, as `frames/CLIP/0.jpg` and so on.

    Args:
        dataset: with the videos.
        clips: their ids.
        spec: which frames.
        write: takes a relative name and its content.
        step: called after each clip.

    Returns:
        A strip for each clip; without pictures where there is no video, or it cannot be decoded.
    """
    strips: dict[str, Strip] = {}
    with DecodePool() as pool:
        for place, name, future in _decoded(dataset, spec, dict.fromkeys(clips, Recorded(())), pool):
            strips[name] = _drawn(future, f"{place:05d}", write)
            step()
    return strips


def _drawn(future: Future[Frames] | None, folder: str, write: Write) -> Strip:
    if future is None:
        return Strip()
    try:
        frames = future.result()
    except DecodeError as error:
        return Strip(why=str(error))
    return _strip(FRAMES, folder, frames, frames.indices, write)


def _decoded(
    dataset: Dataset, spec: FrameSpec, shown: Mapping[str, Recorded], pool: DecodePool
) -> Iterator[tuple[int, str, Future[Frames] | None]]:
    """The clips in `shown` with their place in the dataset and the frames shown, a few decoded ahead."""
    videos = {clip.video_id: clip.video for clip in dataset.clips}
    waiting: deque[tuple[int, str, Future[Frames] | None]] = deque()
    for place, clip in enumerate(dataset.clips):
        if clip.video_id in shown:
            video = videos.get(shown[clip.video_id].clip or clip.video_id)
            waiting.append((place, clip.video_id, pool.submit(video, spec) if video else None))
        if len(waiting) > AHEAD:
            yield waiting.popleft()
    yield from waiting


def _shown(
    settings: Settings, name: str, recorded: Recorded, future: Future[Frames] | None
) -> tuple[Frames, tuple[int, ...]] | Strip:
    """The frames as they were shown, with their indices in order; a strip that says why there are none."""
    if future is None:
        return Strip(why="the dataset at hand holds no video of this clip")
    try:
        found = future.result()
    except DecodeError as error:
        return Strip(why=str(error))
    transforms, seed = parse_transforms(settings.transforms), settings.generation.seed
    frames, order = transformed(found, transforms, name, seed)
    if order != recorded.indices:
        return Strip(why="the video at hand is not the one that the model was shown: it gives other frames")
    return frames, order


def _strip(into: str, folder: str, frames: Frames, order: tuple[int, ...], write: Write) -> Strip:
    for place, picture in enumerate(jpegs(frames.pixels)):
        write(f"{into}/{folder}/{place}.jpg", picture)
    times = dict(zip(frames.indices, frames.timestamps, strict=True))
    return Strip(tuple((index, round(times[index], 3)) for index in order), folder)


def jpegs(pixels: NDArray[np.uint8], longest: int = WIDTH) -> list[bytes]:
    """Pictures of RGB frames, (T, H, W, 3), at most `longest` pixels on the longer side; always the same."""
    height, width = pixels.shape[1:3]
    scale = min(1.0, longest / max(height, width))
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
