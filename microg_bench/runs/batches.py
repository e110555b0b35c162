"""Leaves requests in a vendor's batch API, and collects what has become of them at a later start.

`batches.jsonl` says which requests are pending. A batch is written down before it is sent, under a token that
goes with it: whatever happens in between, the next start finds out, and nothing is paid for twice.
"""

from __future__ import annotations

import uuid
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from microg_bench.records import Failure, Response
from microg_bench.storage import Journal, read_journal

if TYPE_CHECKING:
    from microg_bench.engines.base import BatchEngine, Job
    from microg_bench.runs.execute import Execution, Variant, Work
    from microg_bench.runs.frames import FrameStream

BATCHES_FILE = "batches.jsonl"


@dataclass
class Batch:
    """Requests that were sent together, with the indices of the frames that each shows.

    `name` is the vendor's, empty where it is not known whether the batch ever arrived.
    """

    token: str
    requests: dict[str, tuple[int, ...]]
    name: str = ""


@dataclass
class Batches:
    """The batches of a run folder. `open` are those that have not been collected, by their token."""

    path: Path
    open: dict[str, Batch] = field(default_factory=dict)
    _collected: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, path: Path) -> Batches:
        """What `path` tells; nothing where there is no such file.

        Raises:
            RunError: the file is damaged.
        """
        found = cls(path)
        for _, line in read_journal(path):
            token = line["token"]
            if line["type"] == "sending":
                requests = {name: tuple(frames) for name, frames in line["requests"].items()}
                found.open[token] = Batch(token, requests)
            elif line["type"] == "sent":
                found.open[token].name = line["name"]
            else:
                found.open.pop(token, None)
        return found

    @property
    def pending(self) -> int:
        """How many requests have not been collected."""
        return sum(len(batch.requests) for batch in self.open.values())

    @property
    def settled(self) -> set[str]:
        """Ids of requests that this start must not send: they are pending, or have just been collected."""
        return self._collected.union(*(batch.requests for batch in self.open.values()))

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
                    self._take(execution, engine, variant, batch, name)
                ledger.append({"type": "ended", "token": batch.token})
                del self.open[batch.token]

    def _take(
        self, execution: Execution, engine: BatchEngine, variant: Variant, batch: Batch, name: str
    ) -> None:
        from microg_bench.runs.execute import Asked

        requests = {
            one.id: one for clip in variant.configuration.clips for one in variant.open_requests(clip)
        }
        answered = 0
        for outcome in engine.collect(name):
            # An earlier start may have been stopped between taking an answer and noting the batch's end.
            if outcome.id not in batch.requests or outcome.id not in requests:
                continue
            asked = Asked(variant, requests[outcome.id], batch.requests[outcome.id])
            execution.record([(asked, None, outcome)])
            self._collected.add(outcome.id)
            answered += isinstance(outcome, Response)
        execution.progress.note(f"batch {name}: {answered} of {len(batch.requests)} answered")

    async def send(self, execution: Execution, engine: BatchEngine, frames: FrameStream[Work]) -> None:
        """Send everything in `frames`, in as few batches as the vendor allows.

        Raises:
            EngineError: the vendor does not take it; what was sent before is safe.
            RunError: a file cannot be written.
        """
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

    def _submit(
        self, execution: Execution, engine: BatchEngine, ledger: Journal, group: list[tuple[Job, bytes]]
    ) -> None:
        batch = Batch(uuid.uuid4().hex, {job.request.id: execution.open.pop(job).indices for job, _ in group})
        shown = {name: list(indices) for name, indices in batch.requests.items()}
        ledger.append({"type": "sending", "token": batch.token, "requests": shown})
        batch.name = engine.submit([(job.request.id, encoded) for job, encoded in group], batch.token)
        ledger.append({"type": "sent", "token": batch.token, "name": batch.name})
        self.open[batch.token] = batch
        execution.progress.note(f"batch {batch.name}: {len(group)} requests sent")
