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
from microg_bench.errors import DecodeError
from microg_bench.prompts import Template
from microg_bench.records import Failure, Prompt, Request, Response, Stage, TaskName
from microg_bench.runs.folder import RunFolder
from microg_bench.runs.frames import FrameStream, Shown


@dataclass
class Execution:
    """One pass over the open work of one or more runs that share model, engine and frames."""

    adapter: Adapter
    engine: Engine
    folders: Mapping[TaskName, RunFolder]
    templates: Mapping[TaskName, Template]
    on_answer: Callable[[], None] = lambda: None
    on_failure: Callable[[Failure], None] = lambda _: None
    _open: dict[str, tuple[Request, tuple[int, ...]]] = field(default_factory=dict)

    async def run(self, frames: FrameStream) -> None:
        """Ask everything in `frames`; returns when each request has its answer or its failure.

        Raises:
            RunError: a journal cannot be written; everything recorded before is safe.
        """
        async with aclosing(self._jobs(frames)) as jobs, aclosing(self.engine.answer(jobs)) as outcomes:
            async for outcome in outcomes:
                request, indices = self._open.pop(outcome.id)
                if isinstance(outcome, Failure):
                    self._fail(request, outcome)
                else:
                    self._answer(request, outcome, indices)
        for request, _ in list(self._open.values()):
            self._fail(request, _failure(request, "engine", "the engine ended without an answer", True))

    async def _jobs(self, frames: FrameStream) -> AsyncGenerator[Job, None]:
        async for work, shown in frames:
            for request in work.requests:
                if isinstance(shown, DecodeError):
                    self._fail(request, _failure(request, "decode", str(shown)))
                elif (prompt := self._prompt(request, shown)) is not None:
                    self._open[request.id] = (request, shown.indices)
                    yield Job(request, prompt, shown.frames, self.folders[request.task].settings.generation)

    def _prompt(self, request: Request, shown: Shown) -> Prompt | None:
        try:
            return self.adapter.prompt(request, self.templates[request.task].render(request), shown.frames)
        except Exception as error:  # an adapter is somebody else's code
            self._fail(request, _failure(request, "prompt", self._blame(error)))
            return None

    def _answer(self, request: Request, response: Response, indices: tuple[int, ...]) -> None:
        try:
            answer = self.adapter.parse(request, response.text)
        except Exception as error:  # an adapter is somebody else's code
            self._fail(request, _failure(request, "parse", self._blame(error), text=response.text))
            return
        self.folders[request.task].answered(response, answer, indices)
        self.on_answer()

    def _fail(self, request: Request, failure: Failure) -> None:
        self._open.pop(request.id, None)
        self.folders[request.task].failed(failure)
        self.on_failure(failure)

    def _blame(self, error: Exception) -> str:
        return f"adapter {self.adapter.name}: {type(error).__name__}: {error}"


def _failure(
    request: Request, stage: Stage, reason: str, retryable: bool = False, text: str | None = None
) -> Failure:
    return Failure(id=request.id, stage=stage, reason=reason, retryable=retryable, text=text)
