"""Trim: footage of any frame rate, container and size is cut into clips of 3 s at 30 frames a second."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from microg_bench.curation.recipe import Trim
from microg_bench.errors import DecodeError, RunError
from microg_bench.storage import cause
from microg_bench.video.decode import upright
from microg_bench.video.source import (
    Damage,
    open_video,
    read_sound_frames,
    refuse,
    shown_for,
    time_of,
)

VERSION = 2
_ROUNDED = Fraction(1, 500)  # a coarser tick is one that times are counted in, not rounded to
# The same frames give the same bytes only without threads.
_STEADY = "threads=1:lookahead-threads=1:sliced-threads=0"


@dataclass(frozen=True)
class Piece:
    """The clip `number` of its footage, from 0: the SHA-256 of its file, or why it was not cut.

    Both are "" where the clip was there already.
    """

    number: int
    sha256: str = ""
    reason: str = ""


def cut_clips(
    footage: Path, settings: Trim, out: Callable[[int], Path], known: Collection[int] = ()
) -> Iterator[Piece]:
    """Cut footage into clips, in order; the rest that is shorter than a clip is left out.

    Clip n starts at second `seconds`·n after the first frame of the footage, or its first packet where that
    cannot be decoded. Its frame k shows the last frame of the footage at or before k/`fps` seconds from
    there; where times are rounded to ticks of at most 2 ms, half a tick later is still that time. The picture
    keeps the aspect in which it is to be shown. All frames of a clip have one size in the footage.

    Args:
        footage: a video file.
        settings: those of the recipe.
        out: the file of a clip by its number; it is written in one step.
        known: the clips that are there already.

    Yields:
        Every clip, and those that are not cut because something in them is damaged or changes its size.

    Raises:
        DecodeError: the footage cannot be opened or decoded, or not to the end that its packets or its header
            promise, where that leaves out clips that are not yielded.
        RunError: a clip cannot be written.
    """
    done = -1
    for threads in (0, 1):
        try:
            with open_video(footage) as stream:
                shown = _on_grid(footage, stream, settings, threads)
                shape = Fraction(stream.sample_aspect_ratio or 1)
                there = {*known, *range(done + 1)}
                for piece in _pieces(shown, settings, partial(_encoder, there, out, settings, shape)):
                    if piece.number > done:
                        done = piece.number
                        yield piece
            return
        except DecodeError:
            if threads == 1:
                raise


def _on_grid(footage: Path, stream: VideoStream, settings: Trim, threads: int) -> Iterator[VideoFrame | str]:
    """What is shown at each place of the grid, 1/`fps` seconds apart: a frame, or why there is none.

    Raises:
        DecodeError: after the last clip that damage touches, more clips are promised.
    """
    start: Fraction | None = None
    shown: VideoFrame | str = ""
    place, end = 0, Fraction(0)
    for found in read_sound_frames(footage, stream, threads=threads):
        time = found.start if isinstance(found, Damage) else time_of(found)
        start = time if start is None else start
        due = -((-(time - start - _tolerance(stream)) * settings.fps) // 1)  # the first place at or after it
        for _ in range(place, due):
            yield shown
        place = max(place, due)
        if isinstance(found, Damage):
            shown, end = f"is damaged after second {float(time - start):.2f}", found.end - start
        else:
            shown, end = found, time - start + shown_for(found, stream)
    places = _whole(end * settings.fps)
    if isinstance(shown, str):
        length = settings.seconds * settings.fps
        touched = (place // length + 1) * length
        for _ in range(place, touched if touched <= places else place):
            yield shown
        if places >= touched + length:
            raise refuse(footage, f"{shown}, and nothing more of its {float(end):.2f} s can be cut")
    else:
        for _ in range(place, places):
            yield shown


def _pieces(
    shown: Iterator[VideoFrame | str], settings: Trim, encoder_of: Callable[[int], _Encoder | None]
) -> Iterator[Piece]:
    """The clips of what is shown at each place; those without an encoder are there."""
    length = settings.seconds * settings.fps
    encoder: _Encoder | None = None
    size, reason = (0, 0), ""
    try:
        for place, one in enumerate(shown):
            number, position = divmod(place, length)
            if position == 0:
                size, reason = (0, 0), ""
                encoder = encoder_of(number)
            if isinstance(one, str):
                reason = reason or one
            elif size not in ((0, 0), (one.width, one.height)):
                reason = reason or f"the size of its frames changes at second {place / settings.fps:.2f}"
            elif not reason:
                size = one.width, one.height
                if encoder is not None:
                    encoder.add(one, position)
            if position == length - 1:
                if encoder is not None:
                    sha256 = "" if reason else encoder.finish()
                    encoder.abandon()
                    encoder = None
                    yield Piece(number, sha256, reason)
                else:
                    yield Piece(number, reason=reason)
    finally:
        if encoder is not None:
            encoder.abandon()


def _whole(places: Fraction) -> int:
    """How many places are complete, where times are rounded."""
    return round(places) if abs(places - round(places)) < Fraction(1, 100) else int(places)


def _tolerance(stream: VideoStream) -> Fraction:
    """How much later than it should be a frame may be by the rounding of its time, in seconds."""
    tick = Fraction(stream.time_base or 1)
    return tick / 2 if tick <= _ROUNDED else Fraction(0)


def _encoder(
    there: Collection[int], out: Callable[[int], Path], settings: Trim, shape: Fraction, number: int
) -> _Encoder | None:
    return None if number in there else _Encoder(out(number), settings, shape)


class _Encoder:
    """Writes one clip under a temporary name: H.264 without sound. `shape` is the aspect of a pixel."""

    def __init__(self, path: Path, settings: Trim, shape: Fraction) -> None:
        self._path, self._settings, self._shape = path, settings, shape
        self._partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._container: Any = None
        self._stream: Any = None
        self._last: tuple[VideoFrame, VideoFrame] | None = None

    def add(self, frame: VideoFrame, position: int) -> None:
        """Show a frame at a position from 0.

        Raises:
            RunError: the file cannot be written.
        """
        try:
            if self._last is None or self._last[0] is not frame:
                self._last = frame, self._scaled(frame)
            scaled = self._last[1]
            if self._container is None:
                self._open(scaled)
            scaled.pts, scaled.time_base = position, Fraction(1, self._settings.fps)
            self._container.mux(self._stream.encode(scaled))
        except OSError as error:
            raise RunError(f"cannot be written: {cause(error)}", path=self._path) from error

    def _scaled(self, frame: VideoFrame) -> VideoFrame:
        """The frame as it is to be shown, in the height of the recipe and an even width."""
        if frame.side_data.get("DISPLAYMATRIX") is not None:
            turned = VideoFrame.from_ndarray(upright(self._path, frame).copy(), format="rgb24")
            shape = 1 / self._shape if turned.width == frame.height != frame.width else self._shape
        else:
            turned, shape = frame, self._shape
        width = turned.width * shape * self._settings.height / turned.height
        even = max(2, 2 * round(width / 2))
        return turned.reformat(even, self._settings.height, "yuv420p", interpolation="BICUBIC")

    def _open(self, scaled: VideoFrame) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._container = av.open(str(self._partial), "w", format="mp4")
        options = {"crf": str(self._settings.crf), "x264-params": _STEADY}
        self._stream = self._container.add_stream("libx264", rate=self._settings.fps, options=options)
        self._stream.width, self._stream.height = scaled.width, scaled.height
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.thread_count = 1
        self._stream.codec_context.time_base = Fraction(1, self._settings.fps)

    def finish(self) -> str:
        """Put the file in its place; returns its SHA-256.

        Raises:
            RunError: the file cannot be written.
        """
        try:
            self._container.mux(self._stream.encode())
            self._container.close()
            digest = hashlib.sha256(self._partial.read_bytes()).hexdigest()
            self._partial.replace(self._path)
        except OSError as error:
            raise RunError(f"cannot be written: {cause(error)}", path=self._path) from error
        return digest

    def abandon(self) -> None:
        """Remove what is not in its place."""
        with suppress(OSError):
            if self._container is not None:
                self._container.close()
        with suppress(OSError):
            self._partial.unlink()
