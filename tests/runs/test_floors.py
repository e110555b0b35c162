import json
from pathlib import Path

import pytest

from microg_bench.dataset import Dataset, load
from microg_bench.runs import floors
from microg_bench.runs.evaluate import Evaluation, Scoring, evaluate
from microg_bench.tasks import TASKS, items_of

SCORING = Scoring(("CIDEr", "ROUGE-L"))


@pytest.fixture
def dataset() -> Dataset:
    return load("sample")


@pytest.fixture
def measured(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evaluation:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    items = items_of(TASKS["vqa"], dataset.clips)
    return evaluate("vqa", items, {item.request.id: "Not mentioned." for item in items}, SCORING)


def test_the_constant_floor_scores_as_its_text_does(dataset: Dataset, measured: Evaluation) -> None:
    found = floors.floor_entries("vqa", dataset, measured, SCORING)
    assert list(found) == ["constant", "blind"]
    assert found["constant"].scores == {name: one.value for name, one in measured.scores.items()}
    assert found["blind"].scores != found["constant"].scores


def test_floors_are_scored_once_and_kept(
    dataset: Dataset, measured: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = floors.floor_entries("vqa", dataset, measured, SCORING)
    assert len(list((tmp_path / "cache").rglob("*.json"))) == 2
    monkeypatch.setattr(floors, "evaluate", None)
    assert floors.floor_entries("vqa", dataset, measured, SCORING) == first


@pytest.mark.parametrize("content", ["", "{", "[]", '{"CIDEr": 1.0}', '{"CIDEr": "1", "ROUGE-L": 2.0}'])
def test_a_damaged_cache_file_is_made_again(
    dataset: Dataset, measured: Evaluation, tmp_path: Path, content: str
) -> None:
    first = floors.floor_entries("vqa", dataset, measured, SCORING)
    files = list((tmp_path / "cache").rglob("*.json"))
    for file in files:
        file.write_text(content)
    assert floors.floor_entries("vqa", dataset, measured, SCORING) == first
    assert all(set(json.loads(file.read_text())) == {"CIDEr", "ROUGE-L"} for file in files)


def test_a_cache_that_cannot_be_written_stops_nothing(
    dataset: Dataset, measured: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert floors.floor_entries("vqa", dataset, measured, SCORING)["blind"].scores["CIDEr"] > 0


def test_other_items_have_floors_of_their_own(dataset: Dataset, measured: Evaluation) -> None:
    few = evaluate("vqa", measured.items[:12], measured.answers, SCORING)
    all_items = floors.floor_entries("vqa", dataset, measured, SCORING)
    assert floors.floor_entries("vqa", dataset, few, SCORING) != all_items
