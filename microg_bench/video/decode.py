"""Decodes exactly the frames of a clip that a `FrameSpec` asks for.

Every frame is decoded, since only that shows how many there are and whether the file is whole. Only those
asked for are converted to RGB. Which they are is guessed from the header and checked against the frames that
were decoded; a wrong guess costs a second pass, never a wrong frame.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from microg_bench.video import source
from microg_bench.video.sampling import MAX_FRAMES, Sampling, indices

MAX_BYTES = 4 * 1024**3


@dataclass(frozen=True, eq=False)
class Frames:
    """The frames of one clip as they are shown to a model.

    Attributes:
        pixels: uint8 (T, H, W, 3), RGB, C-contiguous, upright.
        indices: the T positions among all decoded frames, never decreasing; what the model is told of them.
        timestamps: the T times in seconds from the first frame of the clip.
        fps: average frames per second.
        total: frames decoded.
        duration: seconds, `total / fps`.
        changed: what was done to them, and of which clip they are where it is another; "" for nothing.
    """

    pixels: NDArray[np.uint8]
    indices: tuple[int, ...]
    timestamps: tuple[float, ...]
    fps: float
    total: int
    duration: float
    changed: str = ""

    def only(self, picks: Sequence[int]) -> Frames:
        """The frames at the positions `picks`, all of which are among `indices`, as if decoded alone."""
        places = [self.indices.index(pick) for pick in picks]
        times = tuple(self.timestamps[place] for place in places)
        return replace(self, pixels=self.pixels[places], indices=tuple(picks), timestamps=times)


def decode(
    path: str | os.PathLike[str],
    spec: Sampling,
    *,
    limit_s: float = 60.0,
    threads: int = 0,
    max_bytes: int = MAX_BYTES,
) -> Frames:
    """Decode the clip at `path` and return the frames that `spec` asks for.

    The pixels are those of a full decode converted to rgb24, turned upright where the file says so.

    Args:
        path: an mp4, mkv, webm or avi file.
        spec: which frames.
        limit_s: seconds; checked between packets. A decoder that hangs in native code needs a `DecodePool`.
        threads: decoding threads, 0 for as many as the machine has.
        max_bytes: of pixels, at 3 bytes each.

    Raises:
        DecodeError: the clip cannot be decoded whole, or more than 1024 frames or `max_bytes` are asked.
    """
    path, deadline = Path(path), source.Deadline(limit_s)
    found = _read(path, lambda stream: _guess(spec, stream), deadline, threads, max_bytes)
    picks = indices(spec, found.times)
    if len(picks) > MAX_FRAMES:
        raise source.refuse(path, f"{spec} asks for {len(picks)} frames, more than {MAX_FRAMES}")
    if picks != found.picks:
        found = _read(path, lambda stream: picks, deadline, threads, max_bytes)
    total = len(found.times)
    times = tuple(found.times[i] for i in picks)
    return Frames(found.pixels, picks, times, found.fps, total, total / found.fps)


@dataclass(frozen=True, eq=False)
class _Pass:
    """One full decode: the frames at `picks` in RGB, and the times of all frames."""

    picks: tuple[int, ...]
    pixels: NDArray[np.uint8]
    times: tuple[float, ...]
    fps: float


def _read(
    path: Path,
    choose: Callable[[VideoStream], tuple[int, ...]],
    deadline: source.Deadline,
    threads: int,
    max_bytes: int,
) -> _Pass:
    with source.open_video(path) as stream:
        picks = choose(stream)
        pixels = np.empty((0, 0, 0, 3), np.uint8)
        stamps: list[int | None] = []
        taken = 0
        for frame in source.read_frames(path, stream, deadline, threads=threads):
            if taken < len(picks) and picks[taken] == len(stamps):
                image = upright(path, frame)
                if taken == 0:
                    pixels = _buffer(path, len(picks), image, max_bytes)
                elif image.shape != pixels.shape[1:]:
                    raise source.refuse(path, f"its frame size changes at frame {len(stamps)}")
                copies = picks.count(len(stamps))
                pixels[taken : taken + copies] = image
                taken += copies
            stamps.append(frame.pts)
        rate = source.header_rate(stream)
        times = _times(stamps, stream.time_base, rate)
        return _Pass(picks, pixels, times, _fps(times, rate))


def _guess(spec: Sampling, stream: VideoStream) -> tuple[int, ...]:
    """The frames to take if the header is right; none where it says nothing usable."""
    rate = source.header_rate(stream)
    total = source.header_frames(stream) or round(source.header_duration(stream) * rate)
    if not rate or not 0 < total <= source.MAX_DECODED:
        return ()
    picks = indices(spec, [i / rate for i in range(total)])
    return picks if len(picks) <= MAX_FRAMES else ()


def _buffer(path: Path, count: int, image: NDArray[np.uint8], max_bytes: int) -> NDArray[np.uint8]:
    if count * image.nbytes > max_bytes:
        size, limit = f"{image.shape[1]}x{image.shape[0]}", f"{max_bytes / 1024**3:g} GiB"
        raise source.refuse(path, f"{count} frames of {size} exceed {limit} of pixels")
    return np.empty((count, *image.shape), np.uint8)


def upright(path: Path, frame: VideoFrame) -> NDArray[np.uint8]:
    """The frame in RGB, (H, W, 3), turned or mirrored as its display matrix says.

    The matrix takes a point (x, y) to (ax + cy, bx + dy); it is stored as a b u, c d v, x y w.
    """
    image = np.asarray(frame.to_ndarray(format="rgb24", threads=1), np.uint8)
    stored: Any = frame.side_data.get("DISPLAYMATRIX")
    if stored is None:
        return image
    a, b, _, c, d = (int(n) for n in np.sign(np.frombuffer(bytes(stored), np.int32)[:5]))
    turned: NDArray[np.uint8]
    if a and d and not b and not c:
        turned = image[::d, ::a]
    elif b and c and not a and not d:
        turned = image.transpose(1, 0, 2)[::b, ::c]
    else:
        raise source.refuse(path, "is to be shown at an angle that is no multiple of 90 degrees")
    return turned


def _times(stamps: Sequence[int | None], tick: Fraction | None, rate: float) -> tuple[float, ...]:
    """Seconds from the first frame, counted at `rate` where stamps are missing or run backwards."""
    known = [stamp for stamp in stamps if stamp is not None]
    if tick and len(known) == len(stamps) and all(a <= b for a, b in pairwise(known)):
        return tuple(float((stamp - known[0]) * tick) for stamp in known)
    return tuple(i / (rate or 1.0) for i in range(len(stamps)))


def _fps(times: Sequence[float], rate: float) -> float:
    """The header's rate if it accounts for the times within one frame, else the rate of the times."""
    gaps, span = len(times) - 1, times[-1]
    if span > 0 and not (rate and abs(rate * span - gaps) <= 1):
        return gaps / span
    return rate or 1.0
