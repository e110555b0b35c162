"""Gemini's interface: writes requests, sends them with the official client, reads answers and errors."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from google import genai
from google.genai import errors, types

from microg_bench.engines.base import Job
from microg_bench.engines.chat_template import system_text
from microg_bench.engines.http.errors import RequestError, no_answer
from microg_bench.engines.http.faults import Fault
from microg_bench.engines.http.media import JpegFrames, check_size, clip_file
from microg_bench.engines.http.reading import (
    OddError,
    checked,
    dicts,
    mapping,
    name_in,
    odd_answer,
    oddly_ended,
    parsed,
    something,
    text_in,
    with_texts,
)
from microg_bench.engines.http.rejections import Rejections
from microg_bench.engines.http.secrets import Access
from microg_bench.engines.http.vendor import VendorServer
from microg_bench.options import flag
from microg_bench.records import FinishReason, Generation, Image, Response, Text, Video
from microg_bench.structured import read_schema

MOST_BYTES = 20 * 1000**2  # of one request with inline data, as its vendor says
_SETTINGS = ("top_p", "seed", "temperature")  # the most dispensable first
_ROLES = {"user": "user", "assistant": "model"}
_FINISH_REASONS: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "ESCALATION": "content_filter",
}


@dataclass
class GeminiBody:
    """The requests of one run to `model`: frames as JPEG images, or the clip's own file.

    The settings in `rejected` are left out; what the model rejects is added, and a warning says so.
    `thinking` are fields of `ThinkingConfig`.
    """

    model: str
    media: str
    jpegs: JpegFrames
    rejected: set[str]
    thinking: Mapping[str, Any]
    _rejections: Rejections = field(init=False)

    def __post_init__(self) -> None:
        self._rejections = Rejections(self.model, self.rejected, self.thinking, "gemini")

    def content(self, job: Job) -> list[types.Content]:
        """The turns of the prompt, but for the system's.

        Raises:
            PromptError: the prompt shows what was not delivered, or is larger than Gemini takes.
        """
        turns = [
            types.Content(
                role=_ROLES[turn.role],
                parts=[piece for part in turn.parts for piece in self._pieces(job, part)],
            )
            for turn in job.prompt.messages
            if turn.role in _ROLES
        ]
        pieces = [piece for turn in turns for piece in turn.parts or []]
        size = sum(len(piece.inline_data.data or b"") * 4 // 3 for piece in pieces if piece.inline_data)
        size += sum(len((piece.text or "").encode()) for piece in pieces)
        check_size(size, MOST_BYTES, "Gemini")
        return turns

    def settings(self, job: Job) -> types.GenerateContentConfig:
        """The system's turn, and how the answer is to be written."""
        system = system_text(job.prompt)
        return types.GenerateContentConfig(
            system_instruction=types.Content(parts=[types.Part(text=system)]) if system else None,
            max_output_tokens=job.generation.max_tokens,
            thinking_config=types.ThinkingConfig(**self.thinking) if self.thinking else None,
            **self._sampling(job.generation),
            **_response_schema(job.generation),
        )

    def _sampling(self, wanted: Generation) -> dict[str, Any]:
        return self._rejections.without({name: getattr(wanted, name) for name in _SETTINGS})

    def leave_out(self, fault: Fault, sent: Mapping[str, Any], access: Access) -> bool:
        """Leave out what `fault` rejects of the settings `sent`; false where it rejects none.

        Raises:
            RequestError: the model does not know the level of thinking, or takes no schema.
        """
        names = (name for name in _SETTINGS if sent.get(name) is not None)
        return self._rejections.leave_out(fault, names, access)

    def line(self, job: Job) -> bytes:
        """The line of a batch's file of requests for `job`; raises as `content` does."""
        settings = as_json(self.settings(job))
        system = settings.pop("systemInstruction", None)
        request = {"contents": [as_json(turn) for turn in self.content(job)], "generationConfig": settings}
        if system is not None:
            request["systemInstruction"] = system
        line = {"key": job.request.id, "request": request}
        return json.dumps(line, separators=(",", ":")).encode() + b"\n"

    def _pieces(self, job: Job, part: Text | Video | Image) -> list[types.Part]:
        if isinstance(part, Text):
            return [types.Part(text=part.text)]
        if isinstance(part, Image):
            return [types.Part.from_bytes(data=self.jpegs.one(job, part.frame), mime_type="image/jpeg")]
        if self.media == "clip":
            kind, content = clip_file(job)
            return [types.Part.from_bytes(data=content, mime_type=kind)]
        return [types.Part.from_bytes(data=jpeg, mime_type="image/jpeg") for jpeg in self.jpegs.all(job)]


def _response_schema(wanted: Generation) -> dict[str, Any]:
    """The settings that have the model keep to the schema of its answer; none where there is none."""
    if not wanted.answer_schema:
        return {}
    schema = read_schema(wanted.answer_schema)
    return {"response_mime_type": "application/json", "response_json_schema": schema}


def as_json(model: Any, include: set[str] | None = None) -> dict[str, Any]:
    """A request or response as it is sent, and as the files of batches hold it."""
    written: dict[str, Any] = model.model_dump(mode="json", by_alias=True, exclude_none=True, include=include)
    return written


