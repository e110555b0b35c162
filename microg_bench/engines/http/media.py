"""Encodes what a job shows for HTTP: frames as JPEG, or the clip's own file."""

import base64
import io
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any
from weakref import WeakKeyDictionary

from microg_bench.engines.base import Job
from microg_bench.engines.chat_template import PromptError, delivered
from microg_bench.errors import DecodeError
from microg_bench.video.decode import Frames
from microg_bench.video.source import video_bytes

MAX_CLIP_BYTES = 64 * 1024**2  # six times the largest published clip
CLIP_TYPES = {
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".mov": "video/quicktime",
    ".avi": "video/x-msvideo",
}


@dataclass
class JpegFrames:
    """The frames of clips as JPEG of a `quality` from 1 to 95 (libjpeg's scale); safe to use from threads.

    The frames of a clip are encoded once for all its requests, and forgotten with them. Clips do not wait for
    one another.
    """

    quality: int
    _known: WeakKeyDictionary[Frames, Future[list[bytes]]] = field(
        default_factory=WeakKeyDictionary, init=False
    )
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def all(self, job: Job) -> list[bytes]:
        """All frames of the job, in order.

        Raises:
            PromptError: it has none.
        """
        frames = delivered(job)
        with self._lock:
            is_first = frames not in self._known
            encoded = self._known.setdefault(frames, Future())
        if is_first:
            try:
                encoded.set_result([self._jpeg(pixels) for pixels in frames.pixels])
            except BaseException as error:
                encoded.set_exception(error)
                raise
        return encoded.result()

    def one(self, job: Job, frame: int) -> bytes:
        """The frame at a place in those delivered, from 0.

        Raises:
            PromptError: it was not delivered.
        """
        encoded = self.all(job)
        if not 0 <= frame < len(encoded):
            raise PromptError(f"the prompt shows frame {frame}, but {len(encoded)} frames were delivered")
        return encoded[frame]

    def _jpeg(self, pixels: Any) -> bytes:
        written = io.BytesIO()
        import_module("PIL.Image").fromarray(pixels).save(written, "JPEG", quality=self.quality)
        return written.getvalue()


def clip_file(job: Job) -> tuple[str, bytes]:
    """The media type and the content of the clip's file.

    Raises:
        PromptError: there is none, it is no video, or it is larger than 64 MiB.
    """
    if job.video is None:
        raise PromptError("the prompt shows the clip's file, but none was delivered with it")
    kind = CLIP_TYPES.get(job.video.suffix.lower())
    if kind is None:
        raise PromptError(f"{job.video.name}: only {', '.join(CLIP_TYPES)} files can be sent as they are")
    try:
        return kind, video_bytes(job.video, MAX_CLIP_BYTES)
    except DecodeError as error:
        raise PromptError(str(error)) from None


def check_size(size: int, most: int, vendor: str) -> None:
    """Refuse a request of `size` bytes where its vendor takes at most `most`.

    Raises:
        PromptError: it is larger.
    """
    if size > most:
        raise PromptError(
            f"the request is {size / 1e6:.1f} MB, {vendor} takes {most / 1e6:.0f} MB: send fewer or"
            " smaller frames"
        )


def data_url(kind: str, *contents: bytes) -> str:
    """A content of a media type as a `data:` URL; several, with commas between, as vLLM reads JPEG frames."""
    return f"data:{kind};base64," + ",".join(base64.b64encode(one).decode("ascii") for one in contents)
