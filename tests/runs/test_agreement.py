"""Whether journal, scorecard and statistics of a run belong together, and whose a usage is."""

from pathlib import Path

import pytest

from microg_bench.dataset.load import load
from microg_bench.records import Answer, Failure
from microg_bench.runs.agreement import TOGETHER, disagreement, shared_usage, told_starts, without_statistics
from microg_bench.runs.record import JOURNAL_FILE, STATISTICS_FILE, RunRecord
from tests.helpers.datasets import record, write_annotations
from tests.helpers.runs import open_run, score_by_rouge

CLIPS = ("a_001", "a_002", "b_001")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A scored run of captions: two answers, one failure."""
    records = [record(name, n) for n, name in enumerate(CLIPS)]
    dataset = load(write_annotations(tmp_path / "refs.json", records))
    with open_run(tmp_path / "run" / "caption", fingerprint=dataset.fingerprint) as one:
        one.add(*(Answer(id=name, text="a man", answer="a man") for name in CLIPS[:2]))
        one.add(Failure(id=CLIPS[2], stage="engine", reason="busy"))
    asked = RunRecord.read(tmp_path / "run" / "caption")
    score_by_rouge([asked], dataset)
    return asked.path


def test_a_scorecard_of_the_journal_agrees(run: Path) -> None:
    assert disagreement(RunRecord.read(run)) == ""


@pytest.mark.parametrize(
    ("kept", "held"), [((0, 1), "2 answers and 0 failures"), ((0, 2), "1 answer and 1 failure")]
)
def test_a_journal_that_lacks_a_line_disagrees(run: Path, kept: tuple[int, int], held: str) -> None:
    lines = (run / JOURNAL_FILE).read_text().splitlines(keepends=True)
    (run / JOURNAL_FILE).write_text("".join(lines[place] for place in kept))
    told = disagreement(RunRecord.read(run))
    assert held in told
    assert "2 and 1" in told


def test_statistics_that_are_missing_are_named(run: Path) -> None:
    assert without_statistics(RunRecord.read(run)) == ""
    (run / STATISTICS_FILE).unlink()
    assert STATISTICS_FILE in without_statistics(RunRecord.read(run))


def test_a_usage_is_shared_where_the_run_of_another_task_has_it_too(tmp_path: Path) -> None:
    together, alone = {"output_tokens": 5}, {"output_tokens": 7}
    starts = {
        "caption": [{"usage": together}, {"usage": alone}, {"usage": {}}, {"started": "now"}],
        "vqa": [{"usage": together}, {"usage": {}}],
    }
    for task, own in starts.items():
        with open_run(tmp_path / task, task=task) as one:
            one.add(Failure(id="a", stage="engine", reason="busy"))
            one.starts[:] = own
            one.note()
    caption, vqa = (RunRecord.read(tmp_path / task) for task in starts)
    assert shared_usage(caption) == [True, False, False, False]
    assert shared_usage(vqa) == [True, False]
    assert told_starts(caption)[:2] == [{TOGETHER: together}, {"usage": alone}]
    (vqa.path / "run.json").write_text("{")
    assert shared_usage(caption) == [False] * 4
