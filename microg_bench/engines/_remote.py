"""Gets jobs answered by servers: keeps each as busy as it bears, and asks again what is worth it.

A server here is anything that can be asked for the answer to one job. Each job is answered once: a request
that was sent is always waited for, also where the run must end, since its answer is paid for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal, Protocol

from microg_bench.engines._ask_error import AskError
from microg_bench.engines._intake import each
from microg_bench.engines._pace import Clock, Pace
from microg_bench.engines.base import Job
from microg_bench.errors import EngineError
from microg_bench.records import Failure, Response

_HOMES = 1024  # clips whose server is remembered


class Server(Protocol):
    """What can be asked for an answer; `label` is how it is named to the user."""

    label: str

    async def ask(self, job: Job) -> Response:
        """Ask once.

        Raises:
            AskError: there is no answer.
        """


@dataclass(frozen=True)
class Patience:
    """How long a server is borne with. Times in seconds.

    A job is asked `attempts` times. Before attempt n + 1 passes a random part of `first_wait`·2ⁿ⁻¹, at most
    `longest_wait` (full jitter). A server that cannot be reached is left alone for `apart`. The run ends when
    no server could be reached for `gone`, when all want to be left alone for longer than `longest_hold`, or
    when `fruitless` jobs in a row were given up.
    """

    attempts: int = 6
    first_wait: float = 1.0
    longest_wait: float = 60.0
    longest_hold: float = 900.0
    apart: float = 10.0
    gone: float = 120.0
    fruitless: int = 20

    def wait(self, asked: int, chance: float) -> float:
        """Seconds to wait after `asked` attempts; none where nothing was asked."""
        return chance * min(self.longest_wait, self.first_wait * 2.0 ** (asked - 1)) if asked else 0.0


@dataclass
class _Place:
    """A server, its pace, and since when it could not be reached."""

    server: Server
    pace: Pace
    down_since: float | None = None


@dataclass
class Remote:
    """Shares jobs among `servers`, with at most `at_once` requests under way in all.

    `ended` says why no server will ever answer again, where that can be known.
    """

    servers: Sequence[Server]
    at_once: int
    patience: Patience = field(default_factory=Patience)
    clock: Clock = field(default_factory=Clock)
    ended: Callable[[], str | None] = lambda: None
    _places: list[_Place] = field(init=False)
    _homes: dict[str, _Place] = field(default_factory=dict, init=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _freed: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _over: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _stopped: str | None = field(default=None, init=False)
    _fruitless: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._places = [_Place(server, Pace(self.at_once, self.clock)) for server in self.servers]

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Response | Failure, None]:
        """One outcome a job, in the order of finishing.

        Raises:
            EngineError: no job will be answered any more; those under way have been given back.
        """
        async with (
            aclosing(self._until_stopped(jobs)) as open_jobs,
            aclosing(each(open_jobs, self._respond, self.at_once)) as outcomes,
        ):
            async for outcome in outcomes:
                yield outcome
        if self._stopped is not None:
            raise EngineError(self._stopped)

    async def _until_stopped(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Job, None]:
        while self._stopped is None and (job := await anext(jobs, None)) is not None:
            yield job

    async def _respond(self, job: Job) -> Response | Failure:
        """Ask until there is an answer or no more use in asking."""
        asked = 0
        while True:
            try:
                return await self._ask(await self._enter(job), job)
            except AskError as met:
                trouble = met
            if trouble.kind in ("refused", "fatal"):
                return _failure(job, trouble, trouble.reason, retryable=trouble.kind == "fatal")
            asked += trouble.kind != "down"
            if asked >= self.patience.attempts:
                self._give_up(trouble)
                return _failure(job, trouble, f"{trouble.reason} (asked {asked} times)", retryable=True)
            await self._either(self._over, self.patience.wait(asked, self.clock.chance()))

    async def _enter(self, job: Job) -> _Place:
        """Wait, first come first served, for a server with room, and take a place there."""
        async with self._turn:
            while True:
                if self._stopped is not None:
                    raise AskError("fatal", self._stopped)
                if (place := self._free(job)) is not None:
                    place.pace.begin()
                    return place
                self._freed.clear()
                waits = [place.pace.opens_in() for place in self._places]
                if all(wait > self.patience.longest_hold for wait in waits):
                    self._stop(f"{self._labels()} wants no requests for {min(waits):.0f} s: go on after that")
                else:
                    await self._either(self._freed, min(filter(None, waits), default=None))

    def _free(self, job: Job) -> _Place | None:
        """The server that had the clip's last request, or else the least busy of those with room."""
        open_places = [place for place in self._places if place.pace.room()]
        if not open_places:
            return None
        place = self._homes.pop(job.request.video_id, None)
        if place not in open_places:
            place = min(open_places, key=lambda one: one.pace.under_way)
        self._homes[job.request.video_id] = place
        if len(self._homes) > _HOMES:
            del self._homes[next(iter(self._homes))]
        return place

    async def _ask(self, place: _Place, job: Job) -> Response:
        begun = self.clock.now()
        try:
            response = await place.server.ask(job)
        except AskError as trouble:
            self._learn(place, trouble, begun)
            raise
        else:
            place.pace.grow()
            place.down_since, self._fruitless = None, 0
        finally:
            place.pace.end()
            self._freed.set()
        return response.model_copy(update={"seconds": self.clock.now() - begun})

    def _learn(self, place: _Place, trouble: AskError, begun: float) -> None:
        """What the trouble of one request means for those after it."""
        if trouble.kind == "fatal":
            self._stop(trouble.reason)
        if trouble.kind == "busy":
            place.pace.cut(begun)
        if trouble.after is not None:
            place.pace.hold(trouble.after)
        if trouble.kind != "down":
            place.down_since = None
            return
        place.pace.restart()
        place.pace.hold(self.patience.apart)
        now = self.clock.now()
        place.down_since = now if place.down_since is None else place.down_since
        since = [now if one.down_since is None else one.down_since for one in self._places]
        if (reason := self.ended()) is not None:
            self._stop(reason)
        elif now - max(since) >= self.patience.gone:
            self._stop(
                f"{trouble.reason}, for {now - max(since):.0f} s: start the same command again to go on"
            )

    def _give_up(self, trouble: AskError) -> None:
        self._fruitless += 1
        if self._fruitless >= self.patience.fruitless:
            self._stop(
                f"{self._fruitless} requests in a row were given up, the last because {trouble.reason}:"
                " start the same command again later"
            )

    def _stop(self, reason: str) -> None:
        """Ask nothing more; what is under way is waited for."""
        if self._stopped is None:
            self._stopped = reason
            self._over.set()
            self._freed.set()

    async def _either(self, event: asyncio.Event, seconds: float | None) -> None:
        """Wait for `event`, at most for so many seconds."""
        waits = {asyncio.ensure_future(event.wait())}
        if seconds is not None:
            waits.add(asyncio.ensure_future(_slept(self.clock, seconds)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _labels(self) -> str:
        return " and ".join(place.server.label for place in self._places)


async def _slept(clock: Clock, seconds: float) -> Literal[True]:
    await clock.sleep(seconds)
    return True


def _failure(job: Job, trouble: AskError, reason: str, *, retryable: bool) -> Failure:
    return Failure(id=job.request.id, stage=trouble.stage, reason=reason, retryable=retryable)
