"""What the engines `openai` and `server` share: their servers speak the chat completions interface."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, TypeVar

import openai

from microg_bench.engines.base import Answered, Job
from microg_bench.engines.http.clients import async_http_client, http_client, within
from microg_bench.engines.http.errors import CHECK_S, RequestError
from microg_bench.engines.http.pool import HttpEngine, ServerPool
from microg_bench.engines.http.reading import OddError, dicts, mapping, parsed
from microg_bench.engines.http.sdk import request_error
from microg_bench.engines.http.secrets import Access
from microg_bench.engines.openai_compatible.client import ChatBody, ChatServer, arguments
from microg_bench.errors import EngineError
from microg_bench.records import ThinkingLevel

T = TypeVar("T")

EFFORTS: Mapping[ThinkingLevel, Mapping[str, Any]] = {
    "low": {"reasoning_effort": "low"},
    "medium": {"reasoning_effort": "medium"},
    "high": {"reasoning_effort": "high"},
}
_CONNECT_S = 10.0
_VERSION_S = 5.0


@dataclass
class ChatEngine(HttpEngine):
    """Asks the servers in `_access` for `_body.model`; both are set by `start`.

    `_versions` are those of servers, by address, where they are known.
    """

    structured: ClassVar[bool] = True
    _access: list[Access] = field(init=False, repr=False)
    _body: ChatBody = field(init=False, repr=False)
    _versions: dict[str, str] = field(default_factory=dict, init=False, repr=False)

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
        """See `ServerPool.answer`."""
        async with AsyncExitStack() as stack:
            servers = [await self._server(stack, access) for access in self._access]
            pool = ServerPool(
                servers,
                self.options.max_concurrency,
                self.policy,
                self.clock,
                self._ended,
                self._body.keeps_media,
                self.answered,
            )
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
                http_client=async_http_client(access.where, seconds),
            )
        )
        return ChatServer(access, client, self._body, seconds, self._versions.get(access.where))

    def _ended(self) -> str | None:
        """Why no server will ever answer again."""
        return None

    def provenance(self) -> dict[str, str]:
        """Who answers: the model as it is asked for, where, and the versions of client and servers."""
        versions = {"vllm": " ".join(sorted(set(self._versions.values())))} if self._versions else {}
        return {
            "model": self._body.model,
            "servers": " ".join(access.where for access in self._access),
            "media": self._body.media,
            "openai": openai.__version__,
            **versions,
        }


class NoInterfaceError(EngineError):
    """An address at which nobody speaks OpenAI's interface."""


class Served(NamedTuple):
    """A model that a server lists, and who it says owns it."""

    id: str
    owner: str


def checked_at_start(access: Access, timeout: float, ask: Callable[[openai.OpenAI], T]) -> T:
    """What `ask` makes of a client, in at most `timeout` or `CHECK_S` seconds.

    Raises:
        RequestError: there is no answer.
    """
    seconds = min(timeout, CHECK_S)

    def work() -> T:
        http = http_client(access.where, seconds)
        with openai.OpenAI(
            api_key=access.key, base_url=access.where, max_retries=2, timeout=seconds, http_client=http
        ) as client:
            return ask(client)

    try:
        return within(seconds, work)
    except (RequestError, EngineError):
        raise
    except Exception as error:  # the client lets the errors of several libraries through
        failed = request_error(error, access, seconds, openai.APIStatusError)
    raise failed


def answers_at_start(access: Access, timeout: float, body: ChatBody, job: Job) -> None:
    """Return if a server answers a job.

    Raises:
        RequestError: it does not.
    """
    asked = arguments(body.of(job))
    checked_at_start(access, timeout, lambda client: client.chat.completions.create(**asked))


def served(access: Access, timeout: float) -> list[Served]:
    """The models that a server lists.

    Raises:
        NoInterfaceError: there is no such list at its address.
        EngineError: it lists none; why, in one line.
    """

    def listed(client: openai.OpenAI) -> bytes:
        try:
            return client.models.with_raw_response.list().http_response.content
        except openai.APIStatusError as error:
            if (status := error.status_code) not in (404, 405):
                raise
        raise NoInterfaceError(f"{access.where}: {status}: no OpenAI interface there: check the URL")

    try:
        found = mapping(parsed(checked_at_start(access, timeout, listed)))
        if isinstance(found.get("data"), list):
            return [
                Served(one["id"], str(one.get("owned_by")))
                for one in dicts(found["data"])
                if isinstance(one.get("id"), str)
            ]
        why = "does not speak OpenAI's interface: check the URL"
    except OddError as odd:
        why = f"does not speak OpenAI's interface: check the URL ({access.secrets.line(odd)})"
    except RequestError as error:
        raise EngineError(error.reason) from None
    raise NoInterfaceError(f"{access.where}: {why}")


def vllm_version(access: Access) -> str | None:
    """The version of a vLLM server; None where it tells none."""
    path = access.where.rpartition("/v1")[0] + "/version"

    def ask(client: openai.OpenAI) -> Any:
        return client.get(path, cast_to=object)

    try:
        return access.secrets.line(mapping(checked_at_start(access, _VERSION_S, ask))["version"])
    except (RequestError, KeyError):
        return None