def read_answer(request_id: str, said: Any, access: Access, max_tokens: int | None = None) -> Response:
    """The answer in a response, told apart by how it ended.

    Args:
        request_id: whose answer it is.
        said: the response, as JSON.
        access: who said it.
        max_tokens: the limit of tokens of the answer, where it is known.

    Raises:
        RequestError: there is none in it.
    """
    said = mapping(said)
    response = Response(
        id=request_id, text="", served_model=name_in(said.get("modelVersion"), access.secrets)
    )
    counts = _counts(mapping(said.get("usageMetadata")))
    if not said.get("candidates") and mapping(said.get("promptFeedback")).get("blockReason"):
        filtered = response.model_copy(update={"finish_reason": "content_filter"})
        return checked(filtered, access, **counts)
    try:
        candidate = _candidate(said)
        text, thoughts = _texts(parts := _parts(candidate))
    except OddError as odd:
        bare = checked(response, access, **counts)
        raise odd_answer(odd, bare, access) from None
    response = with_texts(response, text, thoughts, access, max_tokens, **counts)
    ended = candidate.get("finishReason")
    finish_reason = _FINISH_REASONS.get(ended.removeprefix("IMAGE_")) if isinstance(ended, str) else None
    if finish_reason == "stop" and not any("text" in part for part in parts):
        reason = f"{access.where}: the answer ended without a text"
        raise RequestError("retryable", reason, response=something(response))
    if finish_reason is None:
        told_why = candidate.get("finishMessage")
        more = f": {access.secrets.line(told_why)}" if told_why else ""
        raise oddly_ended(ended, response, access, more)
    return response.model_copy(update={"finish_reason": finish_reason})


def _candidate(said: dict[str, Any]) -> dict[str, Any]:
    candidates = said.get("candidates")
    if not isinstance(candidates, list) or not candidates or not isinstance(candidates[0], dict):
        raise OddError("the response has no candidate in it")
    if len(candidates) > 1:
        raise OddError(f"the response has {len(candidates)} candidates in it, one was asked for")
    return candidates[0]


def _parts(candidate: dict[str, Any]) -> list[dict[str, Any]]:
    parts = mapping(candidate.get("content")).get("parts") or []
    if not isinstance(parts, list) or len(dicts(parts)) < len(parts):
        raise OddError("the parts of the response are no list of parts")
    return dicts(parts)


def _texts(parts: list[dict[str, Any]]) -> tuple[str, str]:
    """The answer, and the thoughts that come with it."""
    texts: dict[bool, list[str]] = {True: [], False: []}
    for part in parts:
        texts[bool(part.get("thought"))].append(text_in(part.get("text")))
    return "".join(texts[False]), "\n\n".join(filter(None, texts[True]))


def _counts(usage: dict[str, Any]) -> dict[str, Any]:
    """The counts of tokens as they are told; thoughts are counted apart from the rest that is written."""
    written, thought = usage.get("candidatesTokenCount"), usage.get("thoughtsTokenCount")
    return {
        "prompt_tokens": usage.get("promptTokenCount"),
        "cached_tokens": usage.get("cachedContentTokenCount"),
        "output_tokens": (written, thought),
        "reasoning_tokens": thought,
    }


class GeminiServer(VendorServer):
    """Gemini's model `body.model`."""

    client: genai.Client
    body: GeminiBody

    async def send(self, content: list[Any], settings: types.GenerateContentConfig) -> Any:
        """See `VendorServer.send`."""
        whole = settings.model_copy(update={"should_return_http_response": True})
        asking = self.client.aio.models.generate_content(
            model=self.body.model, contents=content, config=whole
        )
        try:
            said = (await asyncio.wait_for(asking, self.timeout)).sdk_http_response
            told = parsed(((said and said.body) or "").encode("latin-1"))
            return Fault.inside(told) or told
        except errors.APIError as error:
            return fault_of(error)
        except OddError as odd:
            failed = RequestError("retryable", f"{self.access.where}: {self.access.secrets.line(odd)}")
        except Exception as error:  # the client lets the errors of several libraries through
            failed = no_answer(error, self.access, self.timeout)
        raise failed

    def read(self, job: Job, said: Any) -> Response:
        """See `read_answer`."""
        return read_answer(job.request.id, said, self.access, job.generation.max_tokens)

    def error(self, fault: Fault) -> RequestError:
        """See `error_of`."""
        return error_of(fault, self.access)


def fault_of(error: errors.APIError) -> Fault:
    """What the client was told."""
    response: Any = error.response
    content = getattr(response, "content", None)
    return Fault.of(error.code, content or error.details, getattr(response, "headers", None))


def error_of(fault: Fault, access: Access) -> RequestError:
    """What it means for the run."""
    error = fault.error(access)
    if "instruction is not enabled" in fault.message:
        error.reason += f": the model takes no system text, choose a {flag('prompt')} without one"
    return error


def request_error(error: Exception, access: Access, seconds: float) -> RequestError:
    """What an error of the client means."""
    if isinstance(error, errors.APIError):
        return error_of(fault_of(error), access)
    return no_answer(error, access, seconds)
