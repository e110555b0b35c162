"""Boards as the page's scripts read them."""

import json
from itertools import combinations
from pathlib import Path

import pytest

from microg_bench.dataset.load import load
from microg_bench.pages import boards
from microg_bench.pages.entries import Entry, read_entries
from microg_bench.progress import Progress
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import ScoreEntry
from microg_bench.submissions.pack import pack
from microg_bench.tables.gather import gather
from microg_bench.tables.rows import OwnRow
from tests.pages.conftest import read_runs


@pytest.fixture(scope="module")
def entries(runs: Path) -> list[Entry]:
    """The rows of question answering."""
    return read_entries([run for run in read_runs(runs) if run.settings.task == "vqa"], None)[0]


def test_all_pairs_of_rows_are_compared_metric_by_metric(entries: list[Entry]) -> None:
    found = boards.comparisons(entries, Progress())
    pages = {entry.run.path: f"page{place}" for place, entry in enumerate(entries)}
    pairs = boards.pairs_of(found, pages)
    assert list(pairs) == ["CIDEr", "BLEU-4", "ROUGE-L"]
    for own in pairs.values():
        assert own["pages"] == list(pages.values())
        assert [tuple(line[:2]) for line in own["lines"]] == list(combinations(range(len(entries)), 2))
    kept = boards.pairs_of(found, dict(list(pages.items())[:2]))
    assert [len(own["lines"]) for own in kept.values()] == [1, 1, 1]


def test_submissions_that_are_scored_again_are_compared_as_runs_are(runs: Path, tmp_path: Path) -> None:
    for name in ("blind", "constant"):
        pack(RunRecord.read(runs / name / "vqa"), tmp_path)
    own = [RunRecord.read(runs / name / "vqa") for name in ("blind", "constant")]
    unverified = read_entries(gather([], [tmp_path]).runs, None)[0]
    assert boards.comparisons(unverified, Progress()) == []
    again = gather([], [tmp_path], load(str(runs.parent / "refs.json"))).runs
    found = boards.comparisons(read_entries(again, None)[0], Progress())
    assert [one.metric for one in found] == ["CIDEr", "BLEU-4", "ROUGE-L"]
    expected = boards.comparisons(read_entries(own, None)[0], Progress())
    assert [one.difference for one in found] == [one.difference for one in expected]


def test_of_too_many_rows_the_highest_are_compared(
    entries: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boards, "MOST_COMPARED", 2)
    found = boards.comparisons(entries, Progress())
    titles = {one.metric: {run.settings.title for run in (one.first, one.second)} for one in found}
    assert len(found) == 3
    assert set(map(frozenset, titles.values())) == {frozenset({"Beta", "Alpha"})}


def test_a_missing_score_says_why_and_no_zero_has_a_sign() -> None:
    scores = {"a": ScoreEntry(unavailable="no Java\nfound"), "b": ScoreEntry(value=-0.00001)}
    row = boards.row_json(OwnRow("", ("M",), "open", scores), ["a", "b", "CIDEr", "test mAP"])
    assert row["missing"][:2] == ["no Java", ""]
    assert row["missing"][2].endswith("microg-bench score RUN --metrics CIDEr")
    assert "RUN" not in row["missing"][3] and row["missing"][3].endswith("test mAP")
    assert json.dumps(row["values"]) == "[null, 0.0, null, null]"
