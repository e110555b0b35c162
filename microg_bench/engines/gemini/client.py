"""Gemini's interface: writes requests, sends them with the official client, reads answers and errors."""

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Any

from google import genai
from google.genai import errors, types

from microg_bench.engines.base import Job
from microg_bench.engines.chat_template import PromptError
from microg_bench.engines.http.errors import RequestError, kind_of, retry_after, unreachable
from microg_bench.engines.http.media import JpegFrames, clip_file
from microg_bench.engines.http.secrets import Access, Secrets
from microg_bench.records import FinishReason, Image, Response, Text, Video

MOST_BYTES = 20 * 1000**2  # of one request with inline data, as its vendor says
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
    """The requests of one run: frames as JPEG images, or the clip's own file."""

    media: str
    jpegs: JpegFrames

    def contents(self, job: Job) -> list[types.Content]:
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
        if size > MOST_BYTES:
            raise PromptError(
                f"the request is {size / 1e6:.1f} MB, Gemini takes {MOST_BYTES / 1e6:.0f} MB: send fewer or"
                " smaller frames"
            )
        return turns

    def settings(self, job: Job) -> types.GenerateContentConfig:
        """The system's turn, and how the answer is to be written."""
        system = "".join(
            part.text
            for turn in job.prompt.messages
            if turn.role == "system"
            for part in turn.parts
            if isinstance(part, Text)
        )
        wanted = job.generation
        return types.GenerateContentConfig(
            system_instruction=types.Content(parts=[types.Part(text=system)]) if system else None,
            temperature=wanted.temperature,
            top_p=wanted.top_p,
            seed=wanted.seed,
            max_output_tokens=wanted.max_tokens,
        )

    def line(self, job: Job) -> bytes:
        """The line of a batch's file of requests for `job`; raises as `contents` does."""
        settings = as_json(self.settings(job))
        system = settings.pop("systemInstruction", None)
        request = {"contents": [as_json(turn) for turn in self.contents(job)], "generationConfig": settings}
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


def as_json(model: Any, include: set[str] | None = None) -> dict[str, Any]:
    """A request or response as it is sent, and as the files of batches hold it."""
    written: dict[str, Any] = model.model_dump(mode="json", by_alias=True, exclude_none=True, include=include)
    return written


def read_answer(request_id: str, said: dict[str, Any], secrets: Secrets) -> Response:
    """The answer in a response, told apart by how it ended.

    Raises:
        RequestError: there is none in it.
    """
    usage = said.get("usageMetadata") or {}
    written, thought = usage.get("candidatesTokenCount"), usage.get("thoughtsTokenCount")
    model = said.get("modelVersion")
    told: dict[str, Any] = {
        "id": request_id,
        "served_model": secrets.clean(str(model)) if model else None,
        "prompt_tokens": usage.get("promptTokenCount"),
        "cached_tokens": usage.get("cachedContentTokenCount"),
        "output_tokens": None if written is None and thought is None else (written or 0) + (thought or 0),
    }
    if not said.get("candidates"):
        if (said.get("promptFeedback") or {}).get("blockReason"):
            return Response(text="", finish_reason="content_filter", **told)
        raise RequestError("retryable", "Gemini: the response has no candidate in it")
    candidate = said["candidates"][0]
    pieces = (candidate.get("content") or {}).get("parts") or []
    text = "".join(str(piece.get("text") or "") for piece in pieces if not piece.get("thought"))
    reason = str(candidate.get("finishReason") or "STOP")
    finish_reason = _FINISH_REASONS.get(reason.removeprefix("IMAGE_"))
    if finish_reason is None and not text:
        raise RequestError("retryable", f"Gemini: nothing was written (finish reason {reason})")
    return Response(text=secrets.clean(text), finish_reason=finish_reason or "stop", **told)


_READ = {"candidates", "prompt_feedback", "usage_metadata", "model_version"}  # of a response


@dataclass
class GeminiServer:
    """Gemini's model `model`. `timeout` is what a request may take, in seconds."""

    access: Access
    client: genai.Client
    model: str
    body: GeminiBody
    timeout: float

    @property
    def label(self) -> str:
        """Its address, where one was given."""
        return self.access.where

    async def ask(self, job: Job) -> Response:
        """Send one request.

        Raises:
            PromptError: see `GeminiBody.contents`.
            RequestError: there is no answer.
        """
        contents: list[Any] = await asyncio.to_thread(self.body.contents, job)
        asking = self.client.aio.models.generate_content(
            model=self.model, contents=contents, config=self.body.settings(job)
        )
        try:
            said = await asyncio.wait_for(asking, self.timeout)
        except Exception as error:  # the client lets the errors of several libraries through
            failed = request_error(error, self.access, self.timeout)
        else:
            return read_answer(job.request.id, as_json(said, _READ), self.access.secrets)
        raise failed


def request_error(error: Exception, access: Access, timeout: float) -> RequestError:
    """What an error of the client means."""
    where = access.where
    if isinstance(error, errors.APIError):
        return _api_error(error, access)
    if unreachable(error):
        return RequestError("unreachable", f"{where} cannot be reached")
    kind = type(error).__name__
    if isinstance(error, (asyncio.TimeoutError, TimeoutError)) or "Timeout" in kind:
        return RequestError("retryable", f"{where}: no answer within {timeout:g} s")
    if isinstance(error, ValueError):
        return RequestError("retryable", f"{where}: the response is not what Gemini's interface describes")
    return RequestError("retryable", f"{where}: the connection broke ({kind})")


def _api_error(error: errors.APIError, access: Access) -> RequestError:
    details, status = _details(error.details), str(error.status)
    said = f"{access.where}: {error.code}: {access.secrets.line(error.message or status)}"
    reasons = {str(detail.get("reason")) for detail in details}
    quotas = [str(one.get("quotaId")) for detail in details for one in _dicts(detail.get("violations"))]
    if error.code in (401, 403) or "API_KEY_INVALID" in reasons:
        return RequestError("fatal", f"{said}: check the key in {access.key_name}")
    if error.code == 429 and any("PerDay" in quota for quota in quotas):
        return RequestError("fatal", f"{said}: the day's quota of the key in {access.key_name} is used up")
    if status == "FAILED_PRECONDITION":  # no billing, or not for this part of the world
        return RequestError("fatal", said)
    waits = [_seconds(detail.get("retryDelay")) for detail in details]
    asked = next((wait for wait in waits if wait is not None), None)
    headers: Any = getattr(error.response, "headers", None) or {}
    return RequestError(kind_of(error.code), said, retry_after(headers) if asked is None else asked)


def _details(body: Any) -> list[dict[str, Any]]:
    """The parts of Google's error model (google.rpc.Status) that a program may read."""
    told = body.get("error", body) if isinstance(body, dict) else {}
    return _dicts(told.get("details")) if isinstance(told, dict) else []


def _dicts(found: Any) -> list[dict[str, Any]]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _seconds(delay: Any) -> float | None:
    """A duration as protocol buffers write it in JSON, as in `37s`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)s", str(delay))
    return float(found[1]) if found else None
