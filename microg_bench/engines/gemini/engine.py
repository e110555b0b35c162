"""The engine `gemini`: Google's models behind the Gemini interface, asked with the client `google-genai`.

A batch is a file of requests that goes up; within a day a file of answers comes down.
"""

import io
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, ClassVar

from google import genai
from google.genai import errors, types

from microg_bench.engines.base import Answered, BatchEngine, BatchState, Job, Outcome, batch_results
from microg_bench.engines.gemini.client import GeminiBody, GeminiServer, read_answer, request_error
from microg_bench.engines.http.errors import RequestError
from microg_bench.engines.http.media import JpegFrames
from microg_bench.engines.http.pool import HttpEngine, ServerPool
from microg_bench.engines.http.secrets import Access, Secrets, base_url, read_key
from microg_bench.errors import EngineError
from microg_bench.text import unknown

_KEYS = ("GOOGLE_API_KEY", "GEMINI_API_KEY")  # in the order in which the client prefers them
_CONNECTIONS = 100  # that the client opens at most
_CHECK_S = 30.0
_NAMED = 8  # models that are named where one is not known
_VERSION = "v1beta"  # whose published description has all that is sent; that of v1 has no system's turn
_ENDED = ("SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED")
# Results of batches carry codes of google.rpc.Code, or HTTP's; both are read as HTTP's here.
_HTTP = {1: 499, 3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 9: 400, 13: 500, 14: 503, 16: 401}


@dataclass
class GeminiEngine(HttpEngine, BatchEngine):
    """Frames are sent as JPEG images, or the clip as its own file."""

    name: ClassVar[str] = "gemini"
    batch_items: ClassVar[int] = 50_000
    batch_bytes: ClassVar[int] = 500 * 1000**2  # Gemini takes 2 GB; what is sent is held in memory before
    medias: ClassVar[tuple[str, ...]] = ("images", "clip")
    _access: Access = field(init=False, repr=False)
    _body: GeminiBody = field(init=False, repr=False)
    _model: str = field(init=False, repr=False)

    def start(self) -> None:
        """Check key, address and model with a question that costs nothing."""
        if (found := read_key(_KEYS)) is None:
            raise EngineError(f"no key: set the environment variable {' or '.join(_KEYS)} to yours")
        if not self.options.checkpoint:
            raise EngineError("no model named: say which, for example gemini:gemini-2.5-pro")
        if len(self.options.url) > 1:
            raise EngineError("engine gemini asks one address")
        where = base_url(self.options.url[0]) if self.options.url else "Gemini"
        secrets = Secrets(*(os.environ.get(name) for name in _KEYS))
        self._access = Access(where, found[1], found[0], secrets)
        self._check_model(self.options.checkpoint)
        self._model = self.options.checkpoint
        self._body = GeminiBody(self.options.media or "images", JpegFrames(self.options.jpeg_quality))

    def _check_model(self, model: str) -> None:
        with self._asking(min(self.options.timeout, _CHECK_S)) as client:
            try:
                client.models.get(model=model)
                return
            except errors.ClientError as error:
                if error.code != 404:
                    raise
            names = [(one.name or "").removeprefix("models/") for one in client.models.list()]
        near = get_close_matches(model, names, n=_NAMED, cutoff=0.0)
        raise EngineError(unknown("model", model, near), item=self._access.where)

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
        """See `ServerPool.answer`."""
        seconds = self.options.timeout
        client = self._client(seconds)
        server = GeminiServer(self._access, client, self._model, self._body, seconds)
        limit = min(self.options.max_concurrency, _CONNECTIONS)
        pool = ServerPool([server], limit, self.policy, self.clock)
        try:
            async with aclosing(pool.answer(jobs)) as answers:
                async for answered in answers:
                    yield answered
        finally:
            await client.aio.aclose()
            client.close()

    def encoded(self, job: Job) -> bytes:
        """See `GeminiBody.line`."""
        return self._body.line(job)

    def submit(self, jobs: Sequence[tuple[str, bytes]], token: str) -> str:
        """Send the requests; returns the batch's name."""
        content = io.BytesIO(b"".join(line for _, line in jobs))
        # The media type is the one that the vendor's guide gives such a file.
        described = types.UploadFileConfig(display_name=token, mime_type="jsonl")
        with self._asking(self.options.timeout) as client:
            file = client.files.upload(file=content, config=described)
            named = types.CreateBatchJobConfig(display_name=token)
            batch = client.batches.create(model=self._model, src=str(file.name), config=named)
        return str(batch.name)

    def find(self, token: str) -> str | None:
        """The name of the batch that carries `token`; None where there is none."""
        with self._asking(self.options.timeout) as client:
            return next((batch.name for batch in client.batches.list() if batch.display_name == token), None)

    def state(self, batch: str) -> BatchState:
        """How far the batch is; Gemini does not tell how many requests are answered."""
        with self._asking(self.options.timeout) as client:
            found = client.batches.get(name=batch).state
        word = str(getattr(found, "value", found) or "UNKNOWN").removeprefix("JOB_STATE_")
        return BatchState(ended=word in _ENDED, word=word.lower().replace("_", " "))

    def collect(self, batch: str) -> Iterator[Outcome]:
        """The outcome of each request of an ended batch, as far as it was worked on."""
        with self._asking(self.options.timeout) as client:
            dest = client.batches.get(name=batch).dest
            content = client.files.download(file=dest.file_name) if dest and dest.file_name else b""
        for name, result in batch_results(content, "key"):
            yield self._outcome(name, result)

    def _outcome(self, name: str, result: dict[str, Any]) -> Outcome:
        access, said = self._access, result.get("response")
        error = result.get("error") or result.get("status")
        if not isinstance(said, dict):
            refused = errors.APIError(_status(error), {"error": error if isinstance(error, dict) else {}})
            return request_error(refused, access, 0.0).failure(name)
        try:
            return read_answer(name, said, access.secrets)
        except RequestError as failed:
            return failed.failure(name)
        except (AttributeError, KeyError, TypeError, ValueError):
            reason = f"{access.where}: the response is not what Gemini's interface describes"
            return RequestError("retryable", reason).failure(name)

    @contextmanager
    def _asking(self, seconds: float) -> Iterator[genai.Client]:
        """A client whose errors become one line."""
        try:
            with self._client(seconds) as client:
                yield client
        except Exception as error:  # the client lets the errors of several libraries through
            raise EngineError(request_error(error, self._access, seconds).reason) from None

    def _client(self, timeout: float) -> genai.Client:
        """A client that sends each request once."""
        address = re.fullmatch(r"(.*?)(?:/(v\d\w*))?", self._access.where) if self.options.url else None
        return genai.Client(
            vertexai=False,
            api_key=self._access.key,
            http_options=types.HttpOptions(
                base_url=address[1] if address else None,
                api_version=(address[2] if address else None) or _VERSION,
                timeout=max(1, round(timeout * 1000)),
                retry_options=types.HttpRetryOptions(attempts=1),
            ),
        )

    def provenance(self) -> dict[str, str]:
        """Who answers: the model as it is asked for, where, and the version of the client."""
        return {
            "model": self._model,
            "servers": self._access.where,
            "media": self._body.media,
            "google-genai": genai.__version__,
        }


def _status(error: Any) -> int:
    code = error.get("code") if isinstance(error, dict) else None
    return _HTTP.get(code, code) if isinstance(code, int) and code else 500
