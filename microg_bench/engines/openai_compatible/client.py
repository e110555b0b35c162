"""The chat completions interface, which OpenAI made and most servers speak: writes, sends and reads it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import openai

from microg_bench.engines.base import Job
from microg_bench.engines.chat_template import delivered, parts
from microg_bench.engines.http.errors import RequestError, kind_of, retry_after, unreachable
from microg_bench.engines.http.media import JpegFrames, clip_file, data_url
from microg_bench.engines.http.secrets import Access
from microg_bench.options import Options
from microg_bench.records import Image, Message, Response, Text, Video

log = logging.getLogger(__name__)

_SETTINGS = ("temperature", "top_p", "seed")
_LIMITS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_STANDARD = {"model", "messages", *_SETTINGS, *_LIMITS}
_QUOTA = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_FILTERED = frozenset({"content_filter", "content_policy_violation", "invalid_prompt", "moderation_blocked"})
_FINISH_REASONS: dict[Any, Any] = {"length": "length", "content_filter": "content_filter"}


@dataclass
class ChatBody:
    """The requests of one run to one model, whichever server gets them.

    `limit` is the server's name for the most tokens of an answer, `extra` what else goes with every request.
    The settings in `rejected` are left out; what the model rejects is added, and a warning says so.
    """

    model: str
    media: Literal["images", "video", "clip"]
    options: Options
    limit: str
    rejected: set[str]
    extra: dict[str, Any] = field(default_factory=dict)
    _jpegs: JpegFrames = field(init=False)
    _rejected_limits: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._jpegs = JpegFrames(self.options.jpeg_quality)

    def of(self, job: Job) -> dict[str, Any]:
        """The body of the request for `job`.

        Raises:
            PromptError: the prompt shows what was not delivered.
        """
        messages = [{"role": turn.role, "content": self._content(job, turn)} for turn in job.prompt.messages]
        return self.with_settings({"model": self.model, "messages": messages, **self._metadata(job)}, job)

    def with_settings(self, body: dict[str, Any], job: Job) -> dict[str, Any]:
        """`body` with how the answer is to be written, without what the model rejects."""
        settings = {name: getattr(job.generation, name) for name in _SETTINGS if name not in self.rejected}
        others = {name: value for name, value in body.items() if name not in (*_SETTINGS, *_LIMITS)}
        return {**others, **self.extra, self.limit: job.generation.max_tokens, **settings}

    def leave_out(self, name: str, sent: dict[str, Any]) -> bool:
        """Leave out the setting `name` of what was `sent`, which the model rejects; false if it is needed."""
        if name not in sent:
            return False
        if name in _LIMITS:
            return self._rename_limit(name)
        if name not in _SETTINGS:
            return False
        if name not in self.rejected:
            log.warning("%s rejects %s: it is left out from here on", self.model, name)
            self.rejected.add(name)
        return True

    def _rename_limit(self, name: str) -> bool:
        """Send the token limit under its other name; false if the model rejects both."""
        other = _LIMITS[name]
        if other in self._rejected_limits:
            return False
        if name not in self._rejected_limits:
            log.warning("%s rejects %s: %s is sent from here on", self.model, name, other)
            self._rejected_limits.add(name)
            self.limit = other
        return True

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
        if self.media == "clip":
            url = data_url(*clip_file(job))
        else:
            url = data_url("video/jpeg", *self._jpegs.all(job))
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


@dataclass(frozen=True)
class ApiFault:
    """What a server says of a request that it does not answer; `retry_after` is the wait that it asks for."""

    status: int
    code: str = ""
    param: str = ""
    message: str = ""
    retry_after: float | None = None

    @classmethod
    def of(cls, status: int, body: Any, headers: Mapping[str, str] | None = None) -> ApiFault:
        """From the body of an error response, as far as it has the usual form."""
        told = body.get("error", body) if isinstance(body, dict) else body
        told = told if isinstance(told, dict) else {"message": told}
        code, param, message, kind = (
            str(told.get(name) or "") for name in ("code", "param", "message", "type")
        )
        # Vendors disagree on which of code and type is which.
        return cls(status, kind if kind in _QUOTA else code, param, message, retry_after(headers or {}))

    @property
    def unsupported(self) -> bool:
        """Whether the request was rejected for the one setting named in `param`."""
        return self.status in (400, 422) and self.code.startswith("unsupported_")

    @property
    def filtered(self) -> bool:
        """Whether the vendor's content filter stopped the request itself."""
        return self.status == 400 and self.code in _FILTERED

    def error(self, access: Access) -> RequestError:
        """What it means for the run."""
        said = f"{access.where}: {self.status}: {access.secrets.line(self.message)}"
        if self.code in _QUOTA and self.status in (402, 403, 429):
            return RequestError("fatal", f"{said}: the quota of the key in {access.key_name} is used up")
        if self.status in (401, 403):
            return RequestError("fatal", f"{said}: check the key in {access.key_name}")
        if self.param == "media_io_kwargs" or "media_io_kwargs" in self.message:
            advice = "start that server with --trust-request-mm-kwargs, or send --media images"
            return RequestError("fatal", f"{access.where} takes no times of video frames: {advice}")
        return RequestError(kind_of(self.status), said, self.retry_after)


