"""The engine `gemini`: Google's models behind the Gemini interface, asked with the client `google-genai`.

A batch is a file of requests that goes up; within a day a file of answers comes down.
"""

import io
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import httpx2
from google import genai
from google.genai import errors, types

from microg_bench.engines.base import (
    Answered,
    BatchEngine,
    BatchState,
    Job,
    Outcome,
    QueueFullError,
    batch_results,
)
from microg_bench.engines.gemini.client import (
    GeminiBody,
    GeminiServer,
    error_of,
    read_answer,
    request_error,
)
from microg_bench.engines.http.clients import MOST_BYTES, async_http_client, http_client
from microg_bench.engines.http.errors import RequestError, at_start, unknown_model
from microg_bench.engines.http.faults import Fault
from microg_bench.engines.http.media import JpegFrames
from microg_bench.engines.http.pool import HttpEngine
from microg_bench.engines.http.reading import mapping
from microg_bench.engines.http.secrets import Access, vendor_access
from microg_bench.errors import EngineError
from microg_bench.records import Generation, ThinkingLevel

T = TypeVar("T")

_KEYS = ("GOOGLE_API_KEY", "GEMINI_API_KEY")  # in the order in which the client prefers them
_URL = "https://generativelanguage.googleapis.com"
_MOST_BYTES = 4 * 1000**3  # of a file of answers
_VERSION = "v1beta"  # whose published description has all that is sent; that of v1 has no system's turn
_ENDED = ("SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED")
# Results of batches carry codes of google.rpc.Code, or HTTP's; both are read as HTTP's here.
_HTTP = {1: 499, 3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 9: 400, 13: 500, 14: 503, 16: 401}
_EXHAUSTED = 429


