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
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from microg_bench.adapters.registry import is_file
from microg_bench.engines.base import BATCHES_WAITING, Outcome
from microg_bench.errors import EngineError, RunError
from microg_bench.options import Options
from microg_bench.progress import Progress
from microg_bench.records import Clip, Failure, Request
from microg_bench.runs.execute import Asked, Execution, Variant, Work, open_work
from microg_bench.runs.frames import clip_sha256
from microg_bench.runs.replicas.local import local_replicas
from microg_bench.runs.replicas.replica import Order, Replica, ReplicaLostError, Report, Result, Setup
from microg_bench.runs.start import note_engine
from microg_bench.text import listed, many

ATTEMPTS = 3  # at a request, where replicas are lost on it or fail in a way that may pass
SILENCE_S = 3600.0  # of a replica with work, after which it is lost; it may download its model first
PLACE_S = 60.0  # without a place for any replica, after which a run ends
STARTS = 3  # of a replica that has answered nothing since

_SHARED = "nodes must share their storage, and files must stay while a run goes on"

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
    placed: set[str] = field(default_factory=set)
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
        names = [replica.name for replica in replicas]
        ends = (self._all_done(), self._none_placed(names), _all_ended(tasks))
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

    async def _none_placed(self, names: Sequence[str]) -> None:
        """Return when there has been a place for no replica for a while; say once where some have none."""
        started = since = time.monotonic()
        said = False
        while (now := time.monotonic()) - since < PLACE_S:
            await asyncio.sleep(0.1)
            if self.placed:
                since = now
            if self.placed and not said and now - started >= PLACE_S:
                said = True
                if without := [name for name in names if name not in self.placed]:
                    reason = f"there is no place for {listed(without)} yet"
                    self.progress.note(f"{reason}; the run goes on with {len(self.placed)} of {len(names)}")
        self.why_lost = self.why_lost or f"there was a place for none within {PLACE_S:.0f} seconds"

    def next_work(self) -> Work | None:
        """Work for a replica: what was lost goes first."""
        return self.again.popleft() if self.again else next(self.work, None)

    def tell(self) -> None:
        """Wake the replicas that wait for work, or for the end."""
        self.changed.set()
        self.changed = asyncio.Event()

    def identified(self, replica: Replica, identities: Sequence[dict[str, str | None]]) -> None:
        """Check that a replica finds the weights, adapter and prompts that are found here.

        Raises:
            EngineError: one of them is another.
        """
        for variant, theirs in zip(self.variants, identities, strict=True):
            for name, own in variant.configuration.identity.items():
                if theirs.get(name) != own:
                    reason = f"finds another {name} than this machine: {_SHARED}"
                    raise EngineError(reason, item=replica.label)

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
                note_engine(record, provenance)
        for name, value in provenance.items():
            if name != "device" and (own := self.provenance.get(name)) != value:
                raise EngineError(f"has {name} {value}, but another replica has {own}", item=replica.label)

    def record(self, results: Sequence[tuple[_Open, Result]]) -> None:
        """Write results down; what may pass is asked again."""
        found: list[tuple[Asked, None, Outcome]] = []
        for asked_of, one in results:
            request = asked_of.request
            variant = self.variants[one.variant]
            variant.usage.closed()
            outcome: Outcome | None = one.response or one.failure
            if outcome is None:
                raise AssertionError("a result is a response or a failure")
            if isinstance(outcome, Failure) and outcome.retryable and self.may_ask(one.variant, request):
                self.ask_again(variant, asked_of.work, [request])
                continue
            asked = Asked(variant, request, one.indices, one.cache_key, one.clip_sha256)
            found.append((asked, None, outcome))
        self.execution.record(found)

    def ask_again(self, variant: Variant, work: Work, requests: Sequence[Request]) -> None:
        """Put requests back. One that was lost twice is asked alone: it may be what ends the replicas."""
        number = self.variants.index(variant)
        alone = [one for one in requests if self.attempts[number, one.id] == ATTEMPTS - 1]
        self.alone += [replace(work, requests=((variant, (one,)),)) for one in alone]
        if rest := tuple(one for one in requests if one not in alone):
            self.again.append(replace(work, requests=((variant, rest),)))
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


