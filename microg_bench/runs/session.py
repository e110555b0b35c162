"""One start of a run: everything that is open is asked, whatever the engine, and what it took is noted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from microg_bench.engines import Engine
from microg_bench.engines.batch import BatchEngine
from microg_bench.errors import RunError
from microg_bench.runs.batches import BATCHES_FILE, BatchRun, open_batches
from microg_bench.runs.cache import open_cache
from microg_bench.runs.cost import Budget, Estimate, Price, sum_of
from microg_bench.runs.execute import Execution
from microg_bench.runs.feed import Feed, make_feed
from microg_bench.runs.folder import RunFolder, dropped_settings, read_responses, read_run
from microg_bench.runs.lanes import Lane, ask, merged, union_of
from microg_bench.runs.prepare import Prepared
from microg_bench.runs.watcher import Watcher
from microg_bench.video import DecodePool


@dataclass(frozen=True)
class Outcome:
    """What a start came to.

    `usages` are what it took, lane by lane (see `Tally.summary`), none where nothing was left to ask;
    `waiting` requests are with the vendor; `dollars` have been spent by all starts, None where no price is
    known; `exhausted` is set where the budget stopped the start.
    """

    usages: Sequence[dict[str, Any]] = ()
    waiting: int = 0
    dollars: float | None = None
    exhausted: bool = False


@dataclass(frozen=True)
class Session:
    """One start of one lane, or of several side by side; `root` holds what they share.

    Lanes that run side by side have model, engine, clips and budget in common; those of the first count.
    """

    lanes: Sequence[Lane]
    root: Path
    watcher: Watcher

    @property
    def _first(self) -> Prepared:
        return self.lanes[0].prepared

    def ask(self) -> Outcome:
        """Ask everything that is not answered yet.

        Raises:
            RunError, EngineError, UsageError: as `start`.
        """
        away = sum(len(batch.requests) for batch in open_batches(self._ledger))
        if away and not self._first.options.batch:
            raise RunError(f"{self.root}: {away} requests are with the vendor; add --batch to collect them")
        total = sum(len(lane.prepared.items(task)) for lane in self.lanes for task in lane.folders)
        left = sum(len(one.requests) for one in merged(self.lanes, self._first.clips))
        if not left:
            return Outcome()
        budget = self._budget()
        if budget and not away:
            self.watcher.confirm(self._estimate(budget.price))
        with ExitStack() as stack:
            pool = self._pool(stack)
            engine, feed = make_feed(self._first, union_of(self.lanes), pool, self.root, self.watcher)
            stack.callback(engine.close)
            engine.start()
            engine.drop(self._known_drops())
            self._note("engine", engine.provenance())
            executions = [self._execution(lane, engine, budget) for lane in self.lanes]
            self.watcher.begin("asking", total, total - left)
            try:
                waiting = self._asked(executions, feed)
            finally:
                decoding = pool.seconds if pool else 0.0
                usages = [execution.tally.summary(decoding) for execution in executions]
                self._note("usage", *usages)
                self._note_drops(engine)
        return Outcome(usages, waiting, budget.spent if budget else None, bool(budget and budget.exhausted))

    def _asked(self, executions: Sequence[Execution], feed: Feed) -> int:
        """Ask; returns how many requests are with the vendor afterwards."""
        lane, execution = self.lanes[0], executions[0]
        engine, clips = execution.engine, self._first.clips
        if len(self.lanes) > 1:
            asyncio.run(ask(self.lanes, executions, feed(merged(self.lanes, clips))))
        elif not self._first.options.batch or not isinstance(engine, BatchEngine):
            asyncio.run(execution.run(feed(lane.work(clips))))
        else:
            visit = BatchRun(execution, engine, self._ledger, self.watcher.note)
            visit.collect({request.id: request for one in lane.work(clips) for request in one.requests})
            asyncio.run(visit.send(feed(lane.work(clips, but=visit.settled))))
            return len(visit.waiting)
        return 0

    @property
    def _ledger(self) -> Path:
        return self.root / BATCHES_FILE

    @property
    def _folders(self) -> Iterator[RunFolder]:
        return (folder for lane in self.lanes for folder in lane.folders.values())

    def _budget(self) -> Budget | None:
        """None where no price is known."""
        price, options = self._first.price, self._first.options
        if price is None:
            return None
        responses = (response for folder in self._folders for response in read_responses(folder.path))
        spent = sum(price.of(response, options.batch) for response in responses)
        return Budget(price, options.max_cost, options.batch, spent)

    def _estimate(self, price: Price) -> Estimate:
        clips = self._first.clips
        return sum_of(lane.prepared.estimate(lane.work(clips), price) for lane in self.lanes)

    def _pool(self, stack: ExitStack) -> DecodePool | None:
        if union_of(self.lanes) is None:
            return None
        return stack.enter_context(DecodePool(workers=self._first.options.decoders))

    def _execution(self, lane: Lane, engine: Engine, budget: Budget | None) -> Execution:
        prepared = lane.prepared
        cache = None
        if prepared.options.cache:
            cache = open_cache(Path(prepared.options.cache), prepared.cached_under(engine.provenance()))
        return Execution(
            adapter=prepared.adapter,
            engine=engine,
            folders=lane.folders,
            templates=prepared.templates,
            on_answer=partial(self._answered, engine),
            on_failure=self.watcher.failure,
            cache=cache,
            budget=budget,
        )

    def _known_drops(self) -> set[str]:
        """Settings that the model rejected at an earlier start, of whichever task."""
        return {name for folder in self._folders for name in dropped_settings(read_run(folder.path))}

    def _answered(self, engine: Engine) -> None:
        """After each answer: a start that is killed has told how it asked, too."""
        self._note_drops(engine)
        self.watcher.step()

    def _note_drops(self, engine: Engine) -> None:
        """Note what the model rejects, where that is not noted yet."""
        dropped = list(engine.dropped())
        for folder in self._folders:
            if folder.noted.get("dropped", []) != dropped:
                folder.note("dropped", dropped)

    def _note(self, what: str, *contents: Mapping[str, Any]) -> None:
        """Note one content for all lanes, or one for each."""
        for number, lane in enumerate(self.lanes):
            for folder in lane.folders.values():
                folder.note(what, dict(contents[number if len(contents) > 1 else 0]))