@dataclass
class GeminiEngine(HttpEngine, BatchEngine):
    """Frames are sent as JPEG images, or the clip as its own file."""

    name: ClassVar[str] = "gemini"
    structured: ClassVar[bool] = True
    batch_items: ClassVar[int] = 50_000
    batch_bytes: ClassVar[int] = 500 * 1000**2  # Gemini takes 2 GB; what is sent is held in memory before
    medias: ClassVar[tuple[str, ...]] = ("images", "clip")
    thinking_switches: ClassVar[Mapping[ThinkingLevel, Mapping[str, Any]]] = {
        "on": {"thinking_budget": -1, "include_thoughts": True},
        "off": {"thinking_budget": 0},
        "low": {"thinking_level": "low", "include_thoughts": True},
        "medium": {"thinking_level": "medium", "include_thoughts": True},
        "high": {"thinking_level": "high", "include_thoughts": True},
    }
    _access: Access = field(init=False, repr=False)
    _body: GeminiBody = field(init=False, repr=False)

    def start(self) -> None:
        """Check key, address and model with a question that costs nothing."""
        if not self.options.checkpoint:
            raise EngineError("no model named: say which, for example gemini:gemini-2.5-pro")
        if len(self.options.url) > 1:
            raise EngineError("engine gemini asks one address")
        given = next(iter(self.options.url), "") or os.environ.get("GOOGLE_GEMINI_BASE_URL", "").strip()
        self._access = vendor_access("Gemini", given, _URL, _KEYS)
        self._check_model(self.options.checkpoint)
        self._body = GeminiBody(
            self.options.checkpoint,
            self.options.media or "images",
            JpegFrames(self.options.jpeg_quality),
            self.rejected,
            self.thinking,
        )

    def _check_model(self, model: str) -> None:
        def others(client: genai.Client) -> list[str] | None:
            """None where the model is known, else the names of those that are."""
            try:
                client.models.get(model=model)
                return None
            except errors.ClientError as error:
                if error.code != 404:
                    raise
            return [(one.name or "").removeprefix("models/") for one in client.models.list()]

        timeout = self.options.timeout
        names = at_start(self._access, timeout, lambda seconds: self._asking(seconds, others))
        if names is not None:
            raise unknown_model(model, names, self._access)

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
        """See `ServerPool.answer`."""
        seconds, address = self.options.timeout, self._access.address
        async with async_http_client(address, seconds) as http:
            client = self._client(seconds, http_client(address, seconds), http)
            server = GeminiServer(self._access, client, self._body, seconds)
            async with aclosing(self.pooled(server, jobs)) as answers:
                async for answered in answers:
                    yield answered

    def encoded(self, job: Job) -> bytes:
        """See `GeminiBody.line`."""
        return self._body.line(job)

    def submit(self, jobs: Sequence[tuple[str, bytes]], token: str) -> str:
        """Send the requests; returns the batch's name."""
        content = io.BytesIO(b"".join(line for _, line in jobs))
        # The media type is the one that the vendor's guide gives such a file.
        described = types.UploadFileConfig(display_name=token, mime_type="jsonl")
        named = types.CreateBatchJobConfig(display_name=token)

        def send(client: genai.Client) -> str:
            file = client.files.upload(file=content, config=described)
            try:
                batch = client.batches.create(model=self._body.model, src=str(file.name), config=named)
            except errors.APIError as error:
                if error.code == _EXHAUSTED:
                    raise QueueFullError(request_error(error, self._access, 0.0).reason) from None
                raise
            return str(batch.name)

        return self._asking(self.options.timeout, send)

    def find(self, token: str) -> str | None:
        """The name of the batch that carries `token`; None where there is none."""

        def search(client: genai.Client) -> str | None:
            return next((batch.name for batch in client.batches.list() if batch.display_name == token), None)

        return self._asking(self.options.timeout, search)

    def state(self, batch: str) -> BatchState:
        """How far the batch is; Gemini does not tell how many requests are answered."""
        found = self._asking(self.options.timeout, lambda client: client.batches.get(name=batch).state)
        word = str(getattr(found, "value", found) or "UNKNOWN").removeprefix("JOB_STATE_")
        return BatchState(ended=word in _ENDED, word=word.lower().replace("_", " "))

    def collect(self, batch: str) -> Iterator[Outcome]:
        """The outcome of each request of an ended batch, as far as it was worked on."""

        def download(client: genai.Client) -> bytes:
            dest = client.batches.get(name=batch).dest
            return client.files.download(file=dest.file_name) if dest and dest.file_name else b""

        content = self._asking(self.options.timeout, download, _MOST_BYTES)
        for name, result in batch_results(content, "key"):
            yield self._outcome(name, result)

    def _outcome(self, name: str, result: dict[str, Any]) -> Outcome:
        access, said = self._access, result.get("response")
        error = mapping(result.get("error") or result.get("status"))
        fault = Fault.inside(said) if isinstance(said, dict) else Fault.of(_status(error), {"error": error})
        try:
            if fault is None:
                return read_answer(name, said, access)
            # The next start asks again, without what is rejected.
            self._body.leave_out(fault, Generation().model_dump(), access)
            raise error_of(fault, access)
        except RequestError as failed:
            return failed.failure(name)

    def _asking(self, seconds: float, ask: Callable[[genai.Client], T], most_bytes: int = MOST_BYTES) -> T:
        """What `ask` makes of a client whose errors become one line."""
        try:
            address = self._access.address
            with http_client(address, seconds, most_bytes, redirects=True) as http:
                return ask(self._client(seconds, http, async_http_client(address, seconds)))
        except EngineError:
            raise
        except Exception as error:  # the client lets the errors of several libraries through
            raise EngineError(request_error(error, self._access, seconds).reason) from None

    def _client(self, timeout: float, http: httpx2.Client, several: httpx2.AsyncClient) -> genai.Client:
        """A client that sends each request once, over the one or the other."""
        address = re.fullmatch(r"(.*?)(?:/(v\d\w*))?", self._access.address)
        return genai.Client(
            vertexai=False,
            api_key=self._access.key,
            http_options=types.HttpOptions(
                base_url=address[1] if address else None,
                api_version=(address[2] if address else None) or _VERSION,
                timeout=max(1, round(timeout * 1000)),
                retry_options=types.HttpRetryOptions(attempts=1),
                httpx_client=http,
                httpx_async_client=several,
            ),
        )

    def provenance(self) -> dict[str, str]:
        """Who answers: the model as it is asked for, where, and the version of the client."""
        return {
            "model": self._body.model,
            "servers": self._access.where,
            "media": self._body.media,
            "google-genai": genai.__version__,
        }


def _status(error: dict[str, Any]) -> int:
    code = error.get("code")
    return _HTTP.get(code, code) if isinstance(code, int) and code else 500
