"""Has replicas answer a run: gives each some clips at a time, and records what comes back.

An answer counts when it is in the journal of this process. All requests of a clip go to one replica, which
decodes it once. What a replica had when it was lost is asked of the others.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from microg_bench.adapters.registry import is_file
from microg_bench.engines.base import BATCHES_WAITING, Outcome
from microg_bench.errors import EngineError, RunError
from microg_bench.options import Options
from microg_bench.progress import Progress
from microg_bench.records import Clip, Failure, Request
from microg_bench.runs.execute import Asked, Execution, Variant, Work, open_work
from microg_bench.runs.replicas.local import local_replicas
from microg_bench.runs.replicas.replica import Order, Replica, ReplicaLostError, Report, Result, Setup

ATTEMPTS = 3  # at a request, where replicas are lost on it or fail in a way that may pass
SILENCE_S = 3600.0  # of a replica with work, after which it is lost; it may download its model first
PLACE_S = 60.0  # without a place for any replica, after which a run ends
STARTS = 3  # of a replica that has answered nothing since

Key = tuple[int, str]  # of a request: its variant and id


async def ask_replicas(variants: Sequence[Variant], progress: Progress) -> None:
    """Ask everything that is open of several replicas; see `runs.execute.ask`.

    Raises:
        UsageError: there are not enough GPUs.
        EngineError: no replica can be started, or none is left; what they answered is recorded.
        RunError: a journal cannot be written.
    """
    first = variants[0].configuration
    setup = Setup(
        variants=tuple(_options(variant) for variant in variants),
        engine=f"{first.engine.__module__}:{first.engine.__qualname__}",
    )
    options = first.options
    if options.ray_address is None:
        replicas = local_replicas(options)
    else:
        from microg_bench.runs.replicas.cluster import cluster_replicas

        replicas = cluster_replicas(options, _files(variants))
    noted = f"{len(replicas)} replicas of engine {first.engine.name} with {first.engine_options.checkpoint}"
    progress.note(f"starting {noted}")
    execution = Execution(first.new_engine(), progress)
    # A share at most, so that no replica is idle; but what an engine may wait for to fill its batches.
    share = -(-sum(map(len, open_work(variants))) // len(replicas))
    limit = max(BATCHES_WAITING * options.batch_size, min(2 * options.max_concurrency, share))
    run = _Run(execution, variants, progress, setup, limit, open_work(variants))
    try:
        await run.of(replicas)
    except BaseException:
        with suppress(RunError):  # which says less than what ended the start
            run.note_usage()
        raise
    run.note_usage()


def _options(variant: Variant) -> dict[str, object]:
    """The options of a variant for a process that may have another working directory."""
    one = variant.configuration
    options = one.engine_options.model_copy(update={"engine": one.engine.name, "shard": None, "data": None})
    files = {name: str(Path(str(getattr(options, name))).absolute()) for name in _paths(options)}
    return options.model_copy(update=files).given()


def _paths(options: Options) -> list[str]:
    """The options that name a file or folder, which a replica must find."""
    files = {
        "model": is_file(options.model or ""),
        "prompt": options.prompt.endswith(".toml"),
        "checkpoint": options.checkpoint is not None and Path(options.checkpoint).exists(),
        "cache": options.cache is not None,
    }
    return [name for name, is_one in files.items() if is_one]


def _files(variants: Sequence[Variant]) -> list[Path]:
    """What the replicas must find: files of the options, and the first clip of the dataset."""
    own = (variant.configuration.engine_options for variant in variants)
    files = {Path(str(getattr(options, name))).absolute() for options in own for name in _paths(options)}
    clips = (clip.video.absolute() for clip in variants[0].configuration.clips if clip.video)
    return [*sorted(files), *islice(clips, 1)]


@dataclass
class _Run:
    """What is under way; `limit` is the number of requests that a replica has at a time."""

    execution: Execution
    variants: Sequence[Variant]
    progress: Progress
    setup: Setup
    limit: int
    work: Iterator[Work]
    again: deque[Work] = field(default_factory=deque)
    alone: deque[Work] = field(default_factory=deque)
    under_way: int = 0
    placed: int = 0
    attempts: Counter[Key] = field(default_factory=Counter)
    decoding: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, str] | None = None
    why_lost: str = ""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def of(self, replicas: Sequence[Replica]) -> None:
        """Let replicas answer until all is answered, or none is left.

        Raises:
            EngineError: see `ask_replicas`.
        """
        tasks = [asyncio.create_task(_Driven(self, replica).drive()) for replica in replicas]
        ends = (self._all_done(), self._none_placed(), _all_ended(tasks))
        watching = [asyncio.create_task(one) for one in ends]
        try:
            done, _ = await asyncio.wait(watching, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
        finally:
            for task in (*watching, *tasks):
                task.cancel()
            await asyncio.gather(*watching, *tasks, return_exceptions=True)
        if not self.is_done:
            raise EngineError(f"no replica is left: {self.why_lost}")

    @property
    def is_done(self) -> bool:
        """Whether all is answered."""
        if not self.again and (work := next(self.work, None)):
            self.again.append(work)
        return not (self.under_way or self.again or self.alone)

    async def _all_done(self) -> None:
        """Return when all is answered: a replica that still starts is not waited for."""
        while not self.is_done:
            await self.changed.wait()

    async def _none_placed(self) -> None:
        """Return when there has been a place for no replica for a while."""
        since = time.monotonic()
        while time.monotonic() - since < PLACE_S:
            await asyncio.sleep(0.1)
            if self.placed:
                since = time.monotonic()
        self.why_lost = self.why_lost or f"there was a place for none within {PLACE_S:.0f} seconds"

    def next_work(self) -> Work | None:
        """Work for a replica: what was lost goes first."""
        return self.again.popleft() if self.again else next(self.work, None)

    def tell(self) -> None:
        """Wake the replicas that wait for work, or for the end."""
        self.changed.set()
        self.changed = asyncio.Event()

    def started(self, replica: Replica, provenance: dict[str, str]) -> None:
        """Check that a replica is as the others are, and note it in the runs.

        Raises:
            EngineError: it has other versions, or runs another arithmetic.
        """
        if self.provenance is None:
            self.provenance = provenance
            for variant in self.variants:
                variant.usage.begin()
            self.execution.cache = self.variants[0].configuration.open_cache(provenance)
            for record in (one for variant in self.variants for one in variant.records.values()):
                record.note(engine=provenance)
        for name, value in provenance.items():
            if name != "device" and (own := self.provenance.get(name)) != value:
                raise EngineError(f"has {name} {value}, but another replica has {own}", item=replica.name)

    def record(self, results: Sequence[tuple[Clip, Request, Result]]) -> None:
        """Write results down; what may pass is asked again."""
        found: list[tuple[Asked, None, Outcome]] = []
        for clip, request, one in results:
            variant = self.variants[one.variant]
            variant.usage.closed()
            outcome: Outcome | None = one.response or one.failure
            if outcome is None:
                raise AssertionError("a result is a response or a failure")
            if isinstance(outcome, Failure) and outcome.retryable and self.may_ask(one.variant, request):
                self.ask_again(variant, clip, [request])
                continue
            asked = Asked(variant, request, one.indices, one.cache_key, one.clip_sha256)
            found.append((asked, None, outcome))
        self.execution.record(found)

    def ask_again(self, variant: Variant, clip: Clip, requests: Sequence[Request]) -> None:
        """Put requests back. One that was lost twice is asked alone: it may be what ends the replicas."""
        number = self.variants.index(variant)
        alone = [one for one in requests if self.attempts[number, one.id] == ATTEMPTS - 1]
        self.alone += [Work(clip, ((variant, (one,)),)) for one in alone]
        if rest := tuple(one for one in requests if one not in alone):
            self.again.append(Work(clip, ((variant, rest),)))
        self.tell()

    def may_ask(self, variant: int, request: Request) -> bool:
        """Whether a request is asked once more; counts the attempt that has failed."""
        self.attempts[variant, request.id] += 1
        return self.attempts[variant, request.id] < ATTEMPTS

    def note_usage(self) -> None:
        """Note what the start took in the runs."""
        for variant in self.variants:
            variant.usage.decoding = sum(self.decoding.values())
            variant.usage.decoders = len(self.decoding) * variant.configuration.decoders
            for record in variant.records.values():
                record.note(usage=variant.usage.to_json())


async def _all_ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    await asyncio.gather(*tasks)


@dataclass
class _Driven:
    """One replica and the requests that it has."""

    run: _Run
    replica: Replica
    open: dict[Key, tuple[Clip, Request]] = field(default_factory=dict)
    flushed: bool = True
    alone: bool = False

    async def drive(self) -> None:
        """Start the replica and give it work until all is done; a lost one is started again."""
        starts = 0
        try:
            while starts < STARTS:
                starts += 1
                try:
                    await self.replica.start(self.run.setup)
                    self.run.placed += 1
                    try:
                        async for report in self._reports():
                            starts = 0 if report.results else starts
                    finally:
                        self.run.placed -= 1
                    return
                except ReplicaLostError as lost:
                    self._lose(str(lost))
                    await self.replica.close()
                    if self.run.provenance is None:
                        return  # nothing has ever started: it would fail again
        finally:
            await self.replica.close()

    async def _reports(self) -> AsyncIterator[Report]:
        """What the replica says, while there is work for it."""
        while True:
            report = await self._next_report()
            self._take(report)
            yield report
            while not await self._feed():
                changed = self.run.changed
                if self.run.is_done:
                    self.run.tell()
                    return
                await changed.wait()

    async def _next_report(self) -> Report:
        try:
            return await asyncio.wait_for(self.replica.report(), SILENCE_S)
        except TimeoutError:
            raise ReplicaLostError(f"it has said nothing for {SILENCE_S / 60:.0f} minutes") from None

    async def _feed(self) -> bool:
        """Give the replica as much as it may have; whether it has anything."""
        while work := self._next_work():
            for variant, requests in work.requests:
                number = self.run.variants.index(variant)
                variant.usage.clips += 1
                for request in requests:
                    self.open[number, request.id] = (work.clip, request)
                    self.run.under_way += 1
                    variant.usage.opened()
            await self.replica.give(_order(work, self.run.variants))
            self.flushed = False
        if (self.alone or len(self.open) < self.run.limit) and not self.flushed:
            await self.replica.give(Order())
            self.flushed = True
        return bool(self.open)

    def _next_work(self) -> Work | None:
        if not self.open:
            self.alone = bool(self.run.alone)
            if self.alone:
                return self.run.alone.popleft()
        elif self.alone or len(self.open) >= self.run.limit:
            return None
        return self.run.next_work()

    def _take(self, report: Report) -> None:
        if report.provenance is not None:
            self.run.started(self.replica, report.provenance)
        if report.decoding is not None:
            self.run.decoding[self.replica.name] = report.decoding
        if report.prompted is not None:
            number, task, first = report.prompted
            self.run.variants[number].records[task].starts[-1].setdefault("prompted", first)
        self.run.execution.engine.rejected.update(report.rejected)
        results = []
        for one in report.results:
            clip, request = self.open.pop((one.variant, one.request))
            self.run.under_way -= 1
            results.append((clip, request, one))
        if results:
            self.run.record(results)
            if not self.run.under_way:
                self.run.tell()

    def _lose(self, why: str) -> None:
        """What the replica had is asked of others, or has failed where that was tried often enough."""
        run = self.run
        run.why_lost = why
        lost: dict[tuple[int, str], list[Request]] = {}
        clips = {clip.video_id: clip for clip, _ in self.open.values()}
        failed: list[tuple[Clip, Request, Result]] = []
        for (number, name), (clip, request) in self.open.items():
            run.under_way -= 1
            if run.may_ask(number, request):
                run.variants[number].usage.closed()
                lost.setdefault((number, clip.video_id), []).append(request)
            else:
                reason = f"the replica was lost {ATTEMPTS} times while it had this request: {why}"
                failure = Failure(id=name, stage="engine", reason=reason)
                failed.append((clip, request, Result(variant=number, request=name, failure=failure)))
        self.open.clear()
        again = sum(map(len, lost.values()))
        run.progress.note(f"{self.replica.name} was lost ({why}); {again} requests are asked again")
        for (number, clip_id), requests in lost.items():
            run.ask_again(run.variants[number], clips[clip_id], requests)
        run.record(failed)
        run.tell()


def _order(work: Work, variants: Sequence[Variant]) -> Order:
    video = work.clip.video.absolute() if work.clip.video else None
    clip = work.clip.model_copy(update={"caption": None, "questions": (), "video": video})
    return Order(clip=clip, requests=tuple((variants.index(one), own) for one, own in work.requests))
