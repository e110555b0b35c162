"""Writes jobs as requests to Gemini, and reads its answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from google.genai import types

from microg_bench.engines._ask_error import AskError
from microg_bench.engines._chat import PromptError
from microg_bench.engines._media import JpegFrames, clip_file
from microg_bench.engines._secrets import Secrets, fit
from microg_bench.engines.base import Job
from microg_bench.records import Image, Response, Text, Video

MOST_BYTES = 20 * 1000**2  # of one request with inline data, as its vendor says
_ROLES = {"user": "user", "assistant": "model"}
_FILTERED = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "MODEL_ARMOR",
        "ESCALATION",
    }
)


@dataclass
class GeminiBody:
    """The requests of one run: frames as JPEG images, or the clip's own file."""

    media: Literal["images", "clip"]
    quality: int
    _jpegs: JpegFrames = field(init=False)

    def __post_init__(self) -> None:
        self._jpegs = JpegFrames(self.quality)

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

    def _pieces(self, job: Job, part: Text | Video | Image) -> list[types.Part]:
        if isinstance(part, Text):
            return [types.Part(text=part.text)]
        if isinstance(part, Image):
            return [types.Part.from_bytes(data=self._jpegs.one(job, part.frame), mime_type="image/jpeg")]
        if self.media == "clip":
            kind, content = clip_file(job)
            return [types.Part.from_bytes(data=content, mime_type=kind)]
        return [types.Part.from_bytes(data=jpeg, mime_type="image/jpeg") for jpeg in self._jpegs.all(job)]


def plain(said: types.GenerateContentResponse) -> dict[str, Any]:
    """A response as it was on the wire, and as results of batches hold it."""
    wanted = {"candidates", "prompt_feedback", "usage_metadata"}
    return said.model_dump(mode="json", by_alias=True, exclude_none=True, include=wanted)


def read_answer(name: str, said: dict[str, Any], secrets: Secrets) -> Response:
    """The answer to the request `name`, told apart by how it ended.

    Raises:
        AskError: there is none in it.
    """
    usage = said.get("usageMetadata") or {}
    written, thought = usage.get("candidatesTokenCount"), usage.get("thoughtsTokenCount")
    tokens: dict[str, Any] = {
        "prompt_tokens": usage.get("promptTokenCount"),
        "cached_tokens": usage.get("cachedContentTokenCount"),
        "output_tokens": None if written is None and thought is None else (written or 0) + (thought or 0),
    }
    if not said.get("candidates"):
        if (said.get("promptFeedback") or {}).get("blockReason"):
            return Response(id=name, text="", stop="filter", **tokens)
        raise AskError("again", "Gemini: the response has no candidate in it")
    candidate = said["candidates"][0]
    pieces = (candidate.get("content") or {}).get("parts") or []
    text = "".join(str(piece.get("text") or "") for piece in pieces if not piece.get("thought"))
    reason = str(candidate.get("finishReason") or "STOP")
    stop = _stop(reason.removeprefix("IMAGE_"))
    if stop is None and not text:
        raise AskError("again", f"Gemini: nothing was written (finish reason {reason})")
    return Response(id=name, text=fit(secrets.hide(text)), stop=stop or "end", **tokens)


def _stop(reason: str) -> Literal["end", "length", "filter"] | None:
    """Why generation ended; None where something went wrong."""
    if reason in _FILTERED:
        return "filter"
    return "length" if reason == "MAX_TOKENS" else "end" if reason == "STOP" else None
