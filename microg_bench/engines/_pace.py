"""How fast a server is asked: as many requests at once as it bears, and none before it wants them."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

_FIRST = 8  # requests under way before the server has shown what it bears


@dataclass(frozen=True)
class Clock:
    """Time and chance, so that tests need not wait: `now` and `sleep` in seconds, `chance` in [0, 1)."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = random.random


@dataclass
class Pace:
    """How many requests one server may have under way, at most `most`.

    Additive increase, multiplicative decrease: each answer doubles the limit a round trip until the server
    first complains; from then on it grows by one a round trip, and each complaint halves it. Complaints about
    requests that were sent before the last cut tell nothing new and cut nothing.
    """

    most: int
    clock: Clock = field(default_factory=Clock)
    under_way: int = 0
    limit: float = field(init=False)
    _complained: bool = field(default=False, init=False)
    _cut_at: float = field(default=-math.inf, init=False)
    _opens_at: float = field(default=-math.inf, init=False)

    def __post_init__(self) -> None:
        self.limit = float(min(self.most, _FIRST))

    def opens_in(self) -> float:
        """Seconds until the server may be sent something; 0 where it may now."""
        return max(0.0, self._opens_at - self.clock.now())

    def room(self) -> bool:
        """If one more request may be sent now."""
        return self.under_way < int(self.limit) and not self.opens_in()

    def begin(self) -> None:
        """Count a request as under way."""
        self.under_way += 1

    def end(self) -> None:
        """Count it no more."""
        self.under_way -= 1

    def grow(self) -> None:
        """The server answered a request."""
        self.limit = min(float(self.most), self.limit + (1 / self.limit if self._complained else 1))

    def cut(self, begun: float) -> None:
        """The server complained about a request that was sent at `begun`."""
        if begun > self._cut_at:
            self.limit = max(1.0, self.limit / 2)
            self._cut_at = self.clock.now()
        self._complained = True

    def hold(self, seconds: float) -> None:
        """Send nothing for so many seconds."""
        self._opens_at = max(self._opens_at, self.clock.now() + seconds)

    def restart(self) -> None:
        """Begin anew with a single request: the server may be another by now."""
        self.limit, self._complained = 1.0, False
