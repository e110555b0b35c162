"""Anthropic's Messages interface: writes requests, sends them with the official client, reads answers."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import anthropic

from microg_bench.engines.base import Job
from microg_bench.engines.chat_template import system_text
from microg_bench.engines.http.faults import Fault
from microg_bench.engines.http.media import JpegFrames, check_size
from microg_bench.engines.http.reading import (
    OddError,
    checked,
    dicts,
    mapping,
    name_in,
    odd_answer,
    oddly_ended,
    text_in,
    with_texts,
)
from microg_bench.engines.http.rejections import Rejections
from microg_bench.engines.http.sdk import said
from microg_bench.engines.http.secrets import Access
from microg_bench.engines.http.vendor import VendorServer
from microg_bench.records import FinishReason, Generation, Image, Message, Response, Text, Video
from microg_bench.structured import read_schema

MOST_BYTES = 32 * 1000**2  # of one request, as the vendor says
_SAMPLING = ("top_p", "temperature")  # the most dispensable first
# Claude Opus 4.7 and all later models answer requests that hold one of `_SAMPLING` with an error.
_WITHOUT_SAMPLING = re.compile(r"claude-(?:[a-z]+-(?:4-[7-9]|[5-9]|\d\d)|mythos)")
_BOUNDS = ("minimum", "maximum", "minItems", "maxItems")  # keywords that the vendor refuses in a schema
_FINISH_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
}


def unknown_settings(model: str) -> set[str]:
    """The settings of `Generation` that `model` is never sent: the interface has no seed."""
    return {"seed", *(_SAMPLING if _WITHOUT_SAMPLING.match(model) else ())}


@dataclass
class MessageBody:
    """The requests of one run to `model`, with frames as JPEG images.

    The settings in `rejected` are left out; what the model rejects is added, and a warning says so.
    `thinking` are the fields `thinking` (its type), `display` and `budget_tokens` of the vendor's thinking
    configuration, and `effort` of its output configuration.
    """

    model: str
    jpegs: JpegFrames
    rejected: set[str]
    thinking: Mapping[str, Any]
    _rejections: Rejections = field(init=False)

    def __post_init__(self) -> None:
        self._rejections = Rejections(self.model, self.rejected, self.thinking, "anthropic")

    def of(self, job: Job) -> dict[str, Any]:
        """The body of the request for `job`; raises as `content` does."""
        return self.content(job) | self.settings(job)

    def content(self, job: Job) -> dict[str, Any]:
        """What the model is shown.

        Raises:
            PromptError: the prompt shows what was not delivered, or is larger than Anthropic takes.
        """
        turns = [
            {"role": turn.role, "content": self._blocks(job, turn)}
            for turn in job.prompt.messages
            if turn.role != "system"
        ]
        blocks = [block for turn in turns for block in dicts(turn["content"])]
        texts = (block["source"]["data"] if "source" in block else block["text"] for block in blocks)
        check_size(sum(len(text.encode()) for text in texts), MOST_BYTES, "Anthropic")
        system = system_text(job.prompt)
        return {"model": self.model, "messages": turns, **({"system": system} if system else {})}

    def settings(self, job: Job) -> dict[str, Any]:
        """How the answer is to be written, without what the model rejects."""
        wanted = job.generation
        sampling = {"temperature": wanted.temperature}
        if wanted.top_p != 1:  # 1 changes nothing, and models refuse it beside a temperature
            sampling["top_p"] = wanted.top_p
        asked = {"max_tokens": wanted.max_tokens, **self._rejections.without(sampling)}
        return asked | self._thinking() | self._output(wanted)

    def _thinking(self) -> dict[str, Any]:
        if "thinking" not in self.thinking:
            return {}
        others = {name: self.thinking[name] for name in ("display", "budget_tokens") if name in self.thinking}
        return {"thinking": {"type": self.thinking["thinking"], **others}}

    def _output(self, wanted: Generation) -> dict[str, Any]:
        output = {"effort": self.thinking["effort"]} if "effort" in self.thinking else {}
        if wanted.answer_schema:
            schema = _without_bounds(read_schema(wanted.answer_schema))
            output["format"] = {"type": "json_schema", "schema": schema}
        return {"output_config": output} if output else {}

    def leave_out(self, fault: Fault, sent: Mapping[str, Any], access: Access) -> bool:
        """Leave out what `fault` rejects of the settings `sent`; false where it rejects none.

        Raises:
            RequestError: the model does not know the level of thinking, or takes no schema.
        """
        return self._rejections.leave_out(fault, (name for name in _SAMPLING if name in sent), access)

    def _blocks(self, job: Job, turn: Message) -> list[dict[str, Any]]:
        return [block for part in turn.parts for block in self._pieces(job, part)]

    def _pieces(self, job: Job, part: Text | Video | Image) -> list[dict[str, Any]]:
        if isinstance(part, Text):
            return [{"type": "text", "text": part.text}]
        shown = [self.jpegs.one(job, part.frame)] if isinstance(part, Image) else self.jpegs.all(job)
        return [_image(jpeg) for jpeg in shown]


def _image(jpeg: bytes) -> dict[str, Any]:
    content = base64.b64encode(jpeg).decode("ascii")
    return {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": content}}


def _without_bounds(schema: Any) -> Any:
    """`schema` with its bounds in descriptions: the model is told them, and its answer is checked here."""
    if isinstance(schema, list):
        return [_without_bounds(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        name: {key: _without_bounds(one) for key, one in found.items()}
        if name == "properties"
        else _without_bounds(found)
        for name, found in schema.items()
        if name not in _BOUNDS
    }
    if bounds := {name: schema[name] for name in _BOUNDS if name in schema}:
        kept["description"] = " ".join(filter(None, (schema.get("description"), json.dumps(bounds))))
    return kept


def arguments(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body as arguments of the client, which no longer has the settings that new models reject."""
    sampling = {name: body[name] for name in _SAMPLING if name in body}
    return {name: value for name, value in body.items() if name not in sampling} | {"extra_body": sampling}


