"""How an engine that works on many jobs at once takes them from their stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import Any

from microg_bench.engines.base import Job
from microg_bench.records import Failure, Response

Respond = Callable[[Job], Coroutine[Any, Any, Response | Failure]]


async def each(
    jobs: AsyncIterator[Job], respond: Respond, at_once: int
) -> AsyncGenerator[Response | Failure, None]:
    """What `respond` makes of each job, in the order of finishing, with at most `at_once` under way.

    The next job is asked for where there is room for it; what is under way does not wait for it. Leaving
    early cancels what is under way.
    """
    coming: asyncio.Task[None] | None = None
    under_way: set[asyncio.Task[Response | Failure]] = set()
    ended = False

    async def take() -> None:
        nonlocal ended
        job = await anext(jobs, None)
        if job is None:
            ended = True
        else:
            under_way.add(asyncio.create_task(respond(job)))

    try:
        while True:
            if coming is None and not ended and len(under_way) < at_once:
                coming = asyncio.create_task(take())
            waited: set[asyncio.Task[Any]] = {*under_way, coming} if coming else {*under_way}
            if not waited:
                return
            done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if coming in done:
                coming.result()
                coming = None
            for task in done & under_way:
                under_way.remove(task)
                yield task.result()
    finally:
        left: list[asyncio.Task[Any]] = [*under_way, *([coming] if coming else [])]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
