"""Leaves requests in a vendor's batch API, and collects what has become of them at a later start.

`batches.jsonl` says which requests are pending. A batch is written down before it is sent, under a token that
goes with it: whatever happens in between, the next start finds out, and nothing is paid for twice.

Vendors limit what an account may have in their queue. What exceeds the limit is not sent again in the same
start. Later starts queue half as many requests, and a quarter more for each batch that ended since.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, ValidationError

from microg_bench.engines.base import QueueFullError
from microg_bench.errors import RunError
from microg_bench.records import Failure, Record, Response, first_fault
from microg_bench.storage import Journal, read_journal
from microg_bench.text import many

if TYPE_CHECKING:
    from microg_bench.engines.base import BatchEngine, Job
    from microg_bench.runs.execute import Execution, Variant, Work
    from microg_bench.runs.frames import FrameStream

BATCHES_FILE = "batches.jsonl"


@dataclass
class Batch:
    """Requests that were sent together, with the indices of the frames that each shows.

    `clips` tells of which files these are, by request id; see `Answer`. `name` is the vendor's, empty where
    it is not known whether the batch ever arrived. `dollars` is what it may cost at most, 0 where no price is
    known.
    """

    token: str
    requests: dict[str, tuple[int, ...]]
    name: str = ""
    clips: dict[str, str] = field(default_factory=dict)
    dollars: float = 0.0


class _Line(Record):
    """A line of the ledger: what became of the batch with this token; see `Batch` for the rest."""

    type: Literal["sending", "sent", "ended", "refused"]
    token: str
    name: str = ""
    requests: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    clips: dict[str, str] = Field(default_factory=dict)
    dollars: float = Field(default=0.0, ge=0)
    queue_limit: int | None = Field(default=None, ge=1)


@dataclass
class Batches:
    """The batches of a run folder.

    `open` are those that have not been collected, by their token. `queue_limit` is how many requests the
    vendor's queue may hold, where that is known. `waiting` are requests that have to wait for the next start.
    """

    path: Path
    open: dict[str, Batch] = field(default_factory=dict)
    queue_limit: int | None = None
    waiting: set[str] = field(default_factory=set)
    _collected: set[str] = field(default_factory=set)
    _refused: bool = False  # in this start, by a queue that is full

    @classmethod
    def read(cls, path: Path) -> Batches:
        """What `path` tells; nothing where there is no such file.

        Raises:
            RunError: the file is damaged.
        """
        found = cls(path)
        for number, content in read_journal(path):
            try:
                found._count(_Line.model_validate(content))
            except (ValidationError, KeyError) as error:
                fault = (
                    first_fault(error) if isinstance(error, ValidationError) else "its batch was never sent"
                )
                raise RunError(f"damaged: {fault}", path=path, item=f"line {number}") from error
        return found

    def _count(self, line: _Line) -> None:
        if line.type == "sending":
            self.open[line.token] = Batch(line.token, line.requests, clips=line.clips, dollars=line.dollars)
        elif line.type == "sent":
            self.open[line.token].name = line.name
        else:
            self.open.pop(line.token, None)
            self.queue_limit = line.queue_limit or self.queue_limit

    @property
    def pending(self) -> int:
        """How many requests have not been collected, or could not be sent yet."""
        return self._queued + len(self.waiting)

    @property
    def _queued(self) -> int:
        return sum(len(batch.requests) for batch in self.open.values())

    @property
    def settled(self) -> set[str]:
        """Ids of requests that this start must not send: they are pending, or have just been collected."""
        return self._collected.union(self.waiting, *(batch.requests for batch in self.open.values()))

    def fitting(self, work: Iterable[Work]) -> Iterator[Work]:
        """`work` as far as it fits into the vendor's queue; the rest waits."""
        taken = self._queued
        for one in work:
            kept = []
            for variant, requests in one.requests:
                fits = len(requests) if self.queue_limit is None else max(0, self.queue_limit - taken)
                sent = () if self._refused else requests[:fits]
                self.waiting |= {request.id for request in requests[len(sent) :]}
                taken += len(sent)
                kept += [(variant, sent)] if sent else []
            if kept:
                yield replace(one, requests=tuple(kept))

    def collect(self, execution: Execution, engine: BatchEngine, variant: Variant) -> None:
        """Record the outcomes of all batches that have ended.

        Raises:
            EngineError: the vendor cannot be asked.
            RunError: a file is damaged or cannot be written.
        """
        with Journal(self.path) as ledger:
            for batch in list(self.open.values()):
                name = batch.name or engine.find(batch.token)
                if name is not None:
                    if not batch.name:
                        ledger.append({"type": "sent", "token": batch.token, "name": name})
                    state = engine.state(name)
                    if not state.ended:
                        counted = f", {state.answered} of {state.total}" if state.total else ""
                        execution.progress.note(f"batch {name}: {state.word}{counted}")
                        continue
                    if state.full:
                        self._refuse(execution, ledger, batch, f"batch {name}: {state.word}")
                        continue
                    self._take(execution, engine, variant, batch, name, state.word)
                    if self.queue_limit is not None:
                        self.queue_limit += self.queue_limit // 4
                ledger.append({"type": "ended", "token": batch.token, "queue_limit": self.queue_limit})
                del self.open[batch.token]

    def _take(
        self,
        execution: Execution,
        engine: BatchEngine,
        variant: Variant,
        batch: Batch,
        name: str,
        word: str,
    ) -> None:
        from microg_bench.runs.execute import Asked

        requests = {
            one.id: one for clip in variant.configuration.clips for one in variant.open_requests(clip)
        }
        found = answered = 0
        for outcome in engine.collect(name):
            found += outcome.id in batch.requests
            # An earlier start may have been stopped between taking an answer and noting the batch's end.
            if outcome.id not in batch.requests or outcome.id not in requests:
                continue
            own = requests[outcome.id]
            asked = Asked(variant, own, batch.requests[own.id], clip_sha256=batch.clips.get(own.id))
            execution.record([(asked, None, outcome)])
            self._collected.add(outcome.id)
            answered += isinstance(outcome, Response)
        why = "" if found else f"{word}: "
        execution.progress.note(f"batch {name}: {why}{answered} of {len(batch.requests)} answered")
        if not found:  # what failed as a whole fails again: not in this start
            self.waiting |= batch.requests.keys() & requests.keys()

    def _refuse(self, execution: Execution, ledger: Journal, batch: Batch, why: str) -> None:
        """The vendor's queue is full for a batch: let fewer requests be in it, from the next start on."""
        queued = {**self.open, batch.token: batch}
        self.queue_limit = max(1, sum(len(one.requests) for one in queued.values()) // 2)
        ledger.append({"type": "refused", "token": batch.token, "queue_limit": self.queue_limit})
        self.open.pop(batch.token, None)
        self.waiting |= batch.requests.keys()
        self._refused = True
        execution.progress.note(
            f"{why}: {self.queue_limit} requests at most are queued from the next start on"
        )

    async def send(self, execution: Execution, engine: BatchEngine, frames: FrameStream[Work]) -> None:
        """Send everything in `frames`, in as few batches as the vendor allows.

        Raises:
            EngineError: the vendor does not take it; what was sent before is safe.
            RunError: a file cannot be written.
        """
        if execution.budget:
            execution.budget.pending = sum(batch.dollars for batch in self.open.values())
        group: list[tuple[Job, bytes]] = []
        size = 0
        with Journal(self.path) as ledger:
            async with aclosing(execution.jobs(frames)) as jobs:
                async for job in jobs:
                    try:
                        encoded = engine.encoded(job)
                    except ValueError as error:
                        failure = Failure(id=job.request.id, stage="prompt", reason=str(error))
                        execution.take([(job, failure)])
                        continue
                    full = len(group) >= engine.batch_items
                    if group and (full or size + len(encoded) > engine.batch_bytes):
                        self._submit(execution, engine, ledger, group)
                        group, size = [], 0
                    group.append((job, encoded))
                    size += len(encoded)
            if group:
                self._submit(execution, engine, ledger, group)
        if self.waiting:
            execution.progress.note(f"{many(len(self.waiting), 'request')} left for a later start")

    def _submit(
        self, execution: Execution, engine: BatchEngine, ledger: Journal, group: list[tuple[Job, bytes]]
    ) -> None:
        asked = [execution.open.pop(job) for job, _ in group]
        batch = Batch(uuid.uuid4().hex, {one.request.id: one.indices for one in asked})
        batch.clips = {one.request.id: one.clip_sha256 for one in asked if one.clip_sha256}
        if execution.budget:
            batch.dollars = execution.budget.reserved(job for job, _ in group)
        if self._refused:
            self.waiting |= batch.requests.keys()
            return
        shown = {name: list(indices) for name, indices in batch.requests.items()}
        known = {"token": batch.token, "requests": shown, "clips": batch.clips, "dollars": batch.dollars}
        ledger.append({"type": "sending", **known})
        try:
            batch.name = engine.submit([(job.request.id, encoded) for job, encoded in group], batch.token)
        except QueueFullError as full:
            self._refuse(execution, ledger, batch, str(full))
            return
        ledger.append({"type": "sent", "token": batch.token, "name": batch.name})
        self.open[batch.token] = batch
        execution.progress.note(f"batch {batch.name}: {many(len(group), 'request')} sent")


def is_pending(path: Path) -> bool:
    """Whether requests of the run at `path` are in a vendor's batch API.

    Their list is in its folder or that above.
    """
    return any(Batches.read(folder / BATCHES_FILE).pending for folder in (path, path.parent))