def read_message(request_id: str, said: Any, access: Access, max_tokens: int | None = None) -> Response:
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
    response = Response(id=request_id, text="", served_model=name_in(said.get("model"), access.secrets))
    counts = _counts(mapping(said.get("usage")))
    try:
        text, thoughts = _texts(said.get("content"))
    except OddError as odd:
        bare = checked(response, access, **counts)
        raise odd_answer(odd, bare, access) from None
    response = with_texts(response, text, thoughts, access, max_tokens, **counts)
    ended = said.get("stop_reason")
    finish_reason = _FINISH_REASONS.get(ended) if isinstance(ended, str) else None
    if finish_reason is None:
        raise oddly_ended(ended, response, access)
    return response.model_copy(update={"finish_reason": finish_reason})


def _texts(content: Any) -> tuple[str, str]:
    """The answer, and the thoughts that come with it; those that are encrypted are left out."""
    if not isinstance(content, list) or len(dicts(content)) < len(content):
        raise OddError("the content of the response is no list of blocks")
    texts: dict[str, list[str]] = {"text": [], "thinking": [], "redacted_thinking": []}
    for block in dicts(content):
        if (kind := str(block.get("type"))) not in texts:
            raise OddError(f"the response holds a block of type {kind!r}")
        texts[kind].append(text_in(block.get(kind)))
    return "".join(texts["text"]), "\n\n".join(filter(None, texts["thinking"]))


def _counts(usage: dict[str, Any]) -> dict[str, Any]:
    """The counts of tokens as they are told; those of the cache are counted apart from the rest."""
    cached = usage.get("cache_read_input_tokens")
    return {
        "prompt_tokens": (usage.get("input_tokens"), usage.get("cache_creation_input_tokens"), cached),
        "cached_tokens": cached,
        "output_tokens": usage.get("output_tokens"),
        "reasoning_tokens": mapping(usage.get("output_tokens_details")).get("thinking_tokens"),
    }


class AnthropicServer(VendorServer):
    """Anthropic's model `body.model`."""

    client: anthropic.AsyncAnthropic

    async def send(self, content: dict[str, Any], settings: dict[str, Any]) -> Any:
        """See `VendorServer.send`."""
        raw = self.client.messages.with_raw_response
        asking = raw.create(**arguments(content | settings), timeout=self.timeout)
        return await said(asking, self.access, self.timeout, anthropic.APIStatusError)

    def read(self, job: Job, said: Any) -> Response:
        """See `read_message`."""
        return read_message(job.request.id, said, self.access, job.generation.max_tokens)
