"""Requests in a vendor's batch API: sent once, collected once, whatever is interrupted."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from microg_bench.engines.base import Answered, BatchEngine, BatchState, Job, Outcome
from microg_bench.errors import EngineError
from microg_bench.records import Clip, Failure, Response
from microg_bench.runs.batches import BATCHES_FILE, Batches
from microg_bench.runs.execute import Execution, nothing_shown, open_work
from microg_bench.runs.record import RunRecord
from tests.helpers.runs import Notes, make_configuration, opened, read

CLIPS = [Clip(video_id=f"a_{n}", source="a", caption="c") for n in range(5)]


@dataclass
class Vendor(BatchEngine):
    """A vendor that keeps batches in memory. `breaks` names the moment at which the connection is lost."""

    name = "vendor"
    batch_items = 2
    batch_bytes = 10_000
    batches: dict[str, list[str]] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    ended: bool = False
    refuses: str = ""
    loses: str = ""
    breaks: str = ""
    too_large: str = ""

    def start(self) -> None:
        """Nothing to load."""

    def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
        raise NotImplementedError

    def encoded(self, job: Job) -> bytes:
        if job.request.id == self.too_large:
            raise ValueError("larger than 20 MB")
        return json.dumps(job.request.id).encode()

    def submit(self, jobs: Sequence[tuple[str, bytes]], token: str) -> str:
        if self.breaks == "before":
            raise EngineError("connection lost")
        name = f"batch-{len(self.batches)}"
        self.batches[name] = [request for request, _ in jobs]
        self.tokens[token] = name
        self.asked += self.batches[name]
        if self.breaks == "after":
            raise EngineError("connection lost")
        return name

    def find(self, token: str) -> str | None:
        return self.tokens.get(token)

    def state(self, batch: str) -> BatchState:
        return BatchState(self.ended, "done" if self.ended else "working", 0, len(self.batches[batch]))

    def collect(self, batch: str) -> Iterator[Outcome]:
        for request in self.batches[batch]:
            if request == self.refuses:
                yield Failure(id=request, stage="engine", reason="refused")
            elif request != self.loses:
                yield Response(id=request, text=f"about {request}")
        yield Response(id="stranger", text="never asked")


def start(root: Path, vendor: Vendor, notes: Notes | None = None) -> tuple[set[str], RunRecord]:
    """One start of the run; the ids that are pending after it, and the run."""
    one = make_configuration(CLIPS, batch=True)
    with opened(root, one) as variant:
        execution = Execution(vendor, notes or Notes())
        batches = Batches.read(root / BATCHES_FILE)
        batches.collect(execution, vendor, variant)
        asyncio.run(batches.send(execution, vendor, nothing_shown(open_work([variant], batches.settled))))
    pending = {name for batch in batches.open.values() for name in batch.requests}
    assert batches.pending == len(pending) == Batches.read(root / BATCHES_FILE).pending
    return pending, read(root, one)["caption"]


def test_requests_are_sent_in_batches_of_the_vendors_size_and_collected_later(tmp_path: Path) -> None:
    vendor, notes = Vendor(), Notes()
    pending, record = start(tmp_path, vendor)
    assert [len(batch) for batch in vendor.batches.values()] == [2, 2, 1]
    assert (len(pending), record.answers) == (5, {})
    pending, record = start(tmp_path, vendor, notes)
    assert (len(pending), record.answers, len(vendor.asked)) == (5, {}, 5)
    assert notes.notes[0] == "batch batch-0: working, 0 of 2"
    vendor.ended = True
    pending, record = start(tmp_path, vendor)
    assert (pending, len(record.answers), record.failures) == (set(), 5, {})
    assert record.answers["a_3"].text == "about a_3"
    assert Batches.read(tmp_path / BATCHES_FILE).open == {}
    assert sorted(vendor.asked) == [clip.video_id for clip in CLIPS]


def test_a_batch_that_is_larger_in_bytes_than_allowed_is_cut(tmp_path: Path) -> None:
    vendor = Vendor()
    vendor.batch_bytes = 1
    start(tmp_path, vendor)
    assert [len(batch) for batch in vendor.batches.values()] == [1] * 5


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_connection_lost_while_sending_costs_nothing_twice(tmp_path: Path, moment: str) -> None:
    vendor = Vendor(breaks=moment)
    with pytest.raises(EngineError, match="connection lost"):
        start(tmp_path, vendor)
    vendor.breaks = ""
    pending, _ = start(tmp_path, vendor)
    assert len(pending) == 5
    assert sorted(vendor.asked) == [clip.video_id for clip in CLIPS]


def test_a_stop_between_collecting_and_noting_it_records_no_answer_twice(tmp_path: Path) -> None:
    vendor = Vendor(ended=True)
    start(tmp_path, vendor)
    before = (tmp_path / BATCHES_FILE).read_bytes()
    start(tmp_path, vendor)
    answered = (tmp_path / "caption" / "journal.jsonl").read_bytes()
    assert answered
    (tmp_path / BATCHES_FILE).write_bytes(before)
    start(tmp_path, vendor)
    assert (tmp_path / "caption" / "journal.jsonl").read_bytes() == answered
    assert len(vendor.asked) == 5


def test_what_failed_waits_for_the_next_start_and_what_was_left_out_is_sent_again(tmp_path: Path) -> None:
    vendor = Vendor(refuses="a_1", loses="a_2")
    start(tmp_path, vendor)
    vendor.ended = True
    pending, record = start(tmp_path, vendor)
    assert sorted(record.failures) == ["a_1"]
    assert pending == {"a_2"}
    vendor.refuses = vendor.loses = ""
    pending, record = start(tmp_path, vendor)
    assert sorted(record.answers) == ["a_0", "a_2", "a_3", "a_4"]
    assert pending == {"a_1"}
    _, record = start(tmp_path, vendor)
    assert (len(record.answers), record.failures) == (5, {})


def test_what_cannot_be_sent_fails_alone(tmp_path: Path) -> None:
    vendor = Vendor(too_large="a_3")
    pending, record = start(tmp_path, vendor)
    assert len(pending) == 4
    assert (record.failures["a_3"].stage, record.failures["a_3"].reason) == ("prompt", "larger than 20 MB")
