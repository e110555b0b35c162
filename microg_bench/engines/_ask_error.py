"""What it means that a request got no answer: whether it is worth asking again, and how soon."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal

from microg_bench.records import Stage

# refused: this request will never be answered. again: it may be if asked again. busy: the same, and the
# server wants to be asked less. down: the server cannot be reached. fatal: no request will be answered.
Kind = Literal["refused", "again", "busy", "down", "fatal"]

_FATAL = frozenset({401, 402, 403, 404})
_AGAIN = frozenset({408, 409, 425})
_CONNECTING = ("ConnectError", "ConnectTimeout")  # of whichever HTTP library the SDK is built on


@dataclass(eq=False)
class AskError(Exception):
    """A request that got no answer. `after` is the wait that the server asks for, in seconds."""

    kind: Kind
    reason: str
    after: float | None = None
    stage: Stage = "engine"

    def __str__(self) -> str:
        return self.reason


def kind_of(status: int) -> Kind:
    """What an HTTP status of 300 or more means where nothing else is known."""
    if status in _FATAL:
        return "fatal"
    if status in _AGAIN:
        return "again"
    return "busy" if status == 429 or status >= 500 else "refused"


def unreachable(error: BaseException) -> bool:
    """If a connection could not be made, rather than broke."""
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
