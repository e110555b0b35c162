"""Requests in a vendor's batch API: sent once, collected once, whatever is interrupted."""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pytest

from microg_bench.engines.base import Answered, BatchEngine, BatchState, Job, Outcome, QueueFullError
from microg_bench.errors import EngineError, RunError
from microg_bench.records import Answer, Clip, Failure, Response
from microg_bench.runs.batches import BATCHES_FILE, Batches
from microg_bench.runs.budget import Budget, Price
from microg_bench.runs.execute import Execution, nothing_shown, open_work
from microg_bench.runs.frames import whole_clips
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


def start(
    root: Path, vendor: Vendor, notes: Notes | None = None, budget: Budget | None = None
) -> tuple[set[str], RunRecord]:
    """One start of the run; the ids that are pending after it, and the run."""
    one = make_configuration(CLIPS, batch=True)
    with opened(root, one) as variant:
        execution = Execution(vendor, notes or Notes(), budget=budget)
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


def test_an_answer_tells_the_file_that_was_sent_not_the_one_that_is_there_now(tmp_path: Path) -> None:
    file = tmp_path / "a_0.mp4"
    file.write_bytes(b"first")
    digest = hashlib.sha256(b"first").hexdigest()[:16]
    one = make_configuration([Clip(video_id="a_0", source="a", caption="c", video=file)], batch=True)
    vendor = Vendor()
    for ended in (False, True):
        vendor.ended = ended
        with opened(tmp_path, one) as variant:
            execution, batches = Execution(vendor, Notes()), Batches.read(tmp_path / BATCHES_FILE)
            batches.collect(execution, vendor, variant)
            asyncio.run(batches.send(execution, vendor, whole_clips(open_work([variant], batches.settled))))
        file.write_bytes(b"second")
    assert read(tmp_path, one)["caption"].answers["a_0"].clip_sha256 == digest


def test_a_batch_that_is_larger_in_bytes_than_allowed_is_cut(tmp_path: Path) -> None:
    vendor = Vendor()
    vendor.batch_bytes = 1
    start(tmp_path, vendor)
    assert [len(batch) for batch in vendor.batches.values()] == [1] * 5


def test_what_is_pending_counts_against_the_limit_of_a_later_start(tmp_path: Path) -> None:
    price = Price(date=date(2026, 1, 1), input=0, output=1e6 / 8)  # a dollar for an answer of full length
    vendor = Vendor()
    pending, _ = start(tmp_path, vendor, budget=Budget(price, limit=3, batch=True))
    assert len(pending) == 3
    again = Budget(price, limit=3, batch=True)
    pending, _ = start(tmp_path, vendor, budget=again)
    assert (len(pending), len(vendor.asked), again.pending, again.exhausted) == (3, 3, 3, True)
    start(tmp_path, vendor, budget=Budget(price, limit=4, batch=True))
    assert len(vendor.asked) == 4


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


class Crowded(Vendor):
    """A vendor whose queue takes `queue` requests; it says so when a batch is sent, or is looked at."""

    batch_items = 50
    queue = 2
    at_once = False

    def submit(self, jobs: Sequence[tuple[str, bytes]], token: str) -> str:
        if self.at_once and len(jobs) > self.queue:
            raise QueueFullError("429: queue is full")
        return super().submit(jobs, token)

    def state(self, batch: str) -> BatchState:
        if len(self.batches[batch]) > self.queue:
            return BatchState(True, "failed: queue is full", full=True)
        return BatchState(True, "done")

    def collect(self, batch: str) -> Iterator[Outcome]:
        assert len(self.batches[batch]) <= self.queue, "nothing of it was worked on"
        return super().collect(batch)


def start_fitting(root: Path, vendor: Vendor) -> tuple[int, dict[str, Answer], list[str]]:
    """One start that keeps to the queue's limit: what is pending after it, the answers, what was noted."""
    one, notes = make_configuration(CLIPS, batch=True), Notes()
    with opened(root, one) as variant:
        execution = Execution(vendor, notes)
        batches = Batches.read(root / BATCHES_FILE)
        batches.collect(execution, vendor, variant)
        work = batches.fitting(open_work([variant], batches.settled))
        asyncio.run(batches.send(execution, vendor, nothing_shown(work)))
    begun = (root / "caption" / "run.json").is_file()  # a start in which nothing was sent leaves no run
    return batches.pending, dict(read(root, one)["caption"].answers) if begun else {}, notes.notes


