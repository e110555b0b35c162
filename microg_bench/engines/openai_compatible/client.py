"""The chat completions interface, which OpenAI made and most servers speak: writes, sends and reads it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import openai

from microg_bench.engines.base import Job
from microg_bench.engines.chat_template import delivered, parts
from microg_bench.engines.http.errors import RequestError, kind_of
from microg_bench.engines.http.faults import Fault
from microg_bench.engines.http.media import JpegFrames, clip_file, data_url
from microg_bench.engines.http.pool import remember
from microg_bench.engines.http.reading import (
    OddError,
    checked,
    dicts,
    mapping,
    name_in,
    odd_answer,
    oddly_ended,
    something,
    text_in,
    with_texts,
)
from microg_bench.engines.http.rejections import Rejections
from microg_bench.engines.http.sdk import said
from microg_bench.engines.http.secrets import Access
from microg_bench.options import Options
from microg_bench.records import FinishReason, Generation, Image, Message, Response, Text, Video
from microg_bench.structured import read_schema

log = logging.getLogger(__name__)

_TIMES = "media_io_kwargs"  # vLLM's field for the times of the frames of a video
_SETTINGS = ("top_p", "seed", "temperature")  # the most dispensable first
_LIMITS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_STANDARD = {"model", "messages", "response_format", "logprobs", *_SETTINGS, *_LIMITS}
_THOUGHTS = ("reasoning_content", "reasoning", "thinking", "reasoning_details")  # fields of a message
_THOUGHT_BLOCKS = ("thinking", "reasoning", "reasoning_content", "redacted_thinking")
_TEXT_BLOCKS = ("text", "output_text")
_FINISH_REASONS: dict[str, FinishReason] = {
    **dict.fromkeys(("stop", "eos", "eos_token", "end_turn", "stop_sequence", "stop_str"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "model_length"), "length"),
    **dict.fromkeys(("content_filter", "safety", "sensitive"), "content_filter"),
    "refusal": "refusal",
}


@dataclass
class ChatBody:
    """The requests of one run to one model, whichever server gets them.

    `limit` is the server's name for the most tokens of an answer, `extra` what else goes with every request.
    The settings in `rejected` are left out; what the model rejects is added, and a warning says so.
    `thinking` are fields that set how it thinks. `keeps_media` says that the servers keep what they are
    shown, by its id, as vLLM does. `engine` is the name of the engine, for messages.
    """

    model: str
    media: Literal["images", "video", "clip"]
    options: Options
    limit: str
    rejected: set[str]
    extra: dict[str, Any] = field(default_factory=dict)
    thinking: Mapping[str, Any] = field(default_factory=dict)
    keeps_media: bool = False
    engine: str = "server"
    _jpegs: JpegFrames = field(init=False)
    _rejections: Rejections = field(init=False)
    _rejected_limits: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._jpegs = JpegFrames(self.options.jpeg_quality)
        self._rejections = Rejections(self.model, self.rejected, self.thinking, self.engine)

    def of(self, job: Job) -> dict[str, Any]:
        """The body of the request for `job`.

        Raises:
            PromptError: the prompt shows what was not delivered.
        """
        return self.content(job) | self.settings(job.generation)

    def content(self, job: Job) -> dict[str, Any]:
        """What the model is shown; raises as `of` does."""
        messages = [{"role": turn.role, "content": self._content(job, turn)} for turn in job.prompt.messages]
        return {"model": self.model, "messages": messages, **self._metadata(job)}

    def settings(self, wanted: Generation) -> dict[str, Any]:
        """How the answer is to be written, without what the model rejects."""
        asked = {**self.extra, **{name: getattr(wanted, name) for name in _SETTINGS}}
        asked |= {"logprobs": True} if self.options.logprobs else {}
        limit = {self.limit: wanted.max_tokens}
        return self._rejections.without(asked) | limit | dict(self.thinking) | _response_format(wanted)

    def leave_out(self, fault: Fault, sent: Mapping[str, Any], access: Access) -> bool:
        """Leave out what `fault` rejects of the settings `sent`; false where it rejects none.

        Raises:
            RequestError: the server does not know the level of thinking, or takes no schema.
        """
        if any(name in sent and fault.rejects_limit(name) and self._rename_limit(name) for name in _LIMITS):
            return True
        names = (name for name in ("logprobs", *self.extra, *_SETTINGS) if name in sent)
        return self._rejections.leave_out(fault, names, access)

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
        return [self._media("video_url", {"url": url})]

    def _image(self, jpeg: bytes) -> dict[str, Any]:
        return self._media("image_url", {"url": data_url("image/jpeg", jpeg), "detail": self.options.detail})

    def _media(self, kind: str, media: Mapping[str, str]) -> dict[str, Any]:
        """A part that shows something, with an id of its content where the servers keep it."""
        part: dict[str, Any] = {"type": kind, kind: media}
        if self.keeps_media:
            part["uuid"] = hashlib.sha256(media["url"].encode()).hexdigest()
        return part

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
        return {_TIMES: {"video": video}}


def _response_format(wanted: Generation) -> dict[str, Any]:
    """The field that has the model keep to the schema of its answer; nothing where there is none."""
    if not wanted.answer_schema:
        return {}
    described = {"name": "answer", "strict": True, "schema": read_schema(wanted.answer_schema)}
    return {"response_format": {"type": "json_schema", "json_schema": described}}


@dataclass
class ChatServer:
    """One server. `timeout` is what a request may take, in seconds; `version` is the server's own."""

    access: Access
    client: openai.AsyncOpenAI
    body: ChatBody
    timeout: float
    version: str | None = None
    _kept: dict[str, None] = field(default_factory=dict, init=False)  # what it was shown, the latest last

    @property
    def label(self) -> str:
        """Its address."""
        return self.access.where

    async def ask(self, job: Job) -> Response:
        """Send one request; a setting that the model rejects is left out and the request sent again.

        What the server keeps is not sent, but named by its id; where it does so no more, all is sent.

        Raises:
            PromptError: the prompt shows what was not delivered.
            RequestError: there is no answer.
        """
        name, longest = job.request.id, job.generation.max_tokens
        content = await asyncio.to_thread(self.body.content, job)
        media = json.dumps([_ids(content), content.get(_TIMES)]) if self.body.keeps_media else ""
        by_id = media in self._kept
        while True:
            settings = self.body.settings(job.generation)
            found = await self._send((_without_media(content) if by_id else content) | settings)
            if not isinstance(found, Fault):
                if media:
                    remember(self._kept, media, None)
                return read_completion(name, found, self.access, self.version, longest)
            if by_id and kind_of(found.status) == "refused":
                self._kept.pop(media, None)
                by_id = False
            elif not self.body.leave_out(found, settings, self.access):
                return unanswered(name, found, self.access)

    async def _send(self, body: dict[str, Any]) -> Any:
        """The response, as JSON or as the fault that it tells."""
        asking = self.client.chat.completions.with_raw_response.create(**arguments(body))
        return await said(asking, self.access, self.timeout, openai.APIStatusError)


