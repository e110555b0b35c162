"""What an engine is: the thing that gets prompts answered; and the simplest one, a Python function.

An engine knows nothing of tasks, metrics or files. It is fed a stream of jobs and may answer them in any
order; it pulls the next job only when it has capacity, so that what waits in memory stays bounded.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from microg_bench.errors import EngineError, UsageError
from microg_bench.options import Options, about, flag
from microg_bench.records import (
    THOUGHT_MARKS,
    Failure,
    Generation,
    Marks,
    Prompt,
    Request,
    Response,
    ThinkingLevel,
)

if TYPE_CHECKING:
    from microg_bench.hardware import Gpu
    from microg_bench.video.decode import Frames

log = logging.getLogger(__name__)

Outcome = Response | Failure
BATCHES_WAITING = 4  # of an engine that answers in batches, at most, before it answers the first
_TAKEN = 32  # jobs that a function engine takes before it yields their answers
_LONGEST_S = 0.05


@dataclass(frozen=True, eq=False)
class Job:
    """One prompt with what it shows: decoded `frames`, or the file `video` where the model gets it whole.

    Both are None for a model that sees no video. A job is itself the key under which its outcome comes back:
    runs side by side may ask requests of the same id.
    """

    request: Request
    prompt: Prompt
    frames: Frames | None
    generation: Generation
    video: Path | None = None


Answered = Sequence[tuple[Job, Outcome]]


def check_engine(engine: str, options: Options) -> None:
    """Refuse options that belong to other engines only, before anything is loaded.

    Raises:
        UsageError: naming the first that is given though `engine` does not take it.
    """
    for name, declared in Options.model_fields.items():
        taken = about(name).engines
        value = getattr(options, name)
        if taken and engine not in taken and value != declared.get_default(call_default_factory=True):
            raise UsageError(f"engine {engine} does not take it (given: {value})", item=flag(name))


@dataclass
class Engine(ABC):
    """Base of all engines. Life: `start`, then `answer` once, or again when it has ended, then `close`.

    Args:
        options: those of the run, with the checkpoint and revision that are to be asked.
        loader: `module:function` that loads weights which no library can load by itself; see
            `Adapter.loader`.
        rejected: settings of `Generation` that the model rejects: requests are sent without them. An engine
            adds what it finds out.
        thinking: what is sent so that the model thinks as it should: variables of the chat template, or
            fields of what a server is sent; see `Thinking.switches`.
        marks: the pairs of texts that the model writes around its thoughts.
        first_tokens: where a mapping is given, an engine that can tell notes when the first token of each job
            was there, by `time.perf_counter`. It is set before `start`.

    `started` and `answered` are set by `start_once`. `thinking_switches` are those of a model that has no
    adapter of its own. `structured` tells whether the engine has a model keep to `Generation.answer_schema`,
    or asks again where it does not.
    """

    options: Options = field(default_factory=Options)
    loader: str | None = field(default=None, kw_only=True)
    rejected: set[str] = field(default_factory=set, kw_only=True)
    thinking: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    marks: Marks = field(default=THOUGHT_MARKS, kw_only=True)
    first_tokens: dict[Job, float] | None = field(default=None, kw_only=True)
    started: bool = field(default=False, init=False)
    answered: bool = field(default=False, init=False)
    name: ClassVar[str]
    structured: ClassVar[bool] = False
    thinking_switches: ClassVar[Mapping[ThinkingLevel, Mapping[str, Any]]] = {}

    @classmethod
    def check_generation(cls, generation: Generation) -> None:
        """Refuse how a model is to write where this engine cannot have it write so.

        Raises:
            UsageError: answers in a schema, from an engine that has none; a schema that cannot be used.
        """
        if generation.answer_schema:
            from microg_bench.structured import read_schema

            if not cls.structured:
                raise UsageError(f"engine {cls.name} has no structured answers (JSON schema)")
            read_schema(generation.answer_schema)

    @classmethod
    def check(cls, options: Options) -> None:
        """Refuse what this engine cannot be started with, before anything is loaded.

        Raises:
            UsageError: an option that it does not take, by name.
        """
        check_engine(cls.name, options)

    @classmethod
    def served_name(cls, checkpoint: str, options: Options) -> str:
        """The name by which the weights `checkpoint` are asked for, where the user gives none.

        Raises:
            EngineError: a server that must tell it does not.
        """
        return checkpoint

    @classmethod
    def shows(cls, options: Options) -> Literal["images", "video"]:
        """How a clip is sent to the checkpoint of `options`, where the user does not say it.

        Raises:
            EngineError: a server that must tell it does not.
        """
        return "images"

    @abstractmethod
    def start(self) -> None:
        """Load what is needed to answer.

        Raises:
            MissingExtraError: a package is not installed.
            EngineError: the checkpoint cannot be loaded, or the machine cannot run it.
        """

    def start_once(self, answered: bool = False) -> None:
        """`start`, unless this has been called before.

        `answered` tells that the model has answered requests of the runs before: then a refusal concerns its
        request alone.
        """
        self.answered = answered
        if not self.started:
            self.started = True
            self.start()

    @abstractmethod
    def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
        """Answer every job exactly once, in any order; yields what has finished, one or more jobs at a time.

        Raises:
            EngineError: the engine cannot go on; what was in flight was returned as retryable failures.
        """

    def close(self) -> None:  # noqa: B027 - most engines hold nothing
        """Release what `start` took. Safe to call twice."""

    def provenance(self) -> dict[str, str]:
        """What moves the output and is known only once started: device, dtype, library versions."""
        return {}

    async def gpus(self) -> Sequence[Gpu] | None:
        """The GPUs that hold the weights, none where the CPU does; None where the weights are elsewhere.

        Their peaks of memory are told where `first_tokens` is given.
        """
        return None


@dataclass
class FunctionEngine(Engine):
    """Answers jobs in order with what `function` returns for each. The baselines run on it.

    It yields what is answered at least every 50 ms.
    """

    name: ClassVar[str] = "function"
    function: Callable[[Job], str] = field(kw_only=True)

    def start(self) -> None:
        """Nothing is loaded."""

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
        """See `Engine.answer`; an exception of the function is the failure of its job alone."""
        while taken := await _taken(jobs):
            answered: list[tuple[Job, Outcome]] = []
            yielded = time.perf_counter()
            for job in taken:
                name, started = job.request.id, time.perf_counter()
                outcome: Outcome
                try:
                    text = self.function(job)
                    outcome = Response(id=name, text=text, seconds=time.perf_counter() - started)
                except Exception as error:  # whatever a user's function raises
                    outcome = Failure(id=name, stage="engine", reason=f"{type(error).__name__}: {error}")
                answered.append((job, outcome))
                if time.perf_counter() - yielded > _LONGEST_S:
                    yield answered
                    await asyncio.sleep(0)  # the function never awaits: let others run
                    answered, yielded = [], time.perf_counter()
            if answered:
                yield answered


async def _taken(jobs: AsyncIterator[Job]) -> list[Job]:
    taken: list[Job] = []
    while len(taken) < _TAKEN and (job := await anext(jobs, None)) is not None:
        taken.append(job)
    return taken


@dataclass(frozen=True)
class BatchState:
    """How far a batch is; `ended` batches can be collected, whole or in part. `word` is the vendor's own.

    A batch that came upon a `full` queue has ended, and nothing in it was worked on.
    """

    ended: bool
    word: str
    answered: int | None = None
    total: int | None = None
    full: bool = False


class QueueFullError(EngineError):
    """A batch that the vendor does not take, because what is queued would be more than it allows."""


class BatchEngine(Engine):
    """An engine with a batch API, to be used once it was started; its methods may raise `EngineError`.

    A batch is known by the name that its vendor gives it. `token` is a name of ours that goes with it, so
    that a batch whose name was lost on the way back is found again. One batch holds at most `batch_items`
    requests and `batch_bytes` encoded bytes.
    """

    batch_items: ClassVar[int]
    batch_bytes: ClassVar[int]

    @abstractmethod
    def encoded(self, job: Job) -> bytes:
        """What is sent for `job`.

        Raises:
            ValueError: it cannot be sent; the text says why.
        """

    @abstractmethod
    def submit(self, jobs: Sequence[tuple[str, bytes]], token: str) -> str:
        """Send request ids with their encoded jobs; returns the batch's name.

        Raises:
            QueueFullError: the vendor's queue is full now.
        """

    @abstractmethod
    def find(self, token: str) -> str | None:
        """The name of the batch that was submitted with `token`; None where the vendor has none."""

    @abstractmethod
    def state(self, batch: str) -> BatchState:
        """Ask the vendor how far the batch is."""

    @abstractmethod
    def collect(self, batch: str) -> Iterator[Outcome]:
        """The outcomes of an ended batch, by request id, in any order; what it left out has none."""


def batch_results(content: bytes, id_field: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The lines of a batch's file of results, with the request ids that they hold in `id_field`."""
    for line in content.splitlines():
        try:
            result = json.loads(line)
            yield str(result[id_field]), result
        except (ValueError, KeyError, TypeError, RecursionError):
            log.warning("a line of the batch's results cannot be read and is skipped")