@pytest.mark.parametrize("at_once", [True, False])
def test_what_a_full_queue_refuses_is_sent_in_smaller_batches_by_later_starts(
    tmp_path: Path, at_once: bool
) -> None:
    vendor = Crowded()
    vendor.at_once = at_once
    said: list[str] = []
    for _ in range(9):
        sent = len(vendor.batches)
        pending, answers, notes = start_fitting(tmp_path, vendor)
        said += notes
        assert pending + len(answers) == 5
        assert len(vendor.batches) <= sent + 1
        if any("queue is full" in note for note in notes):
            assert len(vendor.batches) == sent, "it is not sent again in the same start"
    assert (pending, len(answers)) == (0, 5)
    assert [len(batch) for batch in vendor.batches.values()] == ([] if at_once else [5]) + [2, 2, 1]
    assert any("queue is full: 2 requests at most are queued from the next start on" in note for note in said)
    assert any(note == "3 requests left for a later start" for note in said)


def test_the_limit_of_the_queue_grows_with_each_batch_that_ends(tmp_path: Path) -> None:
    path = tmp_path / BATCHES_FILE
    path.write_text(
        '{"type":"sending","token":"t","requests":{}}\n{"type":"refused","token":"t","queue_limit":8}\n'
    )
    vendor = Crowded()
    vendor.queue = 8
    start_fitting(tmp_path, vendor)
    assert Batches.read(path).queue_limit == 8
    pending, answers, _ = start_fitting(tmp_path, vendor)
    assert (pending, len(answers)) == (0, 5)
    assert Batches.read(path).queue_limit == 10


def test_a_single_request_that_the_queue_refuses_waits(tmp_path: Path) -> None:
    vendor = Crowded()
    vendor.queue = 0
    for _ in range(12):
        pending, answers, _ = start_fitting(tmp_path, vendor)
        assert (pending, answers) == (5, {})
    assert len(vendor.batches) <= 6
    assert len(list(vendor.batches.values())[-1]) == 1


def test_a_batch_that_failed_as_a_whole_is_not_sent_again_in_the_same_start(tmp_path: Path) -> None:
    class Failing(Vendor):
        batch_items = 50

        def state(self, batch: str) -> BatchState:
            return BatchState(True, "failed: the model is not known")

        def collect(self, batch: str) -> Iterator[Outcome]:
            return iter(())

    vendor = Failing()
    start_fitting(tmp_path, vendor)
    pending, _, notes = start_fitting(tmp_path, vendor)
    assert (pending, len(vendor.batches)) == (5, 1)
    assert "batch batch-0: failed: the model is not known: 0 of 5 answered" in notes
    assert start_fitting(tmp_path, vendor)[0] == 5
    assert len(vendor.batches) == 2


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ({}, "type: Field required"),
        ({"type": "sent", "token": "u", "name": "b"}, "its batch was never sent"),
        ({"type": "lost", "token": "t"}, "type: Input should be"),
        ({"type": "sending", "token": ["t"]}, "token: Input should be"),
        ({"type": "sending", "token": "t", "requests": {"a": ["x"]}}, "requests.a.0: Input should be"),
        ({"type": "sending", "token": "t", "dollars": -1}, "dollars: Input should be"),
        ({"type": "ended", "token": "t", "queue_limit": -1}, "queue_limit: Input should be"),
    ],
)
def test_a_damaged_ledger_is_named_with_its_line(tmp_path: Path, line: dict[str, object], fault: str) -> None:
    first = {"type": "sending", "token": "t", "requests": {"a_0": [1]}}
    file = tmp_path / BATCHES_FILE
    file.write_text(f"{json.dumps(first)}\n{json.dumps(line)}\n")
    with pytest.raises(RunError, match=rf"{BATCHES_FILE}: line 2: damaged: {fault}"):
        Batches.read(file)
