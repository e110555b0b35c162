"""The engine `anthropic`: Claude behind Anthropic's interface, asked with its official client.

A batch is one request that holds many; within a day its results come down as a file. Batches have no name of
our choice, so that the ids of their requests carry our token.
"""

import hashlib
import json
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import anthropic
from anthropic.types.messages import MessageBatch

from microg_bench.engines.anthropic.client import AnthropicServer, MessageBody, read_message, unknown_settings
from microg_bench.engines.base import (
    Answered,
    BatchEngine,
    BatchState,
    Job,
    Outcome,
    QueueFullError,
    batch_results,
)
from microg_bench.engines.chat_template import PromptError
from microg_bench.engines.http.clients import MOST_BYTES, async_http_client, http_client
from microg_bench.engines.http.errors import RequestError, at_start, unknown_model
from microg_bench.engines.http.faults import Fault
from microg_bench.engines.http.media import JpegFrames
from microg_bench.engines.http.pool import HttpEngine
from microg_bench.engines.http.reading import mapping
from microg_bench.engines.http.sdk import engine_errors, request_error
from microg_bench.engines.http.secrets import Access, vendor_access
from microg_bench.errors import EngineError
from microg_bench.records import Generation, ThinkingLevel

_KEY = "ANTHROPIC_API_KEY"
_URL = "https://api.anthropic.com"
_HEADERS = "ANTHROPIC_CUSTOM_HEADERS"  # which the client would send, keys among them
_BATCHES = "/v1/messages/batches"
_MOST_BYTES = 4 * 1000**3  # of a file of results
_ENDED = "ended"
_WORKED_ON = {"succeeded": "message", "errored": "error"}  # what a result of this type holds
_LONGEST_ID = 64  # characters, as the vendor says
_TOKEN = 12  # characters of it that stand for our token


