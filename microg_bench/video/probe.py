"""Probing: what a video file says about itself, for checking a data set without decoding it."""

from __future__ import annotations

import os
from pathlib import Path

from microg_bench.records import Record
from microg_bench.video import source


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

    Raises `DecodeError` for a file that `decode` would refuse for the same reason.
    """
    path, deadline = Path(path), source.Deadline(limit_s)
    with source.open_video(path) as stream:
        facts = VideoFacts(
            container=stream.container.format.name,
            codec=stream.codec_context.name,
            width=stream.width,
            height=stream.height,
            fps=source.header_rate(stream),
            duration=source.header_duration(stream),
            frames=source.header_frames(stream),
        )
        if full:
            decoded = sum(1 for _ in source.read_frames(path, stream, deadline))
            facts = facts.model_copy(update={"decoded": decoded})
    return facts
