"""Opening a video file that may be broken or hostile, and reading all of its frames.

Every file is opened here and nowhere else: only regular files, only the containers of the benchmark, and
no demuxer that would follow a name inside the file to another file or to the network.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from microg_bench.errors import DecodeError
from microg_bench.records import Record
from microg_bench.text import printable
from microg_bench.video.containers import empty_avi_chunks, matroska_holes, matroska_size
from microg_bench.video.pictures import Pictures, pictures_of
from microg_bench.video.recovery import recovery_point

MAX_PIXELS = 64 * 1024 * 1024
MAX_DECODED = 100_000
_DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
# Matroska has no length of a single stream but by this tag: hours, minutes and seconds.
_DURATION_TAG = re.compile(r"(\d{1,4}):(\d\d):(\d\d(?:\.\d+)?)")
_CODEC_LIMITS = {"max_pixels": str(MAX_PIXELS)}
# Where frames are decoded in threads, a concealed error is marked on its frame too late to be seen at times;
# told to stop at errors, the decoder reports each of them, whatever the number of threads.
_STRICT = {"err_detect": "explode"}
_GUARDS = {"protocol_whitelist": "file", "format_whitelist": _DEMUXERS, **_CODEC_LIMITS}


def refuse(path: Path, reason: str) -> DecodeError:
    """The error that says what is wrong with `path`, naming the file but not its folder."""
    return DecodeError(reason, path=printable(path.name))


def too_slow(path: Path, limit_s: float) -> DecodeError:
    """The error for a clip that was given up after `limit_s` seconds."""
    return refuse(path, f"decoding took longer than {limit_s:g} s")


class Deadline:
    """The time by which a clip must be decoded: `limit_s` seconds from now."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._end = time.monotonic() + limit_s

    def check(self, path: Path) -> None:
        """Raise a `DecodeError` if the time is over."""
        if time.monotonic() > self._end:
            raise too_slow(path, self._limit_s)


@contextmanager
def open_video(path: Path) -> Iterator[VideoStream]:
    """Open `path` and yield its first real video stream (cover pictures do not count).

    Raises:
        DecodeError: the file is missing, empty, not a regular file, cut short, no mp4, mkv, webm or avi,
            without a video stream, or has frames above 64 megapixels; or libav fails inside the block.
    """
    _check_file(path)
    try:
        # The prefix keeps a name such as "concat:a" from being read as a protocol.
        container = av.open(f"file:{path}", options=_GUARDS, metadata_errors="replace")
    except av.error.FFmpegError as error:
        raise refuse(path, f"is not a readable mp4, mkv, webm or avi video ({_reason(error)})") from None
    with container:
        try:
            _check_whole(path, container)
            yield _video_stream(path, container)
        except av.error.FFmpegError as error:
            raise refuse(path, f"cannot be decoded ({_reason(error)})") from None


def video_bytes(path: Path, limit: int) -> bytes:
    """The content of a video file.

    Raises:
        DecodeError: it is no video that `open_video` accepts, or larger than `limit` bytes.
    """
    with open_video(path):
        pass
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise refuse(path, f"cannot be read ({error.strerror})") from None
    if len(content) > limit:
        raise refuse(path, f"is larger than {limit >> 20} MiB, which is the most that is sent whole")
    return content


def read_frames(
    path: Path, stream: VideoStream, deadline: Deadline, *, threads: int = 0
) -> Iterator[VideoFrame]:
    """Decode the stream from its start and yield every frame in the order of display.

    `threads` is the number of decoding threads, 0 for as many as the machine has.

    Raises:
        DecodeError: a packet or frame is damaged, there are no frames, fewer than the file holds and its
            header promises, or more than 100,000, or the deadline has passed (checked at each packet).
    """
    packets = _container(stream).demux(stream)
    first = next(packets)
    cut = recovery_point(stream, first, _CODEC_LIMITS)
    _prepare(stream, threads, strict=cut is None)
    pictures = pictures_of(stream.codec_context.name, first, gradual=cut is not None and cut.gradual)
    stamps: list[int] = []
    for number, packet in enumerate(chain([first], packets)):
        if packet.is_corrupt:
            raise refuse(path, f"is cut short or damaged at packet {number}")
        if packet.size:  # the last has none, and asks for the frames that the decoder still holds
            pictures.add(packet)
            if cut and not stamps and cut.damaged(packet):
                raise refuse(path, "a picture before its first frame is damaged")
        for frame in packet.decode():
            if frame.is_corrupt:
                raise refuse(path, f"frame {len(stamps)} is damaged")
            stamps.append(frame.pts or 0)
            yield frame
        if len(stamps) > MAX_DECODED:
            raise refuse(path, f"has more than {MAX_DECODED} frames")
        deadline.check(path)
    _check_complete(path, stream, pictures, stamps)


@dataclass(frozen=True)
class Damage:
    """A part of a video that cannot be shown.

    Attributes:
        start: when the sound frame before it is shown no more, or the first time of the video; in seconds.
        end: the time of the next sound frame; at the end of the video, what its packets and header promise.
    """

    start: Fraction
    end: Fraction