@dataclass(frozen=True)
class _Open:
    """A request that a replica has; `clip_sha256` is of the file to show, as it is found here."""

    work: Work
    request: Request
    clip_sha256: str | None


async def _all_ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    await asyncio.gather(*tasks)


@dataclass
class _Driven:
    """One replica and the requests that it has."""

    run: _Run
    replica: Replica
    open: dict[Key, _Open] = field(default_factory=dict)
    ready: bool = False
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
                    self.run.placed.add(self.replica.name)
                    async for report in self._reports():
                        starts = 0 if report.results else starts
                    return
                except ReplicaLostError as lost:
                    ends = self.run.provenance is None  # nothing has ever started: it would fail again
                    self._lose(str(lost), again=not ends and starts < STARTS)
                    await self.replica.close()
                    if ends:
                        return
                finally:
                    self.run.placed.discard(self.replica.name)
        finally:
            await self.replica.close()

    async def _reports(self) -> AsyncIterator[Report]:
        """What the replica says, while there is work for it."""
        while True:
            report = await self._next_report()
            self._take(report)
            yield report
            while self.ready and not await self._feed():
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
            self.run.under_way += len(work)
            files = [clip.video for clip in (work.clip, work.donor) if clip]
            digests = {file: await asyncio.to_thread(clip_sha256, file) for file in files}
            for variant, requests in work.requests:
                shown = variant.configuration.donors.get(work.clip.video_id, work.clip)
                number = self.run.variants.index(variant)
                variant.usage.clips += 1
                for request in requests:
                    self.open[number, request.id] = _Open(work, request, digests[shown.video])
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
        if report.identity:
            self.run.identified(self.replica, report.identity)
        if report.provenance is not None:
            self.run.started(self.replica, report.provenance)
            self.ready = True
        if report.decoding is not None:
            self.run.decoding[self.replica.name] = report.decoding
        if report.prompted is not None:
            number, task, first = report.prompted
            self.run.variants[number].records[task].starts[-1].setdefault("prompted", first)
        self.run.execution.engine.rejected.update(report.rejected)
        results = []
        for one in report.results:
            asked = self.open.pop((one.variant, one.request))
            self.run.under_way -= 1
            if one.clip_sha256 not in (None, asked.clip_sha256):
                name = asked.request.video_id
                reason = f"was shown another file of {name} than this machine finds: {_SHARED}"
                raise EngineError(reason, item=self.replica.label)
            results.append((asked, one))
        if results:
            self.run.record(results)
            if not self.run.under_way:
                self.run.tell()

    def _lose(self, why: str, again: bool) -> None:
        """What the replica had is asked of others, or has failed where that was tried often enough.

        Args:
            why: it was lost.
            again: whether it is started again.
        """
        run = self.run
        run.why_lost = why
        lost: dict[tuple[int, str], list[Request]] = {}
        works = {asked.request.video_id: asked.work for asked in self.open.values()}
        failed: list[tuple[_Open, Result]] = []
        for (number, name), asked in self.open.items():
            run.under_way -= 1
            if run.may_ask(number, asked.request):
                run.variants[number].usage.closed()
                lost.setdefault((number, asked.request.video_id), []).append(asked.request)
            else:
                reason = f"the replica was lost {ATTEMPTS} times while it had this request: {why}"
                failure = Failure(id=name, stage="engine", reason=reason)
                failed.append((asked, Result(variant=number, request=name, failure=failure)))
        self.open.clear()
        what = "was lost" if self.ready else "could not be started"
        self.ready = False
        count = sum(map(len, lost.values()))
        then = [f"{many(count, 'request')} to be asked again"] * bool(count) + ["it is started again"] * again
        run.progress.note("; ".join([f"{self.replica.label} {what} ({why})", *then]))
        for (number, clip_id), requests in lost.items():
            run.ask_again(run.variants[number], works[clip_id], requests)
        run.record(failed)
        run.tell()


def _order(work: Work, variants: Sequence[Variant]) -> Order:
    donor = _without_references(work.donor) if work.donor else None
    requests = tuple((variants.index(one), own) for one, own in work.requests)
    return Order(clip=_without_references(work.clip), donor=donor, requests=requests)


def _without_references(clip: Clip) -> Clip:
    video = clip.video.absolute() if clip.video else None
    return clip.model_copy(update={"caption": None, "questions": (), "persons": (), "video": video})
