"""Leaves requests with a vendor's batch interface, and collects what has become of them at a later start.

`batches.jsonl` says which requests are with the vendor. A batch is written down before it is sent, under a
token that goes with it: whatever happens in between, the next start finds out and pays for nothing twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

from microg_bench.engines.batch import BatchEngine
from microg_bench.records import Failure, Request, Response
from microg_bench.runs.execute import Asked, Execution
from microg_bench.runs.frames import FrameStream
from microg_bench.runs.journal import Journal, read_journal

BATCHES_FILE = "batches.jsonl"

Indices = tuple[int, ...]


@dataclass
class Batch:
    """Requests that were sent together, with the indices of the frames that each shows.

    `name` is the vendor's, empty where it is not known whether the batch ever arrived.
    """

    token: str
    requests: dict[str, Indices]
    name: str = ""


def open_batches(path: Path) -> list[Batch]:
    """The batches of `path` that have not been collected.

    Raises:
        RunError: the file is damaged.
    """
    found: dict[str, Batch] = {}
    for record in read_journal(path):
        token = record["token"]
        if record["type"] == "sending":
            requests = {name: tuple(frames) for name, frames in record["requests"].items()}
            found[token] = Batch(token, requests)
        elif record["type"] == "sent":
            found[token].name = record["name"]
        else:
            found.pop(token, None)
    return list(found.values())


@dataclass
class BatchRun:
    """One visit to the vendor: collect what has ended, send what is open. `waiting` holds what is there."""

    execution: Execution
    engine: BatchEngine
    path: Path
    note: Callable[[str], None]
    waiting: set[str] = field(default_factory=set)
    _collected: set[str] = field(default_factory=set)

    def collect(self, requests: Mapping[str, Request]) -> None:
        """Record the outcomes of all batches that have ended; `requests` are those still open, by id.

        Raises:
            EngineError: the vendor cannot be asked.
            RunError: a file is damaged or cannot be written.
        """
        batches = open_batches(self.path)
        with Journal(self.path) as ledger:
            for batch in batches:
                name = batch.name or self.engine.find(batch.token)
                if name is None:  # it never arrived
                    ledger.append({"type": "ended", "token": batch.token})
                    continue
                if not batch.name:
                    ledger.append({"type": "sent", "token": batch.token, "name": name})
                state = self.engine.state(name)
                if not state.ended:
                    progress = f", {state.answered} of {state.total}" if state.total else ""
                    self.note(f"batch {name}: {state.word}{progress}")
                    self.waiting |= batch.requests.keys()
                    continue
                self._take(name, batch, requests)
                ledger.append({"type": "ended", "token": batch.token})

    def _take(self, name: str, batch: Batch, requests: Mapping[str, Request]) -> None:
        answered = 0
        for outcome in self.engine.collect(name):
            # An earlier start may have been stopped between taking an answer and noting the batch's end.
            if outcome.id not in batch.requests or outcome.id not in requests:
                continue
            self.execution.record(Asked(requests[outcome.id], batch.requests[outcome.id]), outcome)
            self._collected.add(outcome.id)
            answered += isinstance(outcome, Response)
        self.note(f"batch {name}: {answered} of {len(batch.requests)} answered")

    @property
    def settled(self) -> set[str]:
        """Requests that this visit must not send: they are with the vendor, or have just come from there."""
        return self.waiting | self._collected

    async def send(self, frames: FrameStream) -> None:
        """Send everything in `frames`, in as few batches as the vendor allows.

        Raises:
            EngineError: the vendor does not take it; what was sent before is safe.
            RunError: a file cannot be written.
        """
        group: list[tuple[str, bytes]] = []
        size = 0
        with Journal(self.path) as ledger:
            async with aclosing(self.execution.jobs(frames)) as jobs:
                async for job in jobs:
                    try:
                        encoded = self.engine.encoded(job)
                    except ValueError as error:
                        refused = Failure(id=job.request.id, stage="prompt", reason=str(error))
                        self.execution.take(refused)
                        continue
                    full = len(group) >= self.engine.batch_items
                    if group and (full or size + len(encoded) > self.engine.batch_bytes):
                        self._submit(ledger, group)
                        group, size = [], 0
                    group.append((job.request.id, encoded))
                    size += len(encoded)
            if group:
                self._submit(ledger, group)

    def _submit(self, ledger: Journal, group: list[tuple[str, bytes]]) -> None:
        token = uuid.uuid4().hex
        asked = {name: self.execution.open.pop(name) for name, _ in group}
        requests = {name: list(one.indices) for name, one in asked.items()}
        ledger.append({"type": "sending", "token": token, "requests": requests})
        name = self.engine.submit(group, token)
        ledger.append({"type": "sent", "token": token, "name": name})
        self.waiting |= requests.keys()
        self.note(f"batch {name}: {len(group)} requests sent")
