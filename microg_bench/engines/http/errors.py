"""What it means that a request got no answer: whether it is worth a retry, and how soon."""

import math
import socket
import ssl
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from email.utils import parsedate_to_datetime
from typing import Any, Literal, TypeVar

from microg_bench.engines.http.clients import BodyError, within
from microg_bench.engines.http.secrets import Access
from microg_bench.errors import EngineError
from microg_bench.records import Failure, Response
from microg_bench.text import unknown

T = TypeVar("T")

# refused: this request will never be answered. denied: the same for this key, and perhaps all requests.
# retryable: it may be answered if it is sent again. rate-limited: the same, and the server wants fewer
# requests. unreachable: there was no connection. fatal: no request will be answered.
Kind = Literal["refused", "denied", "retryable", "rate-limited", "unreachable", "fatal"]

_FATAL = frozenset({401, 402, 404})
_RETRYABLE = frozenset({408, 409, 425})
CHECK_S = 30.0  # what a question of the check at the start may take
_NAMED = 8  # models that are named where one is not known
_CONNECTING = frozenset({"ConnectError", "ConnectTimeout", "ProxyError"})  # of the SDKs' HTTP library


@dataclass(eq=False)
class RequestError(Exception):
    """A request that got no answer.

    `retry_after` is the wait that the server asks for, in seconds; `response` is what it said, where it said
    something in which no answer was found.
    """

    kind: Kind
    reason: str
    retry_after: float | None = None
    response: Response | None = None

    def __str__(self) -> str:
        return self.reason

    def failure(self, request_id: str, note: str = "") -> Failure:
        """What to record of the request; all but a refused one may be answered in the next start."""
        return Failure(
            id=request_id,
            stage="engine",
            reason=self.reason + note,
            retryable=self.kind != "refused",
            response=self.response,
        )


def at_start(access: Access, timeout: float, ask: Callable[[float], T]) -> T:
    """What `ask` returns, which is given the seconds that it may take: `timeout`, or `CHECK_S`.

    Raises:
        EngineError: it takes longer.
    """
    seconds = min(timeout, CHECK_S)
    try:
        return within(seconds, lambda: ask(seconds))
    except TimeoutError:
        raise EngineError(f"{access.where}: no answer within {seconds:g} s") from None


def unknown_model(model: str, names: Collection[str], access: Access) -> EngineError:
    """That a server has no `model`, with the nearest of the `names` that it has."""
    near = get_close_matches(model, names, n=_NAMED, cutoff=0.0)
    return EngineError(unknown("model", model, near), item=access.where)


def kind_of(status: int) -> Kind:
    """What an HTTP status of 300 or more means where nothing else is known."""
    if status in _FATAL:
        return "fatal"
    if status == 403:
        return "denied"
    if status in _RETRYABLE:
        return "retryable"
    return "rate-limited" if status == 429 or status >= 500 else "refused"


def no_answer(error: BaseException, access: Access, seconds: float) -> RequestError:
    """What an error of a client means, with which no response came within `seconds`."""
    where = access.way
    found = list(_causes(error))
    names = {type(one).__name__ for one in found}
    if names & _CONNECTING:
        return RequestError("unreachable", f"{where} cannot be reached: {access.secrets.line(_cause(found))}")
    if any("Timeout" in name for name in names):
        return RequestError("retryable", f"{where}: no answer within {seconds:g} s")
    for one in found:
        if isinstance(one, BodyError):
            return RequestError("refused", f"{where}: the response is not read: {one}")
    if "APIConnectionError" in names or isinstance(found[-1], OSError) or "ProtocolError" in str(names):
        plain = isinstance(found[-1], ConnectionResetError) and access.address.startswith("http://")
        advice = "; if the server wants https, give an address of https" if plain else ""
        return RequestError(
            "retryable", f"{where}: the connection broke ({type(found[-1]).__name__}){advice}"
        )
    return RequestError("retryable", f"{where}: {type(error).__name__}: {access.secrets.line(error)}")


def _causes(error: BaseException | None, known: frozenset[int] = frozenset()) -> Iterator[BaseException]:
    """An exception and those behind it, each before its own cause."""
    while error is not None and id(error) not in known:
        yield error
        known |= {id(error)}
        for part in getattr(error, "exceptions", ()):
            yield from _causes(part, known)
        error = error.__cause__ or error.__context__


_DESCRIBED: tuple[tuple[type[BaseException], Callable[[Any], str]], ...] = (
    (ssl.SSLCertVerificationError, lambda one: f"its certificate is refused: {one.verify_message}"),
    (ssl.SSLError, lambda one: f"TLS failed: {(one.reason or str(one)).lower().replace('_', ' ')}"),
    (socket.gaierror, lambda one: f"the host is not known ({one.strerror})"),
    (ConnectionRefusedError, lambda one: "connection refused"),
)


def _cause(found: list[BaseException]) -> str:
    """Why there was no connection."""
    for kind, described in _DESCRIBED:
        if (one := next((one for one in found if isinstance(one, kind)), None)) is not None:
            return described(one)
    for one in found:
        if type(one).__name__ == "ProxyError":
            return f"the proxy says {one}"
        if type(one).__name__ == "ConnectTimeout":
            return "no connection in time"
    return next((one.strerror for one in found if isinstance(one, OSError) and one.strerror), str(found[-1]))


def retry_after(headers: Mapping[str, str], wall: Callable[[], float] = time.time) -> float | None:
    """The wait that a server asks for, in seconds; it may give them, milliseconds or an HTTP date."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    try:
        return max(0.0, parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - wall())
    except (TypeError, ValueError, OverflowError):
        return None
