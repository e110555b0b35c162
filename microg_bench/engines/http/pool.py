"""Gets jobs answered by servers: sends each as many requests as it answers, and retries what is worth it.

A server here is anything that can be asked for the answer to one job. Each job is answered once: a request
that was sent is always waited for, also where the run must end, since its answer is paid for.
"""

import asyncio
import math
import random
import re
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar

from microg_bench.engines.base import Answered, Engine, Job, Outcome, answer_concurrently
from microg_bench.engines.chat_template import PromptError
from microg_bench.engines.http.errors import RequestError
from microg_bench.errors import EngineError, UsageError
from microg_bench.options import Options, flag
from microg_bench.records import Failure, Response

T = TypeVar("T")

RESUME = "run the same command again to resume"
_REMEMBERED = 1024
_NUMBERED = re.compile(r"[\w-]*\d[\w-]*")  # what differs in messages that say the same
_INITIAL = 8  # requests in flight before the server has shown how many it answers


@dataclass(frozen=True)
class Clock:
    """Time and chance, so that tests need not wait: `now` and `sleep` in seconds, `chance` in [0, 1)."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = random.random


@dataclass(eq=False)
class ConcurrencyLimiter:
    """How many requests one server may have in flight, at most `maximum`.

    Additive increase, multiplicative decrease: the limit doubles each round trip until the server is first
    overloaded; from then on it grows by one a round trip, and each overload halves it. An overload met by a
    request that was sent before the last decrease tells nothing new and changes nothing.
    """

    maximum: int
    clock: Clock = field(default_factory=Clock)
    in_flight: int = 0
    limit: float = field(init=False)
    _overloaded: bool = field(default=False, init=False)
    _decreased_at: float = field(default=-math.inf, init=False)
    _paused_until: float = field(default=-math.inf, init=False)

    def __post_init__(self) -> None:
        self.limit = float(min(self.maximum, _INITIAL))

    def paused_for(self) -> float:
        """Seconds until the server may be sent something; 0 where it may now."""
        return max(0.0, self._paused_until - self.clock.now())

    def available(self) -> bool:
        """Whether one more request may be sent now."""
        return self.in_flight < int(self.limit) and not self.paused_for()

    def acquire(self) -> None:
        """Count a request as in flight."""
        self.in_flight += 1

    def release(self) -> None:
        """Count it no more."""
        self.in_flight -= 1

    def increase(self) -> None:
        """The server answered a request."""
        self.limit = min(float(self.maximum), self.limit + (1 / self.limit if self._overloaded else 1))

    def decrease(self, sent_at: float) -> None:
        """The server was overloaded by a request that was sent at `sent_at`."""
        if sent_at > self._decreased_at:
            self.limit = max(1.0, self.limit / 2)
            self._decreased_at = self.clock.now()
        self._overloaded = True

    def pause(self, seconds: float) -> None:
        """Send nothing for so many seconds."""
        self._paused_until = max(self._paused_until, self.clock.now() + seconds)

    def reset(self) -> None:
        """Begin anew with a single request: the server may be another by now."""
        self.limit, self._overloaded = 1.0, False


class Server(Protocol):
    """What can be asked for an answer."""

    @property
    def label(self) -> str:
        """How it is named to the user."""

    async def ask(self, job: Job) -> Response:
        """Send one request.

        Raises:
            PromptError: the prompt cannot be sent.
            RequestError: there is no answer.
        """


@dataclass(frozen=True)
class RetryPolicy:
    """How often a request is sent, and when a run ends. Times in seconds.

    A request is sent `max_attempts` times. Before attempt n + 1 passes a random part of
    `initial_backoff`·2ⁿ⁻¹, at most `max_backoff` (full jitter). A server that cannot be reached is sent
    nothing for `unreachable_pause`. The run ends when no server could be reached for `unreachable_timeout`,
    when all servers ask for a wait longer than `max_retry_after`, when `max_failures` requests in a row were
    given up or denied, or when as many were refused alike before the first answer.
    """

    max_attempts: int = 6
    initial_backoff: float = 1.0
    max_backoff: float = 60.0
    max_retry_after: float = 900.0
    unreachable_pause: float = 10.0
    unreachable_timeout: float = 120.0
    max_failures: int = 20

    def backoff(self, attempts: int, chance: float) -> float:
        """Seconds to wait after so many attempts; none where nothing was sent."""
        longest = min(self.max_backoff, self.initial_backoff * 2.0 ** (attempts - 1))
        return chance * longest if attempts else 0.0


@dataclass
class HttpEngine(Engine):
    """An engine that asks servers. `medias` are the forms in which it can send a clip."""

    medias: ClassVar[tuple[str, ...]] = ("images",)
    policy: RetryPolicy = field(default_factory=RetryPolicy, kw_only=True)
    clock: Clock = field(default_factory=Clock, kw_only=True)

    @classmethod
    def check(cls, options: Options) -> None:
        """Refuse also a form of sending clips that it does not have."""
        super().check(options)
        if options.media is not None and options.media not in cls.medias:
            reason = f"engine {cls.name} has no {options.media} (it has: {', '.join(cls.medias)})"
            raise UsageError(reason, item=flag("media"))

    async def pooled(self, server: Server, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
        """What `server` alone answers; see `ServerPool.answer`."""
        pool = ServerPool(
            [server], self.options.max_concurrency, self.policy, self.clock, answered=self.answered
        )
        async with aclosing(pool.answer(jobs)) as answers:
            async for answered in answers:
                yield answered


@dataclass(eq=False)
class _Member:
    """A server of the pool, its limiter, and since when it could not be reached."""

    server: Server
    limiter: ConcurrencyLimiter
    unreachable_since: float | None = None


def remember(known: dict[str, T], name: str, value: T) -> T:
    """Note `value` as the latest of its kind, of which the last 1024 are kept; returns it."""
    known.pop(name, None)
    known[name] = value
    if len(known) > _REMEMBERED:
        del known[next(iter(known))]
    return value


@dataclass
class ServerPool:
    """Shares jobs among `servers`, with at most `max_concurrency` requests in flight in all.

    `ended` says why no server will ever answer again, where that can be known. Where the servers keep what
    they are shown (`keeps_media`), the first request of a clip goes ahead of the others. Once a request was
    `answered`, also by an earlier start, a refusal concerns its request alone.
    """

    servers: Sequence[Server]
    max_concurrency: int
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    clock: Clock = field(default_factory=Clock)
    ended: Callable[[], str | None] = lambda: None
    keeps_media: bool = False
    answered: bool = False
    _members: list[_Member] = field(init=False)
    _last_server: dict[str, _Member] = field(default_factory=dict, init=False)  # by clip, the latest last
    _first: dict[str, asyncio.Event] = field(default_factory=dict, init=False)  # by clip, the latest last
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _released: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _stop_reason: str | None = field(default=None, init=False)
    _failures: int = field(default=0, init=False)  # requests given up since the last answer
    _refusals: Counter[str] = field(default_factory=Counter, init=False)  # since then, by reason

    def __post_init__(self) -> None:
        self._members = [
            _Member(server, ConcurrencyLimiter(self.max_concurrency, self.clock)) for server in self.servers
        ]

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
        """One outcome a job, in the order of finishing.

        Raises:
            EngineError: no job will be answered any more; those in flight have been returned.
        """
        stopped = self._stopping.is_set
        # Those that wait for the first of their clip are not in flight.
        taken = self.max_concurrency * (2 if self.keeps_media else 1)
        answering = answer_concurrently(jobs, self._respond, taken, stopped)
        async with aclosing(answering) as answers:
            async for answered in answers:
                yield answered
        if self._stop_reason is not None:
            raise EngineError(self._stop_reason)

    async def _respond(self, job: Job) -> Outcome:
        """Answer a job, after the first of its clip where that is of use."""
        clip = job.request.video_id
        if not self.keeps_media:
            return await self._answer(job)
        if (first := self._first.get(clip)) is not None:
            await first.wait()
            return await self._answer(job)
        first = remember(self._first, clip, asyncio.Event())
        try:
            return await self._answer(job)
        finally:
            first.set()

    async def _answer(self, job: Job) -> Outcome:
        """Send the request until there is an answer, or no more use in sending it."""
        attempts = 0
        while True:
            try:
                return await self._send(await self._acquire(job), job)
            except PromptError as unsent:
                return Failure(id=job.request.id, stage="prompt", reason=str(unsent))
            except RequestError as met:
                error = met
            if error.kind in ("refused", "denied", "fatal"):
                self._count_refusal(error)
                return error.failure(job.request.id)
            attempts += error.kind != "unreachable"
            if attempts >= self.policy.max_attempts:
                self._count_failure(error)
                return error.failure(job.request.id, f" (asked {attempts} times)")
            await self._wait(self._stopping, self.policy.backoff(attempts, self.clock.chance()))

    async def _acquire(self, job: Job) -> _Member:
        """Wait, first come first served, for a server that may be sent one more request, and count it."""
        async with self._turn:
            while self._stop_reason is None:
                if (member := self._choose(job.request.video_id)) is not None:
                    member.limiter.acquire()
                    return member
                await self._wait_for_release()
            raise RequestError("fatal", self._stop_reason)

    def _choose(self, clip: str) -> _Member | None:
        """The server of the clip's last request, which has its frames in a cache, or else the least busy."""
        available = [member for member in self._members if member.limiter.available()]
        if not available or sum(one.limiter.in_flight for one in self._members) >= self.max_concurrency:
            return None
        chosen = self._last_server.pop(clip, None)
        if chosen not in available:
            chosen = min(available, key=lambda member: member.limiter.in_flight)
        return remember(self._last_server, clip, chosen)

    async def _wait_for_release(self) -> None:
        """Wait until a request ends or a pause is over; stop where all pauses are too long."""
        self._released.clear()
        pauses = [member.limiter.paused_for() for member in self._members]
        if all(pause > self.policy.max_retry_after for pause in pauses):
            labels = " and ".join(server.label for server in self.servers)
            self._stop(f"{labels} wants no requests for {min(pauses):.0f} s: {RESUME}, after that")
        else:
            await self._wait(self._released, min(filter(None, pauses), default=None))

    async def _send(self, member: _Member, job: Job) -> Response:
        sent_at = self.clock.now()
        try:
            response = await member.server.ask(job)
        except RequestError as error:
            self._note_error(member, error, sent_at)
            raise
        else:
            member.limiter.increase()
            member.unreachable_since, self._failures, self.answered = None, 0, True
            self._refusals.clear()
        finally:
            member.limiter.release()
            self._released.set()
        return response.model_copy(update={"seconds": self.clock.now() - sent_at})

    def _note_error(self, member: _Member, error: RequestError, sent_at: float) -> None:
        """Draw the consequences of one error for the requests after it."""
        if error.kind == "fatal":
            self._stop(error.reason)
        if error.kind == "rate-limited":
            member.limiter.decrease(sent_at)
        if error.retry_after is not None:
            member.limiter.pause(error.retry_after)
        if error.kind == "unreachable":
            self._note_unreachable(member, error.reason)
        else:
            member.unreachable_since = None

    def _note_unreachable(self, member: _Member, reason: str) -> None:
        now = self.clock.now()
        member.limiter.reset()
        member.limiter.pause(self.policy.unreachable_pause)
        if member.unreachable_since is None:
            member.unreachable_since = now
        since = [now if one.unreachable_since is None else one.unreachable_since for one in self._members]
        none_reached_for = now - max(since)
        if (ended := self.ended()) is not None:
            self._stop(ended)
        elif none_reached_for >= self.policy.unreachable_timeout:
            self._stop(f"{reason}, for {none_reached_for:.0f} s: {RESUME}")

    def _count_failure(self, error: RequestError) -> None:
        self._failures += 1
        if self._failures >= self.policy.max_failures:
            self._stop(
                f"{self._failures} requests in a row were given up, the last because {error.reason}:"
                f" {RESUME}, later"
            )

    def _count_refusal(self, error: RequestError) -> None:
        """Stop where all requests are refused for one reason: what is asked cannot be answered there."""
        if error.kind == "fatal" or (error.kind == "refused" and self.answered):
            return
        alike = _NUMBERED.sub("#", error.reason)
        self._refusals[alike] += 1
        if self._refusals[alike] >= self.policy.max_failures:
            first = "" if self.answered else "the first "
            self._stop(
                f"{first}{self._refusals[alike]} requests were refused alike, the last because {error.reason}"
            )

    def _stop(self, reason: str) -> None:
        """Send nothing more; what is in flight is waited for."""
        if self._stop_reason is None:
            self._stop_reason = reason
            self._stopping.set()
            self._released.set()

    async def _wait(self, event: asyncio.Event, seconds: float | None) -> None:
        """Wait for `event`, at most for so many seconds."""
        waits: set[asyncio.Future[Any]] = {asyncio.ensure_future(event.wait())}
        if seconds is not None:
            waits.add(asyncio.ensure_future(self.clock.sleep(seconds)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