@dataclass
class AnthropicEngine(HttpEngine, BatchEngine):
    """Frames are sent as JPEG images, each prompt part in its place."""

    name: ClassVar[str] = "anthropic"
    structured: ClassVar[bool] = True
    batch_items: ClassVar[int] = 100_000
    batch_bytes: ClassVar[int] = 240 * 1000**2  # Anthropic takes 256 MB with the ids of the requests
    thinking_switches: ClassVar[Mapping[ThinkingLevel, Mapping[str, Any]]] = {
        "on": {"thinking": "adaptive", "display": "summarized"},
        "off": {"thinking": "disabled"},
        "low": {"thinking": "adaptive", "display": "summarized", "effort": "low"},
        "medium": {"thinking": "adaptive", "display": "summarized", "effort": "medium"},
        "high": {"thinking": "adaptive", "display": "summarized", "effort": "high"},
    }
    _access: Access = field(init=False, repr=False)
    _body: MessageBody = field(init=False, repr=False)

    def start(self) -> None:
        """Check key, address and model with a question that costs nothing."""
        if not (model := self.options.checkpoint):
            raise EngineError("no model named: say which, for example anthropic:claude-opus-5")
        if len(self.options.url) > 1:
            raise EngineError("engine anthropic asks one address")
        if os.environ.get(_HEADERS, "").strip():
            raise EngineError(f"unset it: requests are sent with the key in {_KEY} alone", item=_HEADERS)
        given = next(iter(self.options.url), "") or os.environ.get("ANTHROPIC_BASE_URL", "").strip()
        self._access = vendor_access("Anthropic", given, _URL, (_KEY,))
        names = at_start(self._access, self.options.timeout, lambda seconds: self._others(model, seconds))
        if names is not None:
            raise unknown_model(model, names, self._access)
        self.rejected |= unknown_settings(model)
        self._body = MessageBody(model, JpegFrames(self.options.jpeg_quality), self.rejected, self.thinking)

    def _others(self, model: str, seconds: float) -> list[str] | None:
        """None where the model is known, else the names of those that are."""
        with self._client(seconds) as client:
            try:
                client.models.retrieve(model)
                return None
            except anthropic.NotFoundError:
                return [one.id for one in client.models.list(limit=1000)]

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
        """See `ServerPool.answer`."""
        seconds, address = self.options.timeout, self._access.address
        async with async_http_client(address, seconds) as http:
            client = anthropic.AsyncAnthropic(**self._settings(seconds), http_client=http)
            server = AnthropicServer(self._access, client, self._body, seconds)
            async with aclosing(self.pooled(server, jobs)) as answers:
                async for answered in answers:
                    yield answered

    def encoded(self, job: Job) -> bytes:
        """The request for `job`, without its id."""
        _custom_id("", job.request.id)
        return json.dumps(self._body.of(job), separators=(",", ":")).encode()

    def submit(self, jobs: Sequence[tuple[str, bytes]], token: str) -> str:
        """Send the requests; returns the batch's id."""
        ids = (json.dumps(_custom_id(token, name)).encode() for name, _ in jobs)
        requests = (
            b'{"custom_id":%b,"params":%b}' % (one, body) for one, (_, body) in zip(ids, jobs, strict=True)
        )
        content = b'{"requests":[%b]}' % b",".join(requests)
        with self._client(self.options.timeout) as client:
            try:
                return str(client.post(_BATCHES, content=content, cast_to=MessageBatch).id)
            except anthropic.RateLimitError as error:
                reason = request_error(error, self._access, 0.0, anthropic.APIStatusError).reason
                raise QueueFullError(reason) from None

    def find(self, token: str) -> str | None:
        """The id of the batch that carries `token`; None where there is none.

        Raises:
            EngineError: a batch that has not ended may be the one, which only its results tell.
        """
        with self._client(self.options.timeout, _MOST_BYTES) as client:
            working = ""
            for batch in client.messages.batches.list(limit=100):
                if batch.processing_status != _ENDED:
                    working = working or batch.id
                elif batch.results_url and _first_id(client, batch.id).startswith(_custom_id(token, "")):
                    return batch.id
        if working:
            reason = (
                f"batch {self._access.secrets.line(working)} may be the one that this run has sent before it"
            )
            raise EngineError(f"{reason} was stopped: start it again when that batch has ended")
        return None

    def state(self, batch: str) -> BatchState:
        """How far the batch is; Anthropic counts what is answered only when the batch has ended."""
        with self._client(self.options.timeout) as client:
            found = client.messages.batches.retrieve(batch)
            word = self._access.secrets.line(found.processing_status)
            if word != _ENDED:
                return BatchState(ended=False, word=word)
            counts = found.request_counts.model_dump()
            return BatchState(True, word, answered=counts["succeeded"], total=sum(counts.values()))

    def collect(self, batch: str) -> Iterator[Outcome]:
        """The outcome of each request of an ended batch, as far as it was worked on."""
        with self._client(self.options.timeout, _MOST_BYTES) as client:
            if not client.messages.batches.retrieve(batch).results_url:
                return
            with client.messages.batches.with_streaming_response.results(batch) as results:
                content = results.read()
        for name, result in batch_results(content, "custom_id"):
            yield self._outcome(_request_id(name), mapping(result.get("result")))

    def _outcome(self, name: str, result: dict[str, Any]) -> Outcome:
        access = self._access
        try:
            if (kind := str(result.get("type"))) not in _WORKED_ON:
                raise RequestError("retryable", f"{access.where}: the request {access.secrets.line(kind)}")
            said = result.get(_WORKED_ON[kind])
            fault = Fault.inside(said)
            if fault is None and kind == "succeeded":
                return read_message(name, said, access)
            fault = fault or Fault.of(500, said)
            # The next start asks again, without what is rejected.
            self._body.leave_out(fault, Generation().model_dump(), access)
            raise fault.error(access)
        except RequestError as failed:
            return failed.failure(name)

    @contextmanager
    def _client(self, seconds: float, most_bytes: int = MOST_BYTES) -> Iterator[anthropic.Anthropic]:
        """A client that sends each request once: a batch that is sent twice is paid twice."""
        with engine_errors(self._access, seconds, anthropic.APIStatusError):
            http = http_client(self._access.address, seconds, most_bytes, redirects=True)
            with anthropic.Anthropic(**self._settings(seconds), http_client=http) as client:
                yield client

    def _settings(self, seconds: float) -> dict[str, Any]:
        base = self._access.address.removesuffix("/v1")
        return {"api_key": self._access.key, "base_url": base, "max_retries": 0, "timeout": seconds}

    def provenance(self) -> dict[str, str]:
        """Who answers: the model as it is asked for, where, and the version of the client."""
        return {
            "model": self._body.model,
            "servers": self._access.where,
            "media": "images",
            "anthropic": anthropic.__version__,
        }


def _first_id(client: anthropic.Anthropic, batch: str) -> str:
    """The id of a request of an ended batch; "" where it left none."""
    with client.messages.batches.with_streaming_response.results(batch) as results:
        line = next(results.iter_lines(), "")
    return next((name for name, _ in batch_results(line.encode(), "custom_id")), "")


def _custom_id(token: str, request_id: str) -> str:
    """The id of a request in a batch, of the letters that the vendor allows: token and request.

    Raises:
        PromptError: it is longer than the vendor allows.
    """
    carried = hashlib.sha256(token.encode()).hexdigest()[:_TOKEN]
    escaped = re.sub(rb"[^A-Za-z0-9-]", lambda one: b"_%02X" % one[0][0], request_id.encode()).decode()
    if len(found := f"{carried}-{escaped}") > _LONGEST_ID:
        raise PromptError(f"the id of the request is too long for a batch of Anthropic: {request_id[:100]}")
    return found


def _request_id(custom_id: str) -> str:
    """The request of an id that `_custom_id` made."""
    escaped = custom_id.partition("-")[2].encode(errors="replace")
    return re.sub(rb"_([0-9A-F]{2})", lambda one: bytes.fromhex(one[1].decode()), escaped).decode(
        errors="replace"
    )
