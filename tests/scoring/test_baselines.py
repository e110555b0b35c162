import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from microg_bench.dataset.clip_labels import read_clip_labels
from microg_bench.dataset.load import Dataset, load
from microg_bench.options import ScoringOptions
from microg_bench.records import TaskName
from microg_bench.scorecard import BaselineEntry
from microg_bench.scoring import baselines
from microg_bench.scoring.evaluate import AnswerSet, Evaluation, evaluate_sets
from microg_bench.storage import cache_folder
from microg_bench.tasks import TASKS, Item, items_of

SCORING = ScoringOptions(metrics=("CIDEr", "ROUGE-L"))


def evaluate(
    task: TaskName, items: Sequence[Item], answers: Mapping[str, str], options: ScoringOptions = SCORING
) -> Evaluation:
    return evaluate_sets([AnswerSet(task, items, answers)], options)[0]


@pytest.fixture
def dataset() -> Dataset:
    return load("sample")


@pytest.fixture
def measured(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evaluation:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    items = items_of(TASKS["vqa"], dataset.clips)
    return evaluate("vqa", items, {item.request.id: "Not mentioned." for item in items})


def entries(dataset: Dataset, measured: Evaluation) -> dict[str, BaselineEntry]:
    return baselines.baseline_entries([baselines.Measured(dataset, measured)], SCORING)[0]


def test_the_constant_baseline_scores_as_its_text_does(dataset: Dataset, measured: Evaluation) -> None:
    found = entries(dataset, measured)
    assert list(found) == ["constant", "blind"]
    assert found["constant"].scores == {name: one.value for name, one in measured.scores.items()}
    assert found["blind"].scores != found["constant"].scores


def test_baselines_are_scored_once_and_kept(
    dataset: Dataset, measured: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = entries(dataset, measured)
    assert len(list((tmp_path / "cache").rglob("*.json"))) == 2
    monkeypatch.setattr(baselines, "evaluate_sets", None)
    assert entries(dataset, measured) == first


def test_within_each_slice_the_constant_baseline_scores_as_its_text_does(
    dataset: Dataset, measured: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("microg_bench.scoring.evaluate.SMALLEST", 5)
    assert dataset.actions
    for known in (None, read_clip_labels(dataset.actions)):
        found = baselines.baseline_entries([baselines.Measured(dataset, measured, known)], SCORING)[0]
        own = measured.slices(known)
        assert ("action" in own) == (known is not None)
        assert found["constant"].slices == {
            kind: {label: one.scores for label, one in labels.items()} for kind, labels in own.items()
        }
        told, scores = found["blind"].slices["answerable"], found["blind"].scores
        assert told["answerable"]["CIDEr"] != told["unanswerable"]["CIDEr"]
        counts = {label: one.items for label, one in own["answerable"].items()}
        mean = sum(counts[label] * told[label]["ROUGE-L"] for label in counts) / len(measured.items)
        assert mean == pytest.approx(scores["ROUGE-L"], abs=1e-9)


KEPT = '{"title": "x", "scores": {"CIDEr": %s, "ROUGE-L": 2.0}}'


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"title": "x", "scores": {"CIDEr": 1.0}}', KEPT % '"x"', KEPT % "NaN"]
)
def test_a_damaged_cache_file_is_made_again(
    dataset: Dataset, measured: Evaluation, tmp_path: Path, content: str
) -> None:
    first = entries(dataset, measured)
    files = list((tmp_path / "cache").rglob("*.json"))
    for file in files:
        file.write_text(content)
    assert entries(dataset, measured) == first
    assert all(set(json.loads(file.read_text())["scores"]) == {"CIDEr", "ROUGE-L"} for file in files)


def test_a_cache_that_cannot_be_written_stops_nothing(
    dataset: Dataset, measured: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert entries(dataset, measured)["blind"].scores["CIDEr"] > 0


def test_other_items_have_baselines_of_their_own(dataset: Dataset, measured: Evaluation) -> None:
    few = evaluate("vqa", measured.items[:12], measured.answers)
    all_items = entries(dataset, measured)
    assert entries(dataset, few) != all_items


def test_baselines_of_several_runs_are_those_of_each_alone(dataset: Dataset, measured: Evaluation) -> None:
    items = items_of(TASKS["caption"], dataset.clips)
    captions = evaluate("caption", items, {item.request.id: "A crew member floats." for item in items})
    rouge = evaluate("caption", items, captions.answers, ScoringOptions(metrics=("ROUGE-L",)))
    nothing = evaluate("caption", items, {})
    several = [baselines.Measured(dataset, one) for one in (captions, measured, rouge, captions, nothing)]
    together = baselines.baseline_entries(several, SCORING)
    assert [len(one) for one in together] == [2, 2, 2, 2, 0]
    assert together[0] == together[3]
    assert list(together[2]["blind"].scores) == ["ROUGE-L"]
    for file in cache_folder("baselines").iterdir():
        file.unlink()
    assert [baselines.baseline_entries([one], SCORING)[0] for one in several] == together


def test_baselines_are_not_scored_where_that_takes_long(
    dataset: Dataset,
    measured: Evaluation,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # The questions are weighed once without each source video, and fewer than COMPARED are compared.
    weighed = len(measured.items) * len({clip.source for clip in dataset.clips})
    monkeypatch.setattr(baselines, "MOST_TEXTS", weighed)
    assert set(entries(dataset, measured)) == {"constant", "blind"}
    assert not caplog.records
    monkeypatch.setattr(baselines, "MOST_TEXTS", weighed - 1)
    assert entries(dataset, measured) == {}
    assert f"{len(measured.items)} items" in caplog.text


@pytest.mark.parametrize("task", ["caption", "vqa"])
def test_texts_are_weighed_for_each_source_video_and_for_so_many_items(
    dataset: Dataset, measured: Evaluation, monkeypatch: pytest.MonkeyPatch, task: TaskName
) -> None:
    items = items_of(TASKS[task], dataset.clips)
    own = evaluate(task, items, {item.request.id: "A man." for item in items})
    monkeypatch.setattr(baselines, "COMPARED", len(items) // 2)
    weighed = len(items) * (len({clip.source for clip in dataset.clips}) + 2)
    monkeypatch.setattr(baselines, "MOST_TEXTS", weighed)
    assert set(entries(dataset, own)) == {"constant", "blind"}
    monkeypatch.setattr(baselines, "MOST_TEXTS", weighed - 1)
    assert entries(dataset, own) == {}
