"""The engine `gemini`: Google's models behind the Gemini interface, asked with the client `google-genai`."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import ClassVar, Literal

from google import genai
from google.genai import errors, types

from microg_bench.engines import _gemini_batch as batches
from microg_bench.engines._gemini_body import GeminiBody
from microg_bench.engines._gemini_server import GeminiServer, trouble_of
from microg_bench.engines._pace import Clock
from microg_bench.engines._remote import Patience, Remote
from microg_bench.engines._secrets import Secrets, base_url, read_key
from microg_bench.engines.base import EngineOptions, Job
from microg_bench.engines.batch import BatchEngine, BatchState
from microg_bench.errors import EngineError, UsageError
from microg_bench.records import Failure, Response
from microg_bench.suggest import unknown

_KEYS = ("GOOGLE_API_KEY", "GEMINI_API_KEY")  # in the order in which the client prefers them
_CONNECTIONS = 100  # that the client opens at most
_CHECK_S = 30.0
_NAMED = 8  # models that are named where one is not known
_VERSION = "v1beta"  # whose published description has all that is sent; that of v1 has no system's turn


@dataclass
class GeminiEngine(BatchEngine):
    """Frames travel as JPEG images, or the clip as its own file."""

    name: ClassVar[str] = "gemini"
    takes: ClassVar[frozenset[str]] = frozenset(
        {"checkpoint", "urls", "at_once", "timeout", "media", "jpeg_quality"}
    )
    batch_items: ClassVar[int] = 50_000
    batch_bytes: ClassVar[int] = 500 * 1000**2  # Gemini takes 2 GB; what is sent is held in memory before
    patience: Patience = field(default_factory=Patience, kw_only=True)
    clock: Clock = field(default_factory=Clock, kw_only=True)
    _key_name: str = field(default="", init=False, repr=False)
    _secrets: Secrets = field(default_factory=Secrets, init=False, repr=False)

    @classmethod
    def check(cls, options: EngineOptions) -> None:
        """Refuse what this engine cannot be started with.

        Raises:
            UsageError: an option or a way for clips to travel that it does not have.
        """
        super().check(options)
        if options.media == "video":
            raise UsageError("engine gemini has no --media video (it has: images, clip)")

    def start(self) -> None:
        """Check key, address and model with a question that costs nothing.

        Raises:
            EngineError: one of them is missing or refused.
        """
        if (found := read_key(_KEYS)) is None:
            raise EngineError(f"no key: set the environment variable {' or '.join(_KEYS)} to yours")
        if not self.options.checkpoint:
            raise EngineError("no model named: say which, for example gemini:gemini-2.5-pro")
        if len(self.options.urls) > 1:
            raise EngineError("engine gemini asks one address")
        self._key_name = found[0]
        self._secrets = Secrets(*(os.environ.get(name) for name in _KEYS))
        self._check_model(self.options.checkpoint)

    def _check_model(self, model: str) -> None:
        names: list[str] = []
        why = ""
        try:
            with self._client(min(self.options.timeout, _CHECK_S)) as client:
                try:
                    client.models.get(model=model)
                    return
                except errors.ClientError as error:
                    if error.code != 404:
                        raise
                    names = [(one.name or "").removeprefix("models/") for one in client.models.list()]
        except Exception as error:  # the client lets the errors of several libraries through
            why = trouble_of(error, self._label, _CHECK_S, self._secrets, self._key_name).reason
        near = get_close_matches(model, names, n=_NAMED, cutoff=0.0)
        raise EngineError(why or f"{self._label}: {unknown('model', model, near)}")

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Response | Failure, None]:
        """One outcome a job, in the order of finishing.

        Raises:
            EngineError: key, model or quota were refused or Gemini cannot be reached; what was under way has
                been given back.
        """
        client = self._client(self.options.timeout)
        server = GeminiServer(
            self._label,
            client,
            self._model,
            self._body,
            self.options.timeout,
            self._secrets,
            self._key_name,
        )
        remote = Remote([server], min(self.options.at_once, _CONNECTIONS), self.patience, self.clock)
        try:
            async with aclosing(remote.answer(jobs)) as outcomes:
                async for outcome in outcomes:
                    yield outcome
        finally:
            await client.aio.aclose()
            client.close()

    def encoded(self, job: Job) -> bytes:
        """The line of the file of requests for `job`.

        Raises:
            PromptError: the prompt shows what was not delivered, or is too large.
        """
        return batches.batch_line(self._body, job)

    def submit(self, jobs: Sequence[tuple[str, bytes]], token: str) -> str:
        """Send the requests; returns the batch's name.

        Raises:
            EngineError: Gemini does not take them.
        """
        with self._asking() as client:
            return batches.submit(client, self._model, jobs, token)

    def find(self, token: str) -> str | None:
        """The name of the batch that carries `token`; None where there is none.

        Raises:
            EngineError: Gemini cannot be asked.
        """
        with self._asking() as client:
            return batches.find(client, token)

    def state(self, batch: str) -> BatchState:
        """How far the batch is.

        Raises:
            EngineError: Gemini cannot be asked, or knows of no such batch.
        """
        with self._asking() as client:
            return batches.state(client, batch)

    def collect(self, batch: str) -> Iterator[Response | Failure]:
        """What became of each request of an ended batch, as far as it was worked on.

        Raises:
            EngineError: Gemini cannot be asked.
        """
        with self._asking() as client:
            content = batches.results(client, batch)
        for line in content.splitlines():
            outcome = batches.outcome_of(line, self._label, self._key_name, self._secrets)
            if outcome is not None:
                yield outcome

    @contextmanager
    def _asking(self) -> Iterator[genai.Client]:
        seconds = self.options.timeout
        try:
            with self._client(seconds) as client:
                yield client
        except Exception as error:  # the client lets the errors of several libraries through
            why = trouble_of(error, self._label, seconds, self._secrets, self._key_name).reason
            raise EngineError(why) from None

    @cached_property
    def _body(self) -> GeminiBody:
        return GeminiBody(self._media, self.options.jpeg_quality)

    @property
    def _media(self) -> Literal["images", "clip"]:
        return "clip" if self.options.media == "clip" else "images"

    @property
    def _model(self) -> str:
        return self.options.checkpoint or ""

    @property
    def _label(self) -> str:
        return base_url(self.options.urls[0]) if self.options.urls else "Gemini"

    def _client(self, timeout: float) -> genai.Client:
        """A client that asks once and never again by itself."""
        found = read_key([self._key_name])
        address = (
            re.fullmatch(r"(.*?)(?:/(v\d\w*))?", base_url(self.options.urls[0]))
            if self.options.urls
            else None
        )
        return genai.Client(
            vertexai=False,
            api_key=found[1] if found else None,
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
            "servers": self._label,
            "media": self._media,
            "google-genai": genai.__version__,
        }
