"""Writes jobs as requests of the chat completions interface, which OpenAI made and most servers speak."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal

from microg_bench.engines._chat import delivered, parts
from microg_bench.engines._media import JpegFrames, clip_file, data_url, jpeg_video_url
from microg_bench.engines.base import EngineOptions, Job
from microg_bench.records import Image, Message, Text, Video

log = logging.getLogger(__name__)

_SETTINGS = ("temperature", "top_p", "seed")
_LIMITS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}


@dataclass
class ChatBody:
    """The requests of one run to one model, whichever server gets them.

    `limit` is the server's name for the most tokens of an answer, `extra` what else goes with every request.
    A setting that the model rejects is left out from then on: a warning says so, `dropped` names it.
    """

    model: str
    media: Literal["images", "video", "clip"]
    options: EngineOptions
    limit: str
    extra: dict[str, Any] = field(default_factory=dict)
    _jpegs: JpegFrames = field(init=False)
    _rejected: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._jpegs = JpegFrames(self.options.jpeg_quality)

    def of(self, job: Job) -> dict[str, Any]:
        """The body of the request for `job`.

        Raises:
            PromptError: the prompt shows what was not delivered.
        """
        messages = [{"role": turn.role, "content": self._content(job, turn)} for turn in job.prompt.messages]
        return self.settled({"model": self.model, "messages": messages, **self._metadata(job)}, job)

    def settled(self, body: dict[str, Any], job: Job) -> dict[str, Any]:
        """`body` with how the answer is to be written, without what the model rejects."""
        settings = {name: getattr(job.generation, name) for name in _SETTINGS if name not in self._rejected}
        others = {name: value for name, value in body.items() if name not in (*_SETTINGS, *_LIMITS)}
        return {**others, **self.extra, self.limit: job.generation.max_tokens, **settings}

    def reject(self, name: str, sent: dict[str, Any]) -> bool:
        """Note that the model rejects `name`, which was `sent`; false where a request needs it."""
        if name not in sent or name not in (*_SETTINGS, *_LIMITS):
            return False
        if name in _LIMITS:
            if _LIMITS[name] in self._rejected:
                return False
            self.limit = _LIMITS[name]
        if name not in self._rejected:
            instead = f" ({self.limit} instead)" if name in _LIMITS else ""
            log.warning("%s takes no %s: it is asked without from here on%s", self.model, name, instead)
            self._rejected.add(name)
        return True

    def drop(self, settings: Collection[str]) -> None:
        """Leave `settings` out from now on, as far as a request can do without them."""
        self._rejected |= {name for name in _SETTINGS if name in settings}

    @property
    def dropped(self) -> tuple[str, ...]:
        """The settings that requests go without."""
        return tuple(name for name in _SETTINGS if name in self._rejected)

    def _content(self, job: Job, turn: Message) -> Any:
        texts = [part.text for part in turn.parts if isinstance(part, Text)]
        if len(texts) == len(turn.parts):
            return "".join(texts)  # some servers take nothing else in a system turn
        return [piece for part in turn.parts for piece in self._pieces(job, part)]

    def _pieces(self, job: Job, part: Text | Video | Image) -> list[dict[str, Any]]:
        if isinstance(part, Text):
            return [{"type": "text", "text": part.text}]
        if isinstance(part, Image):
            return [self._image(self._jpegs.one(job, part.frame))]
        if self.media == "images":
            return [self._image(jpeg) for jpeg in self._jpegs.all(job)]
        url = data_url(*clip_file(job)) if self.media == "clip" else jpeg_video_url(self._jpegs.all(job))
        return [{"type": "video_url", "video_url": {"url": url}}]

    def _image(self, jpeg: bytes) -> dict[str, Any]:
        image = {"url": data_url("image/jpeg", jpeg), "detail": self.options.detail}
        return {"type": "image_url", "image_url": image}

    def _metadata(self, job: Job) -> dict[str, Any]:
        """The true times of the frames of a video, from which models derive temporal positions."""
        if self.media != "video" or not any(isinstance(part, Video) for part in parts(job.prompt)):
            return {}
        frames = delivered(job)
        video = {
            "num_frames": -1,
            "fps": frames.fps,
            "frames_indices": list(frames.indices),
            "total_num_frames": frames.total,
            "duration": frames.duration,
        }
        return {"media_io_kwargs": {"video": video}}
