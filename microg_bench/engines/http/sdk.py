"""What the clients of OpenAI and Anthropic tell of a request. Both are generated alike."""

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any

from microg_bench.engines.http.errors import RequestError, no_answer
from microg_bench.engines.http.faults import Fault
from microg_bench.engines.http.reading import OddError, parsed
from microg_bench.engines.http.secrets import Access
from microg_bench.errors import EngineError


async def said(asking: Awaitable[Any], access: Access, seconds: float, status_error: type[Exception]) -> Any:
    """The raw response that `asking` awaits, as JSON or as the fault that it tells.

    Args:
        asking: a request that the client is about to send.
        access: the server, for messages.
        seconds: what the request may take.
        status_error: what the client raises for a response with the status of an error.

    Raises:
        RequestError: there is no answer.
    """
    try:
        raw = await asyncio.wait_for(asking, seconds)
        content = parsed(raw.http_response.content)
        return Fault.inside(content) or content
    except OddError as odd:
        failed = RequestError("retryable", f"{access.where}: {access.secrets.line(odd)}")
    except Exception as error:  # the client lets the errors of several libraries through
        if isinstance(error, status_error):
            return fault_of(error)
        failed = no_answer(error, access, seconds)
    raise failed


def fault_of(error: Any) -> Fault:
    """What a server answered with the status of an error."""
    return Fault.of(error.status_code, error.response.content, error.response.headers)


def request_error(
    error: Exception, access: Access, seconds: float, status_error: type[Exception]
) -> RequestError:
    """What an error of the client means."""
    if isinstance(error, status_error):
        return fault_of(error).error(access)
    return no_answer(error, access, seconds)


@contextmanager
def engine_errors(access: Access, seconds: float, status_error: type[Exception]) -> Iterator[None]:
    """Raise errors of the client as `EngineError`, in one line."""
    try:
        yield
    except EngineError:
        raise
    except Exception as error:  # the client lets the errors of several libraries through
        raise EngineError(request_error(error, access, seconds, status_error).reason) from None
