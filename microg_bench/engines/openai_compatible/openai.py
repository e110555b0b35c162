"""The engine `openai`: models behind OpenAI's interface, asked with its official client.

A batch is a file of requests that goes up; within a day a file of answers comes down.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import openai

from microg_bench.engines.base import BatchEngine, BatchState, Job, Outcome, QueueFullError, batch_results
from microg_bench.engines.http.clients import MOST_BYTES, http_client
from microg_bench.engines.http.errors import RequestError, unknown_model
from microg_bench.engines.http.faults import Fault
from microg_bench.engines.http.reading import mapping
from microg_bench.engines.http.sdk import engine_errors
from microg_bench.engines.http.secrets import Access, Secrets, base_url, read_key
from microg_bench.engines.openai_compatible.chat import EFFORTS, ChatEngine, checked_at_start, served
from microg_bench.engines.openai_compatible.client import ChatBody, read_completion, unanswered
from microg_bench.errors import EngineError
from microg_bench.records import Generation, ThinkingLevel

_KEY = "OPENAI_API_KEY"
_URL = "https://api.openai.com/v1"
_METADATA = "microg-bench"  # the name under which a batch's metadata carries our token
_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
_OK = 200
_FULL = "token_limit_exceeded"  # of the account's queue
_MOST_BYTES = 4 * 1000**3  # of a file of answers


@dataclass
class OpenAIEngine(ChatEngine, BatchEngine):
    """Frames are sent as JPEG images, each prompt part in its place."""

    name: ClassVar[str] = "openai"
    batch_items: ClassVar[int] = 50_000
    batch_bytes: ClassVar[int] = 200 * 1000**2
    thinking_switches: ClassVar[Mapping[ThinkingLevel, Mapping[str, Any]]] = {
        "off": {"reasoning_effort": "none"},
        **EFFORTS,
    }

    def start(self) -> None:
        """Check key, address and model with a question that costs nothing."""
        if not self.options.checkpoint:
            raise EngineError("no model named: say which, for example openai:gpt-4o")
        if len(self.options.url) > 1:
            raise EngineError("engine openai asks one address; engine server shares work among several")
        url = next(iter(self.options.url), "") or os.environ.get("OPENAI_BASE_URL", "").strip() or _URL
        if (found := read_key([_KEY], url := base_url(url))) is None:
            raise EngineError(f"no key: set the environment variable {_KEY} to yours")
        access = Access(url, found[1], _KEY, Secrets(found[1]))
        self._check_model(access, self.options.checkpoint)
        self._access = [access]
        self._body = ChatBody(
            self.options.checkpoint,
            "images",
            self.options,
            "max_completion_tokens",
            self.rejected,
            thinking=self.thinking,
            engine=self.name,
        )

    def _check_model(self, access: Access, model: str) -> None:
        try:
            if checked_at_start(access, self.options.timeout, lambda client: _is_known(client, model)):
                return
        except RequestError as failed:
            raise EngineError(failed.reason) from None
        names = [one.id for one in served(access, self.options.timeout)]
        if model not in names:
            raise unknown_model(model, names, access)

    def encoded(self, job: Job) -> bytes:
        """The line of the file of requests for `job`."""
        body = self._body.of(job)
        line = {"custom_id": job.request.id, "method": "POST", "url": "/v1/chat/completions", "body": body}
        return json.dumps(line, separators=(",", ":")).encode() + b"\n"

    def submit(self, jobs: Sequence[tuple[str, bytes]], token: str) -> str:
        """Send the requests; returns the batch's id."""
        content = b"".join(line for _, line in jobs)
        with self._client() as client:
            file = client.files.create(file=(f"{token}.jsonl", content), purpose="batch")
            try:
                batch = client.batches.create(
                    input_file_id=file.id,
                    endpoint="/v1/chat/completions",
                    completion_window="24h",
                    metadata={_METADATA: token},
                )
            except openai.APIStatusError as error:
                fault = Fault.of(error.status_code, error.response.content)
                if _is_full(fault):
                    raise QueueFullError(fault.error(self._access[0]).reason) from None
                raise
            return batch.id

    def find(self, token: str) -> str | None:
        """The id of the batch that carries `token`; None where there is none."""
        with self._client() as client:
            known = client.batches.list(limit=100)
            return next((one.id for one in known if (one.metadata or {}).get(_METADATA) == token), None)

    def state(self, batch: str) -> BatchState:
        """How far the batch is."""
        with self._client() as client:
            found = client.batches.retrieve(batch)
        told = [Fault.of(0, one.to_dict()) for one in (found.errors.data if found.errors else None) or []]
        why = f": {self._access[0].secrets.line(told[0].message)}" if told else ""
        counts = found.request_counts
        return BatchState(
            ended=found.status in _ENDED,
            word=f"{found.status}{why}",
            answered=counts.completed if counts else None,
            total=counts.total if counts else None,
            full=any(map(_is_full, told)),
        )

    def collect(self, batch: str) -> Iterator[Outcome]:
        """The outcome of each request of an ended batch, as far as it was worked on."""
        with self._client(_MOST_BYTES) as client:
            found = client.batches.retrieve(batch)
            files = [name for name in (found.output_file_id, found.error_file_id) if name]
            content = b"\n".join(client.files.content(name).content for name in files)
        for name, result in batch_results(content, "custom_id"):
            yield self._outcome(name, result)

    def _outcome(self, name: str, result: dict[str, Any]) -> Outcome:
        access, response = self._access[0], mapping(result.get("response"))
        status, body = response.get("status_code"), response.get("body")
        told = body or result.get("error")
        fault = Fault.inside(body) if status == _OK else Fault.of(_status(status), told)
        try:
            if fault is None:
                return read_completion(name, body, access)
            if not status:  # it was never asked: the batch expired or was cancelled before
                reason = f"{access.where}: {access.secrets.line(fault.message)}"
                raise RequestError("retryable", reason)
            # The next start asks again, without what is rejected.
            self._body.leave_out(fault, self._body.settings(Generation()), access)
            return unanswered(name, fault, access)
        except RequestError as failed:
            return failed.failure(name)

    @contextmanager
    def _client(self, most_bytes: int = MOST_BYTES) -> Iterator[openai.OpenAI]:
        """A client that sends each request once: a batch that is sent twice is paid twice."""
        access, seconds = self._access[0], self.options.timeout
        with engine_errors(access, seconds, openai.APIStatusError):
            http = http_client(access.where, seconds, most_bytes, redirects=True)
            with openai.OpenAI(
                api_key=access.key, base_url=access.where, max_retries=0, timeout=seconds, http_client=http
            ) as client:
                yield client


def _is_known(client: openai.OpenAI, model: str) -> bool:
    """Whether the server knows the model; where it does not find it, the list of models tells."""
    try:
        return bool(getattr(client.models.retrieve(model), "id", None))
    except openai.NotFoundError:
        return False


def _is_full(fault: Fault) -> bool:
    """Whether a batch was refused because the queue of the account is full."""
    return _FULL in fault.names or "enqueued" in fault.message.lower()


def _status(code: Any) -> int:
    return code if isinstance(code, int) else 0