def read_sound_frames(path: Path, stream: VideoStream, *, threads: int = 0) -> Iterator[VideoFrame | Damage]:
    """Yield the frames of a video of any length in the order of display, and the damage between them.

    Damage is told at the start and at the end, too: where the first packets cannot be decoded, and where the
    frames end before what the packets and the header promise. So is what libav passes over in Matroska.

    With more than one thread, the first damage is a `DecodeError`, since threads report it too late; read
    again with one thread then. Frames have times that do not run backwards.

    Raises:
        DecodeError: no frame is sound, or a frame has no time or one before that of the frame before it.
    """
    _prepare(stream, threads, strict=True)
    last: VideoFrame | None = None
    broken, packets = False, _PacketTimes(stream)
    for packet, hole in _packets_and_holes(path, stream):
        if hole is not None:
            if threads != 1:
                raise refuse(path, f"is damaged at byte {hole}")
            broken = True
        packets.add(packet, after_hole=hole is not None)
        try:
            frames = [] if packet.is_corrupt else packet.decode()
            broken = broken or packet.is_corrupt
        except av.error.FFmpegError as error:
            if threads != 1:
                raise refuse(path, f"is damaged ({_reason(error)})") from None
            frames, broken = [], True
        for frame in frames:
            if frame.is_corrupt or (broken and not frame.key_frame):
                broken = True
                continue
            if frame.pts is None or (last and time_of(frame) < time_of(last)):
                before = float(time_of(last)) if last else 0.0
                raise refuse(path, f"a frame after {before:.2f} s has no time, or an earlier one")
            if broken:
                yield Damage(_end_of(last, stream) if last else packets.start(frame), time_of(frame))
            last, broken = frame, False
            yield frame
    if last is None:
        raise refuse(path, "no frame can be decoded")
    end, promised = _end_of(last, stream), max(packets.end, _header_end(stream))
    if broken or end < promised:
        yield Damage(end, max(end, promised))


def _packets_and_holes(path: Path, stream: VideoStream) -> Iterator[tuple[Packet[VideoStream], int | None]]:
    """The packets of a stream, each with the offset of the last hole in the file since the one before."""
    holes = deque(matroska_holes(path) if _is_matroska(stream) else [])
    for packet in _container(stream).demux(stream):
        hole = None
        while holes and packet.pos is not None and packet.pos > holes[0]:
            hole = holes.popleft()
        yield packet, hole


class _PacketTimes:
    """The first and the last time that the packets of a stream have, in seconds."""

    def __init__(self, stream: VideoStream) -> None:
        self._stream = stream
        self._first: Fraction | None = None
        self.end = Fraction(0)

    def add(self, packet: Packet[VideoStream], *, after_hole: bool) -> None:
        """Note a packet; one that is not to be shown does not count.

        Where packets before the first one may be lost in a hole of the file, the video begins at 0.
        """
        if after_hole and self._first is None:
            self._first = Fraction(0)
        pts = packet.dts if packet.pts is None else packet.pts
        if pts is None or packet.is_discard:
            return
        time = pts * Fraction(packet.time_base)
        self._first = time if self._first is None else min(self._first, time)
        self.end = max(self.end, time + shown_for(packet, self._stream))

    def start(self, frame: VideoFrame) -> Fraction:
        """When the video begins whose first sound frame is `frame`."""
        return time_of(frame) if self._first is None else min(self._first, time_of(frame))


def time_of(frame: VideoFrame) -> Fraction:
    """When a frame is shown, in seconds."""
    return (frame.pts or 0) * Fraction(frame.time_base or 1)


def shown_for(one: VideoFrame | Packet[VideoStream], stream: VideoStream) -> Fraction:
    """How long a frame is shown, in seconds: as it says, or else by the rate of its stream."""
    if one.duration:
        return one.duration * Fraction(one.time_base or 1)
    rate = header_rate(stream)
    return 1 / Fraction(rate) if rate else Fraction(0)


def _end_of(frame: VideoFrame, stream: VideoStream) -> Fraction:
    return time_of(frame) + shown_for(frame, stream)


def _header_end(stream: VideoStream) -> Fraction:
    """When the video ends by its header, in seconds; Matroska states the end, the others a length."""
    length = Fraction(_own_duration(stream))
    if _is_matroska(stream):
        return length
    return length + (stream.start_time or 0) * Fraction(stream.time_base or 1)


def header_frames(stream: VideoStream) -> int:
    """How many frames the header promises to show, 0 where it does not say; some may be empty packets."""
    return _promised(stream) if stream.frames else 0


def header_rate(stream: VideoStream) -> float:
    """The average frames a second that the header gives or libav estimates, 0.0 where unknown."""
    return float(stream.average_rate or stream.guessed_rate or 0)


def header_duration(stream: VideoStream) -> float:
    """The stream's length in seconds by the header (the file's where it has none), 0.0 if unknown."""
    return _own_duration(stream) or (_container(stream).duration or 0) / av.time_base


