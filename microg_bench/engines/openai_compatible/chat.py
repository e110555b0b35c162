"""What the engines `openai` and `server` share: their servers speak the chat completions interface."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import Any

import openai

from microg_bench.engines.base import Answered, Job
from microg_bench.engines.http.pool import HttpEngine, ServerPool
from microg_bench.engines.http.secrets import Access
from microg_bench.engines.openai_compatible.client import ChatBody, ChatServer, request_error
from microg_bench.errors import EngineError

CHECK_S = 30.0  # what a question of the check at the start may take
_CONNECT_S = 10.0


@dataclass
class ChatEngine(HttpEngine):
    """Asks the servers in `_access` for `_body.model`; both are set by `start`."""

    _access: list[Access] = field(init=False, repr=False)
    _body: ChatBody = field(init=False, repr=False)

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
        """See `ServerPool.answer`."""
        async with AsyncExitStack() as stack:
            servers = [await self._server(stack, access) for access in self._access]
            pool = ServerPool(servers, self.options.max_concurrency, self.policy, self.clock, self._ended)
            answers = await stack.enter_async_context(aclosing(pool.answer(jobs)))
            async for answered in answers:
                yield answered

    async def _server(self, stack: AsyncExitStack, access: Access) -> ChatServer:
        seconds = self.options.timeout
        client = await stack.enter_async_context(
            openai.AsyncOpenAI(
                api_key=access.key,
                base_url=access.where,
                max_retries=0,
                timeout=openai.Timeout(seconds, connect=min(seconds, _CONNECT_S)),
            )
        )
        return ChatServer(access, client, self._body, seconds)

    def _ended(self) -> str | None:
        """Why no server will ever answer again."""
        return None

    def provenance(self) -> dict[str, str]:
        """Who answers: the model as it is asked for, where, and the version of the client."""
        return {
            "model": self._body.model,
            "servers": " ".join(access.where for access in self._access),
            "media": self._body.media,
            "openai": openai.__version__,
        }


def check_client(access: Access, timeout: float) -> openai.OpenAI:
    """The client for the check at the start."""
    seconds = min(timeout, CHECK_S)
    return openai.OpenAI(api_key=access.key, base_url=access.where, max_retries=2, timeout=seconds)


def served(access: Access, timeout: float) -> list[Any]:
    """The models that a server lists.

    Raises:
        EngineError: it lists none; why, in one line.
    """
    try:
        with check_client(access, timeout) as client:
            page: Any = client.models.list()
            return [model for model in page.data if isinstance(model.id, str)]
    except (AttributeError, TypeError):
        why = f"{access.where}: does not speak OpenAI's interface: check the URL"
    except Exception as error:  # the client lets the errors of several libraries through
        why = request_error(error, access, CHECK_S).reason
        if (status := getattr(error, "status_code", None)) in (404, 405):
            why = f"{access.where}: {status}: no OpenAI interface there: check the URL"
    raise EngineError(why)
