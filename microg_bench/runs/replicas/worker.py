"""A replica: decodes clips, makes prompts and has an engine answer them, as it is ordered.

`python -m microg_bench.runs.replicas.worker` reads a `Setup` and then `Order`s from standard input, a line of
JSON each, and writes `Report`s to standard output. It ends when its input does.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, BinaryIO

from microg_bench.errors import MicrogError
from microg_bench.options import Options
from microg_bench.progress import Progress
from microg_bench.records import Failure, Prompt, Request, Response
from microg_bench.runs.configure import identified, resolve
from microg_bench.runs.execute import Asked, Execution, Variant, Work, nothing_shown
from microg_bench.runs.frames import Decoding, FrameStream, open_pool, whole_clips
from microg_bench.runs.replicas.replica import Order, Report, Result, Setup
from microg_bench.runs.start import prompted
from microg_bench.video.sampling import union

if TYPE_CHECKING:
    from microg_bench.engines.base import Job, Outcome
    from microg_bench.video.decode import Frames
    from microg_bench.video.pool import DecodePool
    from microg_bench.video.sampling import FrameSpec, FrameUnion


@dataclass
class Forwarding(Execution):
    """An execution that tells the driver of outcomes, which records them."""

    variants: Sequence[Variant] = ()
    pool: DecodePool = field(kw_only=True)
    send: Callable[[Report], None] = field(kw_only=True)
    _told: set[tuple[int, str]] = field(default_factory=set)

    def record(self, asked: Sequence[tuple[Asked, Job | None, Outcome]]) -> None:
        """Send results; the answers are found in them by the driver."""
        results = tuple(self._result(one, outcome) for one, _, outcome in asked)
        self.send(Report(results=results, decoding=self.pool.seconds, rejected=tuple(self.engine.rejected)))

    def _result(self, asked: Asked, outcome: Outcome) -> Result:
        return Result(
            variant=self.variants.index(asked.variant),
            request=asked.request.id,
            response=outcome if isinstance(outcome, Response) else None,
            failure=outcome if isinstance(outcome, Failure) else None,
            indices=asked.indices,
            cache_key=asked.cache_key,
            clip_sha256=asked.clip_sha256,
        )

    def note_prompt(self, variant: Variant, request: Request, prompt: Prompt, frames: Frames | None) -> None:
        """Tell the driver of the first prompt of each run."""
        known = self.variants.index(variant), request.task
        if known not in self._told:
            self._told.add(known)
            self.send(Report(prompted=(*known, prompted(request, prompt, frames))))


async def serve(setup: Setup, orders: asyncio.Queue[Order | None], send: Callable[[Report], None]) -> None:
    """Answer orders until there is a None; an error is reported, and ends it.

    Args:
        setup: what to be made of.
        orders: what to answer. One without a clip says that no others wait: what is in hand is answered.
        send: is told what becomes of them.
    """
    try:
        await _serve(setup, orders, send)
    except MicrogError as error:
        send(Report(error=str(error)))


async def _serve(setup: Setup, orders: asyncio.Queue[Order | None], send: Callable[[Report], None]) -> None:
    module, _, name = setup.engine.partition(":")
    kind = getattr(import_module(module), name)
    variants = [Variant(identified(resolve(Options.of(one), engine=kind)), {}) for one in setup.variants]
    send(Report(identity=tuple(variant.configuration.identity for variant in variants)))
    first = variants[0].configuration
    needed = [one for variant in variants if (one := variant.configuration.frames)]
    spec = union(needed) if needed else None
    with open_pool(first.decoders) as pool:
        engine = first.new_engine()
        try:
            engine.start()
            provenance = engine.provenance()
            cache = first.open_cache(provenance)
            send(Report(provenance=provenance))
            execution = Forwarding(engine, Progress(), cache, variants=variants, pool=pool, send=send)
            shown = _Shown(orders, variants, pool, None if first.sends_clips else spec)
            while not shown.ended:
                await execution.run(shown.until_flushed())
        finally:
            engine.close()


@dataclass
class _Shown:
    """What is ordered, with what is shown; `ended` is set when there will be no more orders."""

    orders: asyncio.Queue[Order | None]
    variants: Sequence[Variant]
    pool: DecodePool
    spec: FrameSpec | FrameUnion | None
    ended: bool = False

    async def until_flushed(self) -> FrameStream[Work]:
        """Decode ahead, as many clips as the pool allows, until a flush or the end."""
        waiting: deque[Decoding[Work]] = deque()
        flushed = False
        while True:
            while not flushed and len(waiting) < self.pool.ahead and not (waiting and self.orders.empty()):
                order = await self.orders.get()
                if order is None or order.clip is None:
                    flushed, self.ended = True, order is None
                elif self.spec is None:
                    source = whole_clips if self.variants[0].configuration.sends_clips else nothing_shown
                    async for pair in source([self._work(order)]):
                        yield pair
                else:
                    waiting.append(Decoding.of(self._work(order), self.pool, self.spec))
            if not waiting:
                return
            yield await waiting.popleft().shown()

    def _work(self, order: Order) -> Work:
        if order.clip is None:
            raise AssertionError("an order without a clip is a flush")
        requests = tuple((self.variants[number], own) for number, own in order.requests)
        return Work(order.clip, requests, order.donor)


def main() -> None:
    """Serve the process that started this one until its pipe closes."""
    reports = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the reports
    setup = Setup.model_validate_json(sys.stdin.buffer.readline())
    asyncio.run(_from_pipe(setup, sys.stdin.buffer, reports))


async def _from_pipe(setup: Setup, lines: BinaryIO, reports: BinaryIO) -> None:
    orders: asyncio.Queue[Order | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        for line in lines:
            loop.call_soon_threadsafe(orders.put_nowait, Order.model_validate_json(line))
        # Nobody is left who reads: what is being answered counts nowhere.
        os.killpg(0, signal.SIGKILL)

    def send(report: Report) -> None:
        reports.write(report.model_dump_json(exclude_defaults=True).encode() + b"\n")
        reports.flush()

    Thread(target=read, daemon=True).start()
    await serve(setup, orders, send)


if __name__ == "__main__":
    main()
