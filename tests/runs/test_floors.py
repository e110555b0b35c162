import json
from pathlib import Path

import pytest

from microg_bench.dataset import Dataset, load
from microg_bench.runs import floors
from microg_bench.runs.evaluate import Evaluation, Scoring, evaluate
from microg_bench.runs.scorecard import FloorEntry
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


def entries(dataset: Dataset, measured: Evaluation) -> dict[str, FloorEntry]:
    return floors.floor_entries([floors.Ground(dataset, measured)], SCORING)[0]


def test_the_constant_floor_scores_as_its_text_does(dataset: Dataset, measured: Evaluation) -> None:
    found = entries(dataset, measured)
    assert list(found) == ["constant", "blind"]
    assert found["constant"].scores == {name: one.value for name, one in measured.scores.items()}
    assert found["blind"].scores != found["constant"].scores


def test_floors_are_scored_once_and_kept(
    dataset: Dataset, measured: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = entries(dataset, measured)
    assert len(list((tmp_path / "cache").rglob("*.json"))) == 2
    monkeypatch.setattr(floors, "evaluate_all", None)
    assert entries(dataset, measured) == first


@pytest.mark.parametrize("content", ["", "{", "[]", '{"CIDEr": 1.0}', '{"CIDEr": "1", "ROUGE-L": 2.0}'])
def test_a_damaged_cache_file_is_made_again(
    dataset: Dataset, measured: Evaluation, tmp_path: Path, content: str
) -> None:
    first = entries(dataset, measured)
    files = list((tmp_path / "cache").rglob("*.json"))
    for file in files:
        file.write_text(content)
    assert entries(dataset, measured) == first
    assert all(set(json.loads(file.read_text())) == {"CIDEr", "ROUGE-L"} for file in files)


def test_a_cache_that_cannot_be_written_stops_nothing(
    dataset: Dataset, measured: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert entries(dataset, measured)["blind"].scores["CIDEr"] > 0


def test_other_items_have_floors_of_their_own(dataset: Dataset, measured: Evaluation) -> None:
    few = evaluate("vqa", measured.items[:12], measured.answers, SCORING)
    all_items = entries(dataset, measured)
    assert entries(dataset, few) != all_items


def test_floors_of_several_grounds_are_those_of_each_alone(dataset: Dataset, measured: Evaluation) -> None:
    items = items_of(TASKS["caption"], dataset.clips)
    captions = evaluate(
        "caption", items, {item.request.id: "A crew member floats." for item in items}, SCORING
    )
    rouge = evaluate("caption", items, captions.answers, Scoring(("ROUGE-L",)))
    nothing = evaluate("caption", items, {}, SCORING)
    grounds = [floors.Ground(dataset, one) for one in (captions, measured, rouge, captions, nothing)]
    together = floors.floor_entries(grounds, SCORING)
    assert [len(one) for one in together] == [2, 2, 2, 2, 0]
    assert together[0] == together[3]
    assert list(together[2]["blind"].scores) == ["ROUGE-L"]
    for file in floors._cache_folder().iterdir():
        file.unlink()
    assert [floors.floor_entries([ground], SCORING)[0] for ground in grounds] == together