def _container(stream: VideoStream) -> InputContainer:
    return cast(InputContainer, stream.container)


def _is_matroska(stream: VideoStream) -> bool:
    return "matroska" in _container(stream).format.name


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise refuse(path, f"cannot be read ({reason})") from None
    if stat.S_ISDIR(status.st_mode):
        raise refuse(path, "is a folder, not a video")
    if not stat.S_ISREG(status.st_mode):
        raise refuse(path, "is not a regular file")
    if status.st_size == 0:
        raise refuse(path, "is empty")


def _check_whole(path: Path, container: InputContainer) -> None:
    if "matroska" not in container.format.name:
        return
    size, stated = path.stat().st_size, matroska_size(path)
    if stated is not None and size < stated:
        raise refuse(path, f"is cut short: {size} bytes of the {stated} that its header states")


def _prepare(stream: VideoStream, threads: int, *, strict: bool) -> None:
    """Set up the decoder to stop at errors, or else to mark them on its frames, which takes one thread."""
    stream.codec_context.options = _CODEC_LIMITS | (_STRICT if strict else {})
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = threads if strict else 1


def _check_complete(path: Path, stream: VideoStream, pictures: Pictures, stamps: list[int]) -> None:
    """Compare the times of the decoded frames, in ticks, with what the header promises and the file holds."""
    if not stamps:
        raise refuse(path, "no frame can be decoded")
    promised = _promised(stream)
    if len(stamps) < promised:
        empty = empty_avi_chunks(path, stream.index) if stream.container.format.name == "avi" else 0
        due = promised - empty - (pictures.packets - pictures.count) - pictures.hidden(stamps[0])
        if len(stamps) < due:
            raise refuse(path, f"only {len(stamps)} of the {due} frames that its header promises decode")
    times = [stamp * float(stream.time_base or 0) for stamp in stamps]
    end = _own_duration(stream)
    # Where only a length is promised, how long the last frame is shown is not known exactly.
    slack = 2 * max((b - a for a, b in pairwise(times)), default=end)
    if not promised and times[-1] + slack < end:
        raise refuse(path, f"its frames end at {times[-1]:.2f} s of the {end:.2f} s that its header promises")


def _promised(stream: VideoStream) -> int:
    """The number of packets to show, as far as the file was read; 0 where it does not say.

    An mp4 that was cut without re-encoding holds frames before its first shown one, which its index marks;
    one in fragments has no total, but an index of each fragment.
    """
    if "mp4" in stream.container.format.name:
        return sum(entry.size > 0 and not entry.is_discard for entry in stream.index_entries)
    return stream.frames


def _own_duration(stream: VideoStream) -> float:
    """The seconds that the header gives for this very stream, 0.0 where it gives none."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    tag = _DURATION_TAG.fullmatch(stream.metadata.get("DURATION", ""))
    if tag:
        hours, minutes, seconds = (float(part) for part in tag.groups())
        return hours * 3600 + minutes * 60 + seconds
    alone = len(_container(stream).streams) == 1
    return (_container(stream).duration or 0) / av.time_base if alone else 0.0


def _video_stream(path: Path, container: InputContainer) -> VideoStream:
    stream = next((s for s in container.streams.video if not s.disposition & Disposition.attached_pic), None)
    if stream is None:
        raise refuse(path, "has no video stream")
    if stream.codec_context is None:
        raise refuse(path, "its video codec is unknown")
    if stream.width * stream.height > MAX_PIXELS:
        raise refuse(path, f"frames of {stream.width}x{stream.height} are too large")
    if stream.width * stream.height == 0:
        raise refuse(path, "its frame size is unknown or too large")
    return stream


def _reason(error: av.error.FFmpegError) -> str:
    return error.strerror or type(error).__name__


class VideoFacts(Record):
    """What the header of a video file says; 0 stands for what it does not say.

    `width` and `height` are in pixels as stored, before any rotation; `frames` is the header's count;
    `decoded` is the number of frames that really decode, None where that was not tried.
    """

    container: str
    codec: str
    width: int
    height: int
    fps: float
    duration: float
    frames: int
    decoded: int | None = None


def probe(path: str | os.PathLike[str], *, full: bool = False, limit_s: float = 60.0) -> VideoFacts:
    """Read the header of the video at `path`; with `full`, decode every frame too, for at most `limit_s`.

    Raises:
        DecodeError: `decode` would refuse the file for the same reason.
    """
    path, deadline = Path(path), Deadline(limit_s)
    with open_video(path) as stream:
        facts = VideoFacts(
            container=stream.container.format.name,
            codec=stream.codec_context.name,
            width=stream.width,
            height=stream.height,
            fps=header_rate(stream),
            duration=header_duration(stream),
            frames=header_frames(stream),
        )
        if full:
            decoded = sum(1 for _ in read_frames(path, stream, deadline))
            facts = facts.model_copy(update={"decoded": decoded})
    return facts
