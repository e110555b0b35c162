"""Runs are listed with how far they are, and removed whole or not at all."""

import json
from pathlib import Path

import pytest

from microg_bench.api import evaluate
from microg_bench.errors import RunError
from microg_bench.folders import remove_folder
from microg_bench.runs.agreement import TOGETHER, disagreement, told_starts
from microg_bench.runs.listing import list_runs, remove_run, summary
from microg_bench.runs.record import RUN_FILE, RunRecord

pytestmark = pytest.mark.slow


@pytest.fixture
def root(tmp_path: Path) -> Path:
    evaluate("blind", "sample", run=tmp_path / "runs/blind", metrics="ROUGE-L", progress=None)
    return tmp_path / "runs"


def test_a_scored_run_is_complete_and_has_its_scores(root: Path) -> None:
    found, errors = list_runs(root)
    assert not errors and [Path(one.folder).name for one in found] == ["caption", "vqa"]
    for one in found:
        card = json.loads((Path(one.folder) / "scorecard.json").read_text())
        assert one.state == "complete" and one.requests == one.answered == card["items"]
        assert one.scores == {"ROUGE-L": card["scores"]["ROUGE-L"]["value"]}
        assert one.started == one.last_started is not None


def test_a_run_without_a_scorecard_is_not_scored(root: Path) -> None:
    (root / "blind/vqa/scorecard.json").unlink()
    one = summary(RunRecord.read(root / "blind/vqa"))
    assert (one.state, one.answered, one.requests, one.scores) == ("not scored", 84, None, {})


def test_a_run_that_is_written_is_running_and_stays(root: Path) -> None:
    with RunRecord.reopen(root / "blind/vqa") as record:
        assert summary(record).state == "running"
        with pytest.raises(RunError, match="another process"):
            remove_run(root / "blind/vqa")
    assert (root / "blind/vqa" / RUN_FILE).is_file()


def test_a_damaged_run_is_named_and_the_rest_is_listed(root: Path) -> None:
    (root / "blind/vqa" / RUN_FILE).write_text("{")
    found, errors = list_runs(root)
    assert len(found) == 1 and len(errors) == 1 and "vqa" in str(errors[0])


def test_a_removed_run_leaves_the_others(root: Path) -> None:
    remove_run(root / "blind/vqa")
    assert sorted(one.name for one in (root / "blind").iterdir()) == ["caption"]
    remove_run(root / "blind/caption")
    assert list(root.iterdir()) == []


def test_other_files_beside_a_run_stay(root: Path) -> None:
    (root / "blind/notes.txt").write_text("mine")
    for task in ("caption", "vqa"):
        remove_run(root / "blind" / task)
    assert (root / "blind/notes.txt").read_text() == "mine"


def test_a_run_with_requests_in_a_batch_stays(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microg_bench.runs.listing.is_pending", lambda path: True)
    record = RunRecord.read(root / "blind/vqa")
    assert summary(record).state == "pending"
    with pytest.raises(RunError, match="batch"):
        remove_run(record.path)
    assert record.path.is_dir()


def test_a_folder_that_cannot_be_removed_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be removed"):
        remove_folder(tmp_path / "none")


def test_what_a_language_model_was_asked_is_listed_too(root: Path) -> None:
    run = root / "blind/vqa"
    content = json.loads((run / RUN_FILE).read_text())
    content["settings"]["task"] = "text"
    (run / RUN_FILE).write_text(json.dumps(content))
    (run / "scorecard.json").unlink()
    found, errors = list_runs(root)
    assert not errors and [one.task for one in found] == ["caption", "text"]
    remove_run(run)
    assert not run.exists()


def test_a_scorecard_of_other_answers_is_outdated(root: Path) -> None:
    run = root / "blind/vqa"
    (run / "journal.jsonl").write_bytes((run / "journal.jsonl").read_bytes()[:100])
    one = summary(RunRecord.read(run))
    assert (one.state, one.answered, one.requests) == ("outdated", 0, 84)
    assert f"microg-bench score {run}" in disagreement(RunRecord.read(run))
    assert not disagreement(RunRecord.read(root / "blind/caption"))


def test_usage_of_both_tasks_is_named_so(root: Path) -> None:
    for task, shared in (("caption", True), ("vqa", True), ("caption", False)):
        if not shared:
            remove_run(root / "blind/vqa")
        record = RunRecord.read(root / "blind" / task)
        record.starts[-1]["usage"] = RunRecord.read(record.path).starts[-1].get("usage") or {}
        [start] = told_starts(record)
        assert (TOGETHER in start) == (shared and bool(start.get(TOGETHER)))


def test_a_run_that_is_written_tells_how_much_it_asks(root: Path) -> None:
    (root / "blind/vqa/scorecard.json").unlink()
    with RunRecord.reopen(root / "blind/vqa") as record:
        assert summary(record).requests == 84