async def answer_concurrently(
    jobs: AsyncIterator[Job],
    respond: Callable[[Job], Coroutine[Any, Any, Outcome]],
    limit: int,
    stopped: Callable[[], bool],
) -> AsyncGenerator[Answered, None]:
    """Jobs with what `respond` makes of them, as they finish, with at most `limit` in flight.

    The next job is taken only while fewer are in flight, until `stopped()` is true; those in flight do not
    wait for it. Closing the generator early cancels what is in flight.
    """
    coming: asyncio.Task[Job | None] | None = None
    in_flight: dict[asyncio.Task[Outcome], Job] = {}
    exhausted = False
    try:
        while True:
            if coming is None and not exhausted and len(in_flight) < limit and not stopped():
                coming = asyncio.create_task(_next(jobs))
            pending: list[asyncio.Task[Any]] = [*in_flight, *([coming] if coming else [])]
            if not pending:
                return
            done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            if coming is not None and coming.done():
                job, coming = coming.result(), None
                if job is None:
                    exhausted = True
                else:
                    in_flight[asyncio.create_task(respond(job))] = job
            finished = [task for task in in_flight if task in done]
            if finished:
                yield [(in_flight.pop(task), task.result()) for task in finished]
    finally:
        left = [*in_flight, *([coming] if coming else [])]
        for cancelled in left:
            cancelled.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def _next(jobs: AsyncIterator[Job]) -> Job | None:
    return await anext(jobs, None)
