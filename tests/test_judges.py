"""`microg_bench.judge`: runs judged by a model by rules, through the real client of a server on loopback."""

import json
from pathlib import Path

import pytest

import microg_bench as mb
from microg_bench.annotation.judgement import read_judgement
from microg_bench.errors import UsageError
from microg_bench.judges import judges_of, read_runs
from microg_bench.prompts import PROMPTS
from microg_bench.runs.budget import CONFIRM_ABOVE
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


def test_words_of_ones_own_judge_the_runs_that_they_are_for(server: FaultServer, tmp_path: Path) -> None:
    judged_runs(tmp_path)
    server.says = by_rules
    own = tmp_path / "own.toml"
    shipped = (PROMPTS / "judge" / "short-answer.toml").read_text()
    own.write_text(shipped.replace("You rate answers", "You are to rate answers"))
    found = mb.judge(tmp_path, rubric=own, model="server:m", url=server.url, progress=None)
    assert list(found) == [tmp_path / "blind/vqa", tmp_path / "constant/vqa"]
    assert server.bodies and all("You are to rate answers" in json.dumps(body) for body in server.bodies)
    assert repr(found[tmp_path / "blind/vqa"]).startswith("JudgedRun(")
    with pytest.raises(UsageError, match="one run at least"):
        mb.judge(rubric="short-answer", model="server:m", url=server.url)


def test_all_runs_together_are_confirmed_where_they_cost_much(server: FaultServer, tmp_path: Path) -> None:
    judged_runs(tmp_path)
    server.says = by_rules

    def priced(dollars: float) -> dict[str, str]:
        file = tmp_path / f"{dollars}.toml"
        file.write_text(f'[server.m]\ninput = {dollars}\noutput = {dollars}\ndate = "2026-01-01"\n')
        return {"url": server.url, "prices": str(file)}

    judges = judges_of(read_runs([tmp_path]), "short-answer", "server:m", priced(1.0))
    each = [sum(step.dollars for step in judge.estimates()) for judge in judges]
    given = {**priced(0.9 * CONFIRM_ABOVE / max(each)), "model": "server:m", "progress": None}
    with pytest.raises(UsageError, match="all of this may cost"):
        mb.judge(tmp_path, rubric="short-answer", **given)
    assert not server.bodies, "nothing was asked"
    assert len(mb.judge(tmp_path / "blind", rubric="short-answer", **given)) == 1
    assert len(mb.judge(tmp_path, rubric="short-answer", **given)) == 2, "what is answered costs no more"
    again = mb.judge(tmp_path, rubric="caption-facts", **given, yes=True)
    assert all(one.judgement for one in again.values())


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