@dataclass
class ChatServer:
    """One server. `timeout` is what a request may take, in seconds."""

    access: Access
    client: openai.AsyncOpenAI
    body: ChatBody
    timeout: float

    @property
    def label(self) -> str:
        """Its address."""
        return self.access.where

    async def ask(self, job: Job) -> Response:
        """Send one request; a setting that the model rejects is left out and the request sent again.

        Raises:
            PromptError: the prompt shows what was not delivered.
            RequestError: there is no answer.
        """
        body = await asyncio.to_thread(self.body.of, job)
        while True:
            said = await self._send(body)
            if not isinstance(said, ApiFault):
                return read_completion(job.request.id, said, self.access)
            if said.unsupported and self.body.leave_out(said.param, body):
                body = self.body.with_settings(body, job)
            elif said.filtered:
                return Response(id=job.request.id, text="", finish_reason="content_filter")
            else:
                raise said.error(self.access)

    async def _send(self, body: dict[str, Any]) -> Any:
        standard = {name: value for name, value in body.items() if name in _STANDARD}
        others = {name: value for name, value in body.items() if name not in _STANDARD}
        asking = self.client.chat.completions.create(**standard, extra_body=others or None)
        try:
            return await asyncio.wait_for(asking, self.timeout)
        except openai.APIStatusError as error:
            return ApiFault.of(error.status_code, error.body, error.response.headers)
        except Exception as error:  # the client lets the errors of several libraries through
            failed = no_answer(error, self.access, self.timeout)
        raise failed


def request_error(error: Exception, access: Access, timeout: float) -> RequestError:
    """What an error of the client means."""
    if isinstance(error, openai.APIStatusError):
        return ApiFault.of(error.status_code, error.body).error(access)
    return no_answer(error, access, timeout)


def no_answer(error: Exception, access: Access, timeout: float) -> RequestError:
    """What it means that no response could be read at all."""
    where = access.where
    if unreachable(error):
        return RequestError("unreachable", f"{where} cannot be reached")
    if isinstance(error, (asyncio.TimeoutError, TimeoutError, openai.APITimeoutError)):
        return RequestError("retryable", f"{where}: no answer within {timeout:g} s")
    if isinstance(error, openai.APIConnectionError):
        return RequestError("retryable", f"{where}: the connection broke ({type(error.__cause__).__name__})")
    if isinstance(error, (ValueError, openai.APIResponseValidationError)):
        return RequestError("retryable", f"{where}: the response is not JSON")
    return RequestError("retryable", f"{where}: {type(error).__name__}: {access.secrets.line(error)}")


def read_completion(request_id: str, said: Any, access: Access) -> Response:
    """The answer in a completion, told apart by how it ended.

    Raises:
        RequestError: there is none in it.
    """
    try:
        choice = said.choices[0]
        refusal, text = choice.message.refusal, choice.message.content
    except (AttributeError, IndexError, TypeError):
        raise RequestError("retryable", f"{access.where}: the response has no choice in it") from None
    usage, model = getattr(said, "usage", None), getattr(said, "model", None)
    details = getattr(usage, "prompt_tokens_details", None)
    return Response(
        id=request_id,
        text=access.secrets.clean(str(text or refusal or "")),
        finish_reason="refusal" if refusal else _FINISH_REASONS.get(choice.finish_reason, "stop"),
        prompt_tokens=_count(usage, "prompt_tokens"),
        cached_tokens=_count(details, "cached_tokens"),
        output_tokens=_count(usage, "completion_tokens"),
        served_model=access.secrets.clean(str(model)) if model else None,
    )


def _count(usage: Any, name: str) -> int | None:
    """A count of tokens, None where the server does not tell."""
    found = getattr(usage, name, None)
    return found if isinstance(found, int) else None
