"""`microg_bench.judge`: runs judged by a model by rules, through the real client of a server on loopback."""

from pathlib import Path

import pytest

import microg_bench as mb
from microg_bench.annotation.judgement import read_judgement
from microg_bench.errors import UsageError
from tests.helpers.fault_server import FaultServer
from tests.helpers.judged import by_rules, judged_runs
from tests.helpers.runs import Notes

pytestmark = pytest.mark.slow


def started(notes: Notes) -> int:
    return sum("starting engine" in line for line in notes.notes)


def test_folders_of_runs_are_judged_with_one_engine(server: FaultServer, tmp_path: Path) -> None:
    judged_runs(tmp_path)
    server.says = by_rules
    notes = Notes()
    given = {"model": "server:m", "url": server.url, "progress": notes}
    found = mb.judge(tmp_path / "blind", tmp_path / "constant", rubric="caption-questions", **given)
    assert list(found) == [tmp_path / "blind/caption", tmp_path / "constant/caption"]
    assert [len(one.replies) for one in found.values()] == [2, 1], "what tells nothing is not rated"
    assert started(notes) == 1
    for one in found.values():
        assert one.judgement is not None and one.judgement.counts.judged == one.judgement.counts.asked > 0
        assert read_judgement(one.run, one.folder) == one.judgement

    again = Notes()
    same = mb.judge(tmp_path, rubric="caption-questions", **{**given, "progress": again})
    assert {run: one.judgement for run, one in same.items()} == {
        run: one.judgement for run, one in found.items()
    }
    assert not started(again), "what is answered is not asked again"


def test_an_engine_that_cannot_go_on_ends_all(server: FaultServer, tmp_path: Path) -> None:
    judged_runs(tmp_path)
    server.says = by_rules
    with pytest.raises(UsageError, match="rubric"):
        mb.judge(tmp_path, rubric="no-such-rubric", model="server:m", url=server.url, progress=None)
    server.script = lambda question, attempt: "401"
    with pytest.raises(mb.MicrogError):
        mb.judge(tmp_path, rubric="short-answer", model="server:m", url=server.url, progress=None)
    server.script = lambda question, attempt: ""
    found = mb.judge(tmp_path, rubric="short-answer", model="server:m", url=server.url, progress=None)
    assert all(one.judgement and not one.judgement.counts.not_asked for one in found.values())
