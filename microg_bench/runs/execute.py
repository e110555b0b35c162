"""Asks what is left to ask: frames flow from the decoders through the adapter to the engine into the journal.

An answer is written down before anything else is done with it. What goes wrong with one clip or one
request is recorded as its failure and stops nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

from microg_bench.adapters.base import Adapter
from microg_bench.engines import Engine, Job
from microg_bench.errors import DecodeError, RunError
from microg_bench.prompts import Template
from microg_bench.records import Failure, Request, Response, Stage, TaskName
from microg_bench.runs.cache import ResponseCache
from microg_bench.runs.cost import Budget
from microg_bench.runs.folder import RunFolder
from microg_bench.runs.frames import FrameStream, Shown
from microg_bench.runs.plan import Work
from microg_bench.runs.tally import Tally

FAULTS_IN_A_ROW = 20  # exceptions of an adapter after which a run stops


@dataclass(frozen=True)
class Asked:
    """A request that was given to the engine: the frames it shows, and where its answer may be shared."""

    request: Request
    indices: tuple[int, ...]
    key: str | None = None


@dataclass
class Execution:
    """One pass over the open work of one or more runs that share model, engine and frames.

    `cache` and `budget` are None where answers are not shared and nothing is paid for.
    """

    adapter: Adapter
    engine: Engine
    folders: Mapping[TaskName, RunFolder]
    templates: Mapping[TaskName, Template]
    on_answer: Callable[[], None] = lambda: None
    on_failure: Callable[[Failure], None] = lambda _: None
    cache: ResponseCache | None = None
    budget: Budget | None = None
    tally: Tally = field(default_factory=Tally)
    open: dict[str, Asked] = field(default_factory=dict)
    _faults: int = 0

    async def run(self, frames: FrameStream) -> None:
        """Ask everything in `frames`, or as much as the budget pays for.

        Returns when each request that was asked has its answer or its failure.

        Raises:
            RunError: a journal cannot be written, or the adapter fails again and again; everything recorded
                before is safe.
            EngineError: the engine cannot go on; everything recorded before is safe.
        """
        async with aclosing(self.jobs(frames)) as jobs, aclosing(self.engine.answer(jobs)) as outcomes:
            async for outcome in outcomes:
                self.take(outcome)
        self.give_up()

    async def jobs(self, frames: FrameStream) -> AsyncGenerator[Job, None]:
        """What the engine is to be asked of all clips, as far as the budget goes."""
        async for work, shown in frames:
            async for job in self.jobs_of(work, shown):
                yield job
            if self.budget and self.budget.exhausted:
                return

    async def jobs_of(self, work: Work, shown: Shown | DecodeError) -> AsyncGenerator[Job, None]:
        """What it is to be asked of one clip, noted in `open`; what fails before or is shared is recorded."""
        self.tally.clips += 1
        for request in work.requests:
            if isinstance(shown, DecodeError):
                self._fail(request, _failure(request, "decode", str(shown)))
                continue
            if (job := self._job(request, shown)) is None:
                continue
            key = self.cache.key(job) if self.cache else None
            asked = Asked(request, shown.indices, key)
            if self.cache and key and (kept := self.cache.get(key, request.id)):
                self.record(asked, kept)
            elif self.budget and not await self.budget.reserve(job):
                return
            else:
                self.open[request.id] = asked
                self.tally.opened()
                yield job

    def take(self, outcome: Response | Failure) -> None:
        """Record what the engine made of a request that it was given.

        Raises:
            RunError: as `record`.
        """
        self.record(self.open.pop(outcome.id), outcome)
        self.tally.closed()

    def give_up(self) -> None:
        """Record as failed what the engine was given and never came back with."""
        for name in list(self.open):
            reason = "the engine ended without an answer"
            self.take(Failure(id=name, stage="engine", reason=reason, retryable=True))

    def record(self, asked: Asked, outcome: Response | Failure) -> None:
        """Write down what became of a request.

        Raises:
            RunError: the journal cannot be written.
        """
        if isinstance(outcome, Failure):
            self._fail(asked.request, outcome)
        else:
            self._answer(asked.request, outcome, asked.indices)
            # A model that takes no temperature is not asked for its greedy answer: chance is not shared.
            greedy = "temperature" not in self.engine.dropped()
            if self.cache and asked.key and greedy and not outcome.shared:
                self.cache.put(asked.key, outcome)
        if self.budget:
            self.budget.settle(outcome)

    def _job(self, request: Request, shown: Shown) -> Job | None:
        instruction = self.templates[request.task].render(request)
        try:
            prompt = self.adapter.prompt(request, instruction, shown.frames)
        except Exception as error:  # an adapter is somebody else's code
            self._blame(request, "prompt", error)
            return None
        return Job(request, prompt, shown.frames, self.folders[request.task].settings.generation, shown.video)

    def _answer(self, request: Request, response: Response, indices: tuple[int, ...]) -> None:
        try:
            answer = self.adapter.parse(request, response.text)
        except Exception as error:  # an adapter is somebody else's code
            self._blame(request, "parse", error, response.text)
            return
        self._faults = 0
        self.folders[request.task].answered(response, answer, indices)
        self.tally.answered(response)
        self.on_answer()

    def _fail(self, request: Request, failure: Failure) -> None:
        self.folders[request.task].failed(failure)
        self.tally.failures += 1
        self.on_failure(failure)

    def _blame(self, request: Request, stage: Stage, error: Exception, text: str | None = None) -> None:
        """Record an exception of the adapter; one that never works must not spend a whole run."""
        reason = f"adapter {self.adapter.name}: {type(error).__name__}: {error}"
        self._fail(request, _failure(request, stage, reason, text=text))
        self._faults += 1
        if self._faults >= FAULTS_IN_A_ROW:
            raise RunError(f"stopped: {reason} ({stage}), {self._faults} requests in a row")


def _failure(
    request: Request, stage: Stage, reason: str, retryable: bool = False, text: str | None = None
) -> Failure:
    return Failure(id=request.id, stage=stage, reason=reason, retryable=retryable, text=text)
