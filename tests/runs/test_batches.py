"""Requests left with a vendor: sent once, collected once, whatever is interrupted."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from microg_bench.engines import Job
from microg_bench.engines.batch import BatchEngine, BatchState
from microg_bench.errors import EngineError
from microg_bench.prompts import find_template
from microg_bench.records import Clip, Failure, Response
from microg_bench.runs.batches import BatchRun, open_batches
from microg_bench.runs.execute import Execution
from microg_bench.runs.folder import RunFolder, State, read_state
from microg_bench.runs.frames import nothing_shown
from microg_bench.runs.plan import plan
from microg_bench.runs.settings import Options
from tests.helpers.runs import Plain, make_settings

CLIPS = [Clip(video_id=f"a_{n}", source="a", caption="c") for n in range(5)]


@dataclass
class Vendor(BatchEngine):
    """A vendor that keeps batches in memory. `breaks` names the moment at which the line goes down."""

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

    def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Response | Failure, None]:
        raise NotImplementedError

    def encoded(self, job: Job) -> bytes:
        if job.request.id == self.too_large:
            raise ValueError("larger than 20 MB")
        return json.dumps(job.request.id).encode()

    def submit(self, jobs: Sequence[tuple[str, bytes]], token: str) -> str:
        if self.breaks == "before":
            raise EngineError("the line is down")
        name = f"batch-{len(self.batches)}"
        self.batches[name] = [request for request, _ in jobs]
        self.tokens[token] = name
        self.asked += self.batches[name]
        if self.breaks == "after":
            raise EngineError("the line is down")
        return name

    def find(self, token: str) -> str | None:
        return self.tokens.get(token)

    def state(self, batch: str) -> BatchState:
        return BatchState(self.ended, "done" if self.ended else "working", 0, len(self.batches[batch]))

    def collect(self, batch: str) -> Iterator[Response | Failure]:
        for request in self.batches[batch]:
            if request == self.refuses:
                yield Failure(id=request, stage="engine", reason="refused")
            elif request != self.loses:
                yield Response(id=request, text=f"about {request}")
        yield Response(id="stranger", text="never asked")


def visit(root: Path, vendor: Vendor) -> tuple[BatchRun, State]:
    """One start of the run."""
    notes: list[str] = []
    with RunFolder(root, make_settings(), Options(), {"started": "now"}) as folder:
        templates = {"caption": find_template("caption", "plain")}
        execution = Execution(Plain(), vendor, {"caption": folder}, templates)
        run = BatchRun(execution, vendor, root / "batches.jsonl", notes.append)
        left = plan(CLIPS, ["caption"], {"caption": folder.done})
        run.collect({request.id: request for one in left for request in one.requests})
        settled = {"caption": folder.done | run.settled}
        asyncio.run(run.send(nothing_shown(plan(CLIPS, ["caption"], settled))))
    return run, read_state(root)


def test_requests_are_sent_in_batches_of_the_vendors_size_and_collected_later(tmp_path: Path) -> None:
    vendor = Vendor()
    first, state = visit(tmp_path, vendor)
    assert [len(batch) for batch in vendor.batches.values()] == [2, 2, 1]
    assert (len(first.waiting), state.answers) == (5, {})
    second, state = visit(tmp_path, vendor)
    assert (len(second.waiting), state.answers, len(vendor.asked)) == (5, {}, 5)
    vendor.ended = True
    third, state = visit(tmp_path, vendor)
    assert (third.waiting, len(state.answers), state.failures) == (set(), 5, {})
    assert state.answers["a_3"].text == "about a_3"
    assert open_batches(tmp_path / "batches.jsonl") == []
    assert sorted(vendor.asked) == [clip.video_id for clip in CLIPS]


def test_a_batch_that_is_larger_in_bytes_than_allowed_is_cut(tmp_path: Path) -> None:
    vendor = Vendor()
    vendor.batch_bytes = 1
    visit(tmp_path, vendor)
    assert [len(batch) for batch in vendor.batches.values()] == [1] * 5


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_line_that_goes_down_while_sending_costs_nothing_twice(tmp_path: Path, moment: str) -> None:
    vendor = Vendor(breaks=moment)
    with pytest.raises(EngineError, match="line is down"):
        visit(tmp_path, vendor)
    vendor.breaks = ""
    run, _ = visit(tmp_path, vendor)
    assert len(run.waiting) == 5
    assert sorted(vendor.asked) == [clip.video_id for clip in CLIPS]


def test_a_stop_between_collecting_and_noting_it_records_no_answer_twice(tmp_path: Path) -> None:
    vendor = Vendor(ended=True)
    visit(tmp_path, vendor)
    before = (tmp_path / "batches.jsonl").read_bytes()
    visit(tmp_path, vendor)
    answered = (tmp_path / "journal.jsonl").read_bytes()
    (tmp_path / "batches.jsonl").write_bytes(before)
    visit(tmp_path, vendor)
    assert (tmp_path / "journal.jsonl").read_bytes() == answered
    assert len(vendor.asked) == 5


def test_what_failed_waits_for_the_next_start_and_what_was_left_out_is_sent_again(tmp_path: Path) -> None:
    vendor = Vendor(refuses="a_1", loses="a_2")
    visit(tmp_path, vendor)
    vendor.ended = True
    run, state = visit(tmp_path, vendor)
    assert sorted(state.failures) == ["a_1"]
    assert run.waiting == {"a_2"}
    vendor.refuses = vendor.loses = ""
    run, state = visit(tmp_path, vendor)
    assert sorted(state.answers) == ["a_0", "a_2", "a_3", "a_4"]
    assert run.waiting == {"a_1"}
    _, state = visit(tmp_path, vendor)
    assert (len(state.answers), state.failures) == (5, {})


def test_what_cannot_be_sent_fails_alone(tmp_path: Path) -> None:
    vendor = Vendor(too_large="a_3")
    run, state = visit(tmp_path, vendor)
    assert len(run.waiting) == 4
    assert (state.failures["a_3"].stage, state.failures["a_3"].reason) == ("prompt", "larger than 20 MB")
