"""What it means that a request got no answer: whether it is worth a retry, and how soon."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal

from microg_bench.records import Failure

# refused: this request will never be answered. retryable: it may be, if it is sent again. rate-limited: the
# same, and the server wants fewer requests. unreachable: there was no connection. fatal: no request will be.
Kind = Literal["refused", "retryable", "rate-limited", "unreachable", "fatal"]

_FATAL = frozenset({401, 402, 403, 404})
_RETRYABLE = frozenset({408, 409, 425})
_CONNECTING = ("ConnectError", "ConnectTimeout")  # of whichever HTTP library the SDK is built on


@dataclass(eq=False)
class RequestError(Exception):
    """A request that got no answer. `retry_after` is the wait that the server asks for, in seconds."""

    kind: Kind
    reason: str
    retry_after: float | None = None

    def __str__(self) -> str:
        return self.reason

    def failure(self, request_id: str, note: str = "") -> Failure:
        """What to record of the request; all but a refused one may be answered in the next start."""
        retryable = self.kind != "refused"
        return Failure(id=request_id, stage="engine", reason=self.reason + note, retryable=retryable)


def kind_of(status: int) -> Kind:
    """What an HTTP status of 300 or more means where nothing else is known."""
    if status in _FATAL:
        return "fatal"
    if status in _RETRYABLE:
        return "retryable"
    return "rate-limited" if status == 429 or status >= 500 else "refused"


def unreachable(error: BaseException) -> bool:
    """Whether a connection could not be made, rather than broke."""
    chain = (error, error.__cause__, error.__context__)
    return any(type(one).__name__ in _CONNECTING for one in chain)


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
