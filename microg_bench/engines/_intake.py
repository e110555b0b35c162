"""How an engine that works on many jobs at once takes them from their stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from microg_bench.engines.base import Job


class Intake:
    """Takes jobs from a stream without making work that is under way wait for them."""

    def __init__(self, jobs: AsyncIterator[Job]) -> None:
        self._jobs = jobs
        self._next: asyncio.Task[Job | None] | None = None

    async def take(self, room: int, *, wait: bool) -> list[Job]:
        """Up to `room` jobs that are ready now; with `wait`, at least one unless the stream has ended."""
        taken: list[Job] = []
        while len(taken) < room:
            self._next = self._next or asyncio.create_task(self._pull())
            await asyncio.wait({self._next}, timeout=None if wait and not taken else 0)
            if not self._next.done() or (job := self._next.result()) is None:
                break
            taken.append(job)
            self._next = None
        return taken

    async def _pull(self) -> Job | None:
        return await anext(self._jobs, None)

    async def close(self) -> None:
        """Stop waiting for a job."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.wait({self._next})
