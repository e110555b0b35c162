"""The engine `function`: a plain Python function answers. The floors run on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import ClassVar

from microg_bench.engines.base import Engine, Job
from microg_bench.records import Failure, Response


@dataclass
class FunctionEngine(Engine):
    """Answers jobs one by one, in order, with what `function` returns for each."""

    name: ClassVar[str] = "function"
    function: Callable[[Job], str] = field(kw_only=True)

    def start(self) -> None:
        """Nothing is loaded."""

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Response | Failure, None]:
        """One outcome a job, in order; an exception of the function is the failure of its job alone."""
        async for job in jobs:
            yield self._outcome(job)
            await asyncio.sleep(0)  # the function never awaits: let others run between two items

    def _outcome(self, job: Job) -> Response | Failure:
        started = time.perf_counter()
        try:
            text = self.function(job)
        except Exception as error:  # whatever a user's function raises
            reason = f"{type(error).__name__}: {error}"
            return Failure(id=job.request.id, stage="engine", reason=reason)
        return Response(id=job.request.id, text=text, seconds=time.perf_counter() - started)
