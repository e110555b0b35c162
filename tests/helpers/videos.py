"""Small videos written for tests: every frame differs from the others, so that a wrong frame shows."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

TICKS = 90_000  # time base of the encoder: exact for all usual frame rates
# A constant quantiser: x264's rate control does not give the same bytes twice.
STEADY = {"libx264": {"qp": "22"}}


def picture(number: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Frame `number`, uint8 (H, W, 3): a moving gradient with a bright square that wanders over it."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    channels = (x + 3 * number, y + 5 * number, (x + y) // 2 + 7 * number)
    image = np.stack([channel % 256 for channel in channels], axis=-1).astype(np.uint8)
    side = max(4, height // 6)
    top, left = (11 * number) % (height - side), (17 * number) % (width - side)
    image[top : top + side, left : left + side] = (255, 240, number % 256)
    return image


def write_clip(
    path: Path,
    frames: int = 90,
    fps: float = 30,
    size: tuple[int, int] = (320, 240),
    codec: str = "libx264",
    *,
    times: Sequence[float] | None = None,
    rotation: int = 0,
    options: dict[str, str] | None = None,
    muxer: dict[str, str] | None = None,
    draw: Callable[[int, tuple[int, int]], NDArray[np.uint8]] = picture,
) -> Path:
    """Write a clip without sound; the suffix of `path` (mp4, mkv, webm, avi) decides the container.

    `times` gives each frame its time in seconds (variable frame rate) in place of `frames` and `fps`.
    `rotation` is how far the picture is to be turned for display, in degrees counter-clockwise. `options`
    go to the encoder, `muxer` to the container. `draw` makes the picture of a number and size.
    """
    rate = Fraction(fps).limit_denominator(1001)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=muxer or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=STEADY.get(codec, {}) | (options or {}))
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        # With more threads there would be more than one slice a frame.
        stream.codec_context.thread_count = 1
        if times is not None:
            stream.codec_context.time_base = Fraction(1, TICKS)
        if rotation:
            stream.set_display_rotation(rotation)
        for number in range(frames if times is None else len(times)):
            frame = av.VideoFrame.from_ndarray(draw(number, size), format="rgb24")
            frame.time_base = Fraction(1, TICKS) if times is not None else 1 / rate
            frame.pts = number if times is None else round(times[number] * TICKS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def remux(
    source: Path,
    path: Path,
    *,
    start: int = 0,
    without: Container[int] = (),
    replaced: dict[int, bytes] | None = None,
    muxer: dict[str, str] | None = None,
) -> Path:
    """Copy the video packets of `source` from number `start` on, in their order, without re-encoding.

    Their times are moved so that the first is shown at 0. `without` are packets to leave out, `replaced` is
    what others hold instead.
    """
    with av.open(str(source)) as given, av.open(str(path), "w", options=muxer or {}) as taken:
        stream = taken.add_stream_from_template(given.streams.video[0])
        packets = [packet for packet in given.demux(video=0) if packet.size]
        begin = packets[start].pts or 0
        for number, packet in enumerate(packets):
            if number < start or number in without:
                continue
            copy = av.Packet((replaced or {}).get(number, bytes(packet)))
            copy.time_base, copy.is_keyframe, copy.stream = packet.time_base, packet.is_keyframe, stream
            copy.pts, copy.dts = (packet.pts or 0) - begin, (packet.dts or 0) - begin
            taken.mux(copy)
    return path


def key_packets(path: Path) -> list[int]:
    """The numbers of the packets at which decoding may begin, by what the container says."""
    with av.open(str(path)) as container:
        return [number for number, packet in enumerate(container.demux(video=0)) if packet.is_keyframe]


def packet_places(path: Path) -> list[slice]:
    """Where in the file the bytes of each video packet are."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        return [slice(packet.pos or 0, (packet.pos or 0) + packet.size) for packet in packets]


def write_sound(path: Path, seconds: float = 1.0) -> Path:
    """Write a file of the kind that `path` names with silence and no picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        for start in range(0, int(seconds * 8000), 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 8000, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def full_decode(path: Path) -> NDArray[np.uint8]:
    """All frames in RGB, uint8 (T, H, W, 3), by the plainest means; any rotation is left alone."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
