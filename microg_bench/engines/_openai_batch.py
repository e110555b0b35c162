"""The batch interface of OpenAI: a file of requests goes up, within a day a file of answers comes down."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import openai
from openai.types.chat import ChatCompletion

from microg_bench.engines._ask_error import AskError
from microg_bench.engines._chat_engine import Access, ChatEngine, refusal
from microg_bench.engines._chat_server import Fault, read_completion
from microg_bench.engines.base import Job
from microg_bench.engines.batch import BatchEngine, BatchState
from microg_bench.errors import EngineError
from microg_bench.records import Failure, Response

log = logging.getLogger(__name__)

_OURS = "microg-bench"  # the name under which a batch's metadata carries our token
_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
_OK = 200


@dataclass
class OpenAIBatches(ChatEngine, BatchEngine):
    """What an engine of the chat completions interface needs to leave its requests with OpenAI."""

    batch_items: ClassVar[int] = 50_000
    batch_bytes: ClassVar[int] = 200 * 1000**2

    def encoded(self, job: Job) -> bytes:
        """The line of the file of requests for `job`.

        Raises:
            PromptError: the prompt shows what was not delivered.
        """
        body = self._started().of(job)
        line = {"custom_id": job.request.id, "method": "POST", "url": "/v1/chat/completions", "body": body}
        return json.dumps(line, separators=(",", ":")).encode() + b"\n"

    def submit(self, jobs: Sequence[tuple[str, bytes]], token: str) -> str:
        """Send the requests; returns the batch's id.

        Raises:
            EngineError: OpenAI does not take them.
        """
        content = b"".join(line for _, line in jobs)
        with self._asking() as client:
            file = client.files.create(file=(f"{token}.jsonl", content), purpose="batch")
            batch = client.batches.create(
                input_file_id=file.id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
                metadata={_OURS: token},
            )
            return batch.id

    def find(self, token: str) -> str | None:
        """The id of the batch that carries `token`; None where there is none.

        Raises:
            EngineError: OpenAI cannot be asked.
        """
        with self._asking() as client:
            for batch in client.batches.list(limit=100):
                if (batch.metadata or {}).get(_OURS) == token:
                    return batch.id
        return None

    def state(self, batch: str) -> BatchState:
        """How far the batch is.

        Raises:
            EngineError: OpenAI cannot be asked, or knows of no such batch.
        """
        with self._asking() as client:
            found = client.batches.retrieve(batch)
        told = [str(one.message) for one in (found.errors.data if found.errors else None) or []]
        why = f": {self._access[0].secrets.line(told[0])}" if told else ""
        counts = found.request_counts
        return BatchState(
            ended=found.status in _ENDED,
            word=f"{found.status}{why}",
            answered=counts.completed if counts else None,
            total=counts.total if counts else None,
        )

    def collect(self, batch: str) -> Iterator[Response | Failure]:
        """What became of each request of an ended batch, as far as it was worked on.

        Raises:
            EngineError: OpenAI cannot be asked.
        """
        with self._asking() as client:
            found = client.batches.retrieve(batch)
            files = [name for name in (found.output_file_id, found.error_file_id) if name]
            contents = [client.files.content(name).content for name in files]
        for content in contents:
            for line in content.splitlines():
                if (outcome := self._outcome(line)) is not None:
                    yield outcome

    def _outcome(self, line: bytes) -> Response | Failure | None:
        try:
            told = json.loads(line)
            name, error, response = str(told["custom_id"]), told.get("error"), told.get("response") or {}
        except (ValueError, KeyError, TypeError, AttributeError):
            log.warning("a line of the batch's results cannot be read and is passed over")
            return None
        status, body = response.get("status_code"), response.get("body")
        try:
            if status == _OK and isinstance(body, dict):
                said = ChatCompletion.construct(**body)
                return read_completion(name, said, self._access[0].url, self._access[0].secrets)
        except AskError as trouble:
            return _failure(name, trouble)
        fault = Fault.of(status or 0, body or error)
        if fault.filtered:
            return Response(id=name, text="", stop="filter")
        if fault.unsupported:  # the next start asks again, without it
            self._started().reject(fault.param, {fault.param: None})
        access = self._access[0]
        if not status:  # it was never asked: the batch expired or was cancelled before
            return _failure(name, AskError("again", f"{access.url}: {access.secrets.line(fault.message)}"))
        return _failure(name, fault.error(access.url, access.key_name, access.secrets))

    @contextmanager
    def _asking(self) -> Iterator[openai.OpenAI]:
        """A client that asks once: a batch that is sent twice is paid twice."""
        access: Access = self._access[0]
        try:
            with openai.OpenAI(
                api_key=access.key, base_url=access.url, max_retries=0, timeout=self.options.timeout
            ) as client:
                yield client
        except Exception as error:  # the client lets the errors of several libraries through
            raise EngineError(refusal(error, access)[1]) from None


def _failure(name: str, trouble: AskError) -> Failure:
    retryable = trouble.kind != "refused"
    return Failure(id=name, stage=trouble.stage, reason=trouble.reason, retryable=retryable)
