"""Repeats: runs that differ in the seed alone, of one decoding, and what their scores vary by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import microg_bench as mb
from microg_bench import variants
from microg_bench.cli.repeat import app
from microg_bench.errors import DataError, UsageError
from microg_bench.repeats import Repeated
from microg_bench.scoring.repeats import repeats_report
from tests.helpers.datasets import make_dataset
from tests.helpers.oriented import answered_by, decoded_clips
from tests.helpers.sampling import Refusing, Sampling
from tests.helpers.stand_in import write_adapter

pytestmark = pytest.mark.slow
IDS = [f"{source}_{k:03}" for source in "abcdef" for k in range(2)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set", IDS)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(variants, "configure", answered_by(Sampling))
    return str(write_adapter(tmp_path))


def ask(model: str, data: Path, run: Path, **options: Any) -> Repeated:
    given = {"tasks": "vqa", "metrics": "ROUGE-L", "progress": None, "temperature": 0.7, **options}
    return mb.repeat(model, data=data, run=run, **given)


def test_repeats_differ_by_their_seed_and_share_one_decoding(
    model: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decodings = decoded_clips(monkeypatch)
    found = ask(model, data, tmp_path / "r", repeats=3, pictures=False)
    assert sorted(decodings) == IDS
    records = [one.records["vqa"] for one in found.results.values()]
    assert [run.settings.generation.seed for run in records] == [0, 1, 2]
    (task,) = found.report.tasks
    assert (found.report.repeats, task.items) == (3, 2 * len(IDS))
    texts = [{name: one.answer for name, one in run.answers.items()} for run in records]
    same = [len({own[name] for own in texts}) == 1 for name in texts[0]]
    assert task.same == sum(same) / len(same)
    assert 0.5 <= task.same < 1
    scores = [run.scorecard.scores["ROUGE-L"].value for run in records]
    score = task.metrics["ROUGE-L"]
    assert score.scores == pytest.approx(scores)
    assert score.mean == pytest.approx(np.mean(score.scores))
    assert score.within == pytest.approx(np.std(score.scores, ddof=1))
    assert score.interval is not None
    assert score.interval[0] < score.mean < score.interval[1]


def test_what_is_written_is_what_was_found_and_more_repeats_resume(
    model: str, data: Path, tmp_path: Path
) -> None:
    first = ask(model, data, tmp_path / "r", repeats=2)
    content = json.loads((tmp_path / "r" / "repeats.json").read_text())
    assert content == first.report.model_dump(mode="json", by_alias=True)
    assert content["schema"] == "microg-bench/repeats/1"
    assert (tmp_path / "r" / "repeats.md").read_text() == first.table()
    assert "| ROUGE-L |" in first.table()
    journal = tmp_path / "r" / "seed-0" / "vqa" / "journal.jsonl"
    before = journal.read_bytes()
    second = ask(model, data, tmp_path / "r", repeats=4)
    assert journal.read_bytes() == before
    assert (
        second.report.tasks[0].metrics["ROUGE-L"].scores[:2]
        == first.report.tasks[0].metrics["ROUGE-L"].scores
    )


def test_runs_that_differ_in_more_than_the_seed_are_no_repeats(data: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"tasks": "vqa", "metrics": "ROUGE-L", "progress": None}
    runs = [
        dict(mb.evaluate("blind", data, run=tmp_path / str(most), max_tokens=most, **given).records)
        for most in (10, 20)
    ]
    with pytest.raises(DataError, match="is no repeat: generation"):
        repeats_report(runs)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"repeats": 1}, "--repeats: give 2 to 100"),
        ({"repeats": 101}, "--repeats: give 2 to 100"),
        ({"model": "blind"}, "--model: is a baseline, which does not sample"),
        ({"temperature": None}, "--temperature: repeats of greedy decoding"),
        ({"tasks": "har"}, "give caption, vqa or both"),
        ({"seed": 3}, "--seed: does not apply"),
        ({"transforms": "mirror"}, "--transforms: does not apply"),
    ],
)
def test_what_cannot_be_repeated_is_refused(
    model: str, data: Path, tmp_path: Path, options: Any, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        ask(**{"model": model, "data": data, "run": tmp_path / "r", **options})
    assert not (tmp_path / "r").exists()


def test_requests_without_an_answer_are_told_and_no_score_is_compared(
    model: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variants, "configure", answered_by(Refusing))
    found = ask(model, data, tmp_path / "r", repeats=2)
    (task,) = found.report.tasks
    assert (task.asked, task.answered, task.items) == (24, (22, 22), 22), "the same two fail in each"
    assert task.metrics == {}
    (line,) = found.report.warnings
    assert "no score could be compared" in line
    assert "2 of 24 requests: run the same command again" in line
    assert line in found.table()
    assert "22 of 24 requests were answered in each of 2 repeats" in found.table()
    assert line in found.page.read_text()


def test_the_command_prints_the_table_and_a_dry_run_asks_nothing(
    model: str,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["--model", model, "--data", str(data), "--metrics", "ROUGE-L", "--temperature", "1"]
    given += ["--repeats", "2"]
    app([*given, "--dry-run"], standalone_mode=False)
    rows = [line.split()[:2] for line in capsys.readouterr().out.splitlines() if " requests, cost: " in line]
    each = str(3 * len(IDS))
    assert rows == [["seed-0", each], ["seed-1", each], ["together", str(6 * len(IDS))]]
    assert not (tmp_path / "runs").exists()
    app(given, standalone_mode=False)
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("-repeats")
    assert (folder / "repeats.md").read_text() in capsys.readouterr().out
