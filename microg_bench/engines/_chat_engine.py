"""What the engines `openai` and `server` share: their servers speak the chat completions interface."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import Any, ClassVar

import openai

from microg_bench.engines._chat_body import ChatBody
from microg_bench.engines._chat_server import ChatServer, Fault, no_answer
from microg_bench.engines._pace import Clock
from microg_bench.engines._remote import Patience, Remote
from microg_bench.engines._secrets import Secrets
from microg_bench.engines.base import Engine, EngineOptions, Job
from microg_bench.errors import UsageError
from microg_bench.records import Failure, Response

_CHECK_S = 30.0  # what a question of the check at the start may take
_CONNECT_S = 10.0


@dataclass(frozen=True)
class Access:
    """Where a server is and what opens it."""

    url: str
    key: str = field(repr=False)
    key_name: str
    secrets: Secrets


@dataclass
class ChatEngine(Engine):
    """Asks the servers in `_access` for `_body.model`; both are set by `start`."""

    medias: ClassVar[tuple[str, ...]] = ("images",)
    patience: Patience = field(default_factory=Patience, kw_only=True)
    clock: Clock = field(default_factory=Clock, kw_only=True)
    _access: list[Access] = field(default_factory=list, init=False, repr=False)
    _body: ChatBody | None = field(default=None, init=False, repr=False)

    @classmethod
    def check(cls, options: EngineOptions) -> None:
        """Refuse what this engine cannot be started with.

        Raises:
            UsageError: an option or a way for clips to travel that it does not have.
        """
        super().check(options)
        if options.media is not None and options.media not in cls.medias:
            raise UsageError(
                f"engine {cls.name} has no --media {options.media} (it has: {', '.join(cls.medias)})"
            )

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Response | Failure, None]:
        """One outcome a job, in the order of finishing.

        Raises:
            EngineError: key, model or quota were refused or no server can be reached; what was under way has
                been given back.
        """
        async with AsyncExitStack() as stack:
            servers = [await self._server(stack, access) for access in self._access]
            remote = Remote(servers, self.options.at_once, self.patience, self.clock, self._ended)
            outcomes = await stack.enter_async_context(aclosing(remote.answer(jobs)))
            async for outcome in outcomes:
                yield outcome

    async def _server(self, stack: AsyncExitStack, access: Access) -> ChatServer:
        seconds = self.options.timeout
        client = await stack.enter_async_context(
            openai.AsyncOpenAI(
                api_key=access.key,
                base_url=access.url,
                max_retries=0,
                timeout=openai.Timeout(seconds, connect=min(seconds, _CONNECT_S)),
            )
        )
        return ChatServer(access.url, client, self._started(), seconds, access.secrets, access.key_name)

    def _started(self) -> ChatBody:
        if self._body is None:
            raise RuntimeError(f"engine {self.name} was not started")
        return self._body

    def _ended(self) -> str | None:
        """Why no server will ever answer again."""
        return None

    def drop(self, settings: Collection[str]) -> None:
        """Send no request with these settings; see `Engine.drop`."""
        self._started().drop(settings)

    def dropped(self) -> tuple[str, ...]:
        """What the model rejected so far; see `Engine.dropped`."""
        return self._body.dropped if self._body else ()

    def provenance(self) -> dict[str, str]:
        """Who answers: the model as it is asked for, where, and the version of the client."""
        if self._body is None:
            return {}
        return {
            "model": self._body.model,
            "servers": " ".join(access.url for access in self._access),
            "media": self._body.media,
            "openai": openai.__version__,
        }


def asking(access: Access, timeout: float) -> openai.OpenAI:
    """The client for the few questions that are not asked at once: the check at the start, and batches."""
    seconds = min(timeout, _CHECK_S)
    return openai.OpenAI(api_key=access.key, base_url=access.url, max_retries=2, timeout=seconds)


def refusal(error: Exception, access: Access) -> tuple[int, str]:
    """The HTTP status with which a question was refused, 0 where there is none, and the line that says so."""
    if isinstance(error, openai.APIStatusError):
        fault = Fault.of(error.status_code, error.body)
        return fault.status, fault.error(access.url, access.key_name, access.secrets).reason
    return 0, no_answer(error, access.url, _CHECK_S, access.secrets).reason


def served(access: Access, timeout: float) -> tuple[list[Any], str]:
    """The models that a server lists, or why it lists none."""
    try:
        with asking(access, timeout) as client:
            page: Any = client.models.list()
            return [model for model in page.data if isinstance(model.id, str)], ""
    except (AttributeError, TypeError):
        why = f"{access.url}: does not speak OpenAI's interface: check the URL"
    except Exception as error:  # the client lets the errors of several libraries through
        status, why = refusal(error, access)
        if status in (404, 405):
            why = f"{access.url}: {status}: no OpenAI interface there: check the URL"
    return [], why