def arguments(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body as arguments of the client, which takes what it does not know apart."""
    others = {name: value for name, value in body.items() if name not in _STANDARD}
    return {**{name: body[name] for name in body if name in _STANDARD}, "extra_body": others or None}


def _ids(content: Mapping[str, Any]) -> list[str]:
    """The ids of all that is shown, in order."""
    turns = (turn["content"] for turn in content["messages"] if isinstance(turn["content"], list))
    return [part["uuid"] for turn in turns for part in turn if "uuid" in part]


def _without_media(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content with ids alone in place of what is shown."""
    messages = [
        {**turn, "content": [_id_alone(part) for part in turn["content"]]}
        if isinstance(turn["content"], list)
        else turn
        for turn in content["messages"]
    ]
    return {**content, "messages": messages}


def _id_alone(part: Mapping[str, Any]) -> dict[str, Any]:
    return {**part, part["type"]: None} if "uuid" in part else dict(part)


def unanswered(request_id: str, fault: Fault, access: Access) -> Response:
    """The empty response to a request that the content filter stopped.

    Raises:
        RequestError: it was something else.
    """
    if fault.filtered:
        return Response(id=request_id, text="", finish_reason="content_filter")
    if any("media_io_kwargs" in said for said in (fault.message, *fault.fields)):
        advice = "start that server with --trust-request-mm-kwargs, or send --media images"
        raise RequestError("fatal", f"{access.where} takes no times of video frames: {advice}")
    raise fault.error(access)


def read_completion(
    request_id: str, said: Any, access: Access, version: str | None = None, max_tokens: int | None = None
) -> Response:
    """The answer in a completion, told apart by how it ended.

    Args:
        request_id: whose answer it is.
        said: the response, as JSON.
        access: who said it.
        version: the server's, where the response tells none.
        max_tokens: the limit of tokens of the answer, where it is known.

    Raises:
        RequestError: there is none in it.
    """
    response = Response(
        id=request_id,
        text="",
        served_model=name_in(mapping(said).get("model"), access.secrets),
        served_version=name_in(mapping(said).get("system_fingerprint"), access.secrets) or version,
    )
    counts = _counts(mapping(mapping(said).get("usage")))
    try:
        choice = _choice(said)
        text, refusal, thoughts = _message(choice.get("message"))
    except OddError as odd:
        bare = checked(response, access, **counts)
        raise odd_answer(odd, bare, access) from None
    response = with_texts(response, text or refusal, thoughts, access, max_tokens, **counts)
    if (fault := Fault.inside(choice)) is not None:
        raise fault.error(access, something(response))
    ended = choice.get("finish_reason")
    ended = mapping(ended).get("type", ended)
    finish_reason = _FINISH_REASONS.get(ended.lower()) if isinstance(ended, str) else None
    if finish_reason is None:
        raise oddly_ended(ended, response, access)
    read = {"finish_reason": "refusal" if refusal else finish_reason, "logprob": _logprob(choice)}
    return response.model_copy(update=read)


def _logprob(choice: Mapping[str, Any]) -> float | None:
    """The sum of the log-probabilities of the tokens; None where one of them is no such number."""
    tokens = dicts(mapping(choice.get("logprobs")).get("content"))
    told = [token.get("logprob") for token in tokens]
    found = [float(one) for one in told if isinstance(one, int | float) and math.isfinite(one)]
    return min(0.0, sum(found)) if found and len(found) == len(told) else None


def _choice(said: Any) -> dict[str, Any]:
    choices = mapping(said).get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise OddError("the response has no choice in it")
    if len(choices) > 1:
        raise OddError(f"the response has {len(choices)} choices in it, one was asked for")
    return choices[0]


def _message(message: Any) -> tuple[str, str, str]:
    """Text, refusal and thoughts of a message, whose content may be a text or a list of blocks."""
    if not isinstance(message, dict):
        raise OddError("the response has no message in it")
    thoughts = next(filter(None, (_thoughts(message.get(name)) for name in _THOUGHTS)), "")
    refusal, content = text_in(message.get("refusal")), message.get("content")
    if content is None or isinstance(content, str):
        return content or "", refusal, thoughts
    texts, thought = [], []
    for block in content if isinstance(content, list) else [content]:
        kind = block.get("type", "text") if isinstance(block, dict) else "text"
        if kind in _THOUGHT_BLOCKS:
            thought.append(_thoughts(block))
        elif kind == "refusal":
            refusal += text_in(block.get("refusal"))
        elif kind in _TEXT_BLOCKS:
            texts.append(text_in(block))
        else:
            raise OddError(f"the message holds a block of type {kind!r}")
    return "".join(texts), refusal, "\n\n".join(filter(None, (thoughts, *thought)))


def _thoughts(found: Any) -> str:
    """Thoughts as far as they can be read; some vendors encrypt them."""
    try:
        return text_in(found)
    except OddError:
        return ""


def _counts(usage: dict[str, Any]) -> dict[str, Any]:
    """The counts of tokens as they are told."""
    return {
        "prompt_tokens": usage.get("prompt_tokens"),
        "cached_tokens": mapping(usage.get("prompt_tokens_details")).get("cached_tokens"),
        "output_tokens": usage.get("completion_tokens"),
        "reasoning_tokens": mapping(usage.get("completion_tokens_details")).get("reasoning_tokens"),
        "total_tokens": usage.get("total_tokens"),
    }
