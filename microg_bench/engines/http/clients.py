"""The HTTP clients under the SDKs of vendors: no proxy for this machine, and responses that are bounded."""

import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Thread
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2

from microg_bench.errors import EngineError
from microg_bench.privacy import is_loopback

T = TypeVar("T")

MOST_BYTES = 16 * 1000**2  # of one response
_LEAST_RATE = 10_000  # bytes a second that a response must bring, on average, after its time is over
_KEPT = 100  # connections that are kept for the next request
_LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=_KEPT)
_PROXY = re.compile(r"((https?|socks5h?)://)?([^/]*@)?([\w.-]+|\[[\da-f:.]+\])(:\d+)?(/.*)?", re.IGNORECASE)
_HEADERS = {"Accept-Encoding": "identity"}
_KEY_HEADERS = ("authorization", "x-api-key", "x-goog-api-key")


class BodyError(Exception):
    """A response that is not read to its end; the text says why, as in "it is longer than 16 MB"."""


def http_client(
    url: str, seconds: float, most_bytes: int = MOST_BYTES, redirects: bool = False
) -> httpx2.Client:
    """A client for the server at `url`.

    Args:
        url: the server's address.
        seconds: how long a response may take; a large one longer, while it brings 10 kB a second.
        most_bytes: how long a response may be.
        redirects: whether redirects are followed; the key does not go along to another server.
    """
    home = httpx2.URL(url).origin

    def keep_key(request: httpx2.Request) -> None:
        if request.url.origin != home:
            for name in _KEY_HEADERS:
                request.headers.pop(name, None)

    def bound(response: httpx2.Response) -> None:
        response.stream = _Bounded(response.stream, _limit(response, seconds, most_bytes))

    return httpx2.Client(
        headers=_HEADERS,
        limits=_LIMITS,
        transport=httpx2.HTTPTransport(limits=_LIMITS) if is_loopback(url) else None,  # without a proxy
        timeout=seconds,
        follow_redirects=redirects,
        event_hooks={"request": [keep_key], "response": [bound]},
    )


def async_http_client(url: str, seconds: float) -> httpx2.AsyncClient:
    """The same for many requests at a time; `Response.text` holds the bytes of a response as Latin-1."""

    async def bound(response: httpx2.Response) -> None:
        response.stream = _AsyncBounded(response.stream, _limit(response, seconds, MOST_BYTES))
        response.encoding = "latin-1"  # an SDK that hands on text alone keeps every byte

    return httpx2.AsyncClient(
        headers=_HEADERS,
        limits=_LIMITS,
        transport=httpx2.AsyncHTTPTransport(limits=_LIMITS) if is_loopback(url) else None,
        timeout=seconds,
        event_hooks={"response": [bound]},
    )


def proxy_of(url: str) -> str | None:
    """The proxy that the environment names for `url`, without its login; None where there is none."""
    if (setting := _proxy_setting(url)) is None:
        return None
    scheme, _, rest = setting[1].rpartition("://")
    return f"{scheme or 'http'}://{rest.rpartition('@')[2].partition('/')[0]}"


def check_proxy(url: str) -> None:
    """Refuse the proxy that the environment names for `url` where it has no address.

    Raises:
        EngineError: naming the variable, and its value without the login.
    """
    setting = _proxy_setting(url)
    if setting and not _PROXY.fullmatch(setting[1]):
        told = setting[1].rpartition("@")[2]
        raise EngineError(f"not an address of a proxy (http://HOST:PORT): {told!r}", item=setting[0])


def _proxy_setting(url: str) -> tuple[str, str] | None:
    """The variable of the environment that names the proxy for `url`, and its value."""
    parts, proxies = urlsplit(url), getproxies()
    name = next((name for name in (parts.scheme, "all") if proxies.get(name)), None)
    if name is None or is_loopback(url) or proxy_bypass(parts.netloc):
        return None
    return f"{name}_proxy", proxies[name]


def within(seconds: float, work: Callable[[], T]) -> T:
    """What `work` returns. It is left behind where it takes longer than `seconds`.

    Raises:
        TimeoutError: it takes longer.
    """
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:
            result.set_exception(error)

    Thread(target=run, daemon=True).start()
    return result.result(seconds)


@dataclass
class _Limit:
    """How much of a response has come, and how much may."""

    seconds: float
    most_bytes: int
    _started: float = field(default_factory=time.monotonic)
    _taken: int = 0

    def take(self, chunk: bytes) -> bytes:
        self._taken += len(chunk)
        if self._taken > self.most_bytes:
            raise BodyError(f"it is longer than {self.most_bytes / 1e6:g} MB")
        if time.monotonic() - self._started > self.seconds + self._taken / _LEAST_RATE:
            raise TimeoutError
        return chunk


def _limit(response: httpx2.Response, seconds: float, most_bytes: int) -> _Limit:
    encoding = response.headers.get("content-encoding", "identity")
    if encoding != "identity":  # nobody knows how long it will be
        raise BodyError("it is compressed, which was not asked for")
    return _Limit(seconds, most_bytes)


class _Bounded(httpx2.SyncByteStream):
    def __init__(self, stream: Any, limit: _Limit) -> None:
        self._stream, self._limit = stream, limit

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            yield self._limit.take(chunk)

    def close(self) -> None:
        self._stream.close()


class _AsyncBounded(httpx2.AsyncByteStream):
    def __init__(self, stream: Any, limit: _Limit) -> None:
        self._stream, self._limit = stream, limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            yield self._limit.take(chunk)

    async def aclose(self) -> None:
        await self._stream.aclose()
