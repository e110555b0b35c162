from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from microg_bench.dataset.load import load
from microg_bench.metrics import METRICS, score
from microg_bench.metrics.tokenize import find_java
from microg_bench.options import ScoringOptions
from microg_bench.records import Request, TaskName
from microg_bench.scorecard import Abstention
from microg_bench.scoring.evaluate import AnswerSet, Evaluation, evaluate_sets, slice_rows, task_metrics
from microg_bench.scoring.intervals import Clusters, interval, resample, with_sample
from microg_bench.tasks import TASKS, Item, items_of

METRIC_NAMES = ("CIDEr", "BLEU-4", "ROUGE-L")
OPTIONS = ScoringOptions(metrics=METRIC_NAMES)
ROUGE = ScoringOptions(metrics=("ROUGE-L",))


def evaluate(
    task: TaskName, items: Sequence[Item], answers: Mapping[str, str], options: ScoringOptions = OPTIONS
) -> Evaluation:
    return evaluate_sets([AnswerSet(task, items, answers)], options)[0]


@pytest.fixture(scope="module")
def items() -> tuple[Item, ...]:
    return items_of(TASKS["vqa"], load("sample").clips)


@pytest.fixture(scope="module")
def measured(items: tuple[Item, ...]) -> Evaluation:
    answers = {item.request.id: item.reference if k % 3 else "A lamp post." for k, item in enumerate(items)}
    return evaluate("vqa", items, answers)


def test_either_name_of_the_sentence_metric_means_the_tasks_own() -> None:
    assert task_metrics("vqa", ("S-BERT", "CIDEr", "S-VQA")) == ("S-VQA", "CIDEr")
    assert task_metrics("caption", ("S-VQA",)) == ("S-BERT",)
    assert task_metrics("caption", ()) == TASKS["caption"].metrics


def test_an_interval_holds_its_score(measured: Evaluation) -> None:
    for entry in measured.entries().values():
        assert entry.value is not None
        assert entry.interval is not None
        assert entry.interval[0] < entry.value < entry.interval[1]


def test_an_interval_is_made_as_is_told_of_it(measured: Evaluation) -> None:
    told = measured.interval_entry()
    assert told is not None
    owners = Clusters.of([item.request.source for item in measured.items])
    weights = with_sample(resample(told.cluster_count, told.resamples, told.seed))
    for name, entry in measured.entries().items():
        statistics = measured.scores[name].statistics
        assert entry.interval == interval(METRICS[name], statistics, owners, weights)


def test_intervals_over_sources_and_over_clips_differ(items: tuple[Item, ...], measured: Evaluation) -> None:
    by_clip = evaluate("vqa", items, measured.answers, ScoringOptions(metrics=METRIC_NAMES, clusters="clip"))
    assert measured.interval_entry() is not None
    assert measured.interval_entry().cluster_count == 7  # type: ignore[union-attr]
    assert by_clip.interval_entry().cluster_count == 14  # type: ignore[union-attr]
    assert by_clip.entries()["CIDEr"].value == measured.entries()["CIDEr"].value
    assert by_clip.entries()["CIDEr"].interval != measured.entries()["CIDEr"].interval


def test_the_slices_of_a_kind_hold_every_item_once(items: tuple[Item, ...], measured: Evaluation) -> None:
    for labels in measured.slices().values():
        assert sum(entry.items for entry in labels.values()) == len(items)
        mean = sum(entry.items * entry.scores["ROUGE-L"] for entry in labels.values()) / len(items)
        assert mean == pytest.approx(measured.scores["ROUGE-L"].value)


def test_a_slice_scores_as_its_texts_alone_would(items: tuple[Item, ...], measured: Evaluation) -> None:
    """BLEU knows nothing of the other items, so scoring the slice's texts afresh must agree."""
    unanswerable = [item for item in items if item.reference == "Not mentioned."]
    alone = score(
        [measured.answers[item.request.id] for item in unanswerable],
        [item.reference for item in unanswerable],
        ("BLEU-4",),
    )["BLEU-4"]
    found = measured.slices()["answerable"]["unanswerable"]
    assert found.items == len(unanswerable)
    assert found.scores["BLEU-4"] == pytest.approx(alone.value)  # type: ignore[union-attr]


def test_the_scores_of_slices_are_those_that_slices_have(measured: Evaluation) -> None:
    assert measured.slice_scores() == {
        kind: {label: one.scores for label, one in labels.items()}
        for kind, labels in measured.slices().items()
    }


def test_only_answered_items_are_scored(items: tuple[Item, ...]) -> None:
    found = evaluate("vqa", items, {items[3].request.id: items[3].reference}, ROUGE)
    assert [item.request.id for item in found.items] == [items[3].request.id]
    assert found.entries()["ROUGE-L"].value == pytest.approx(100)
    assert found.entries()["ROUGE-L"].interval is None, "one source video gives no interval"


def test_without_answers_every_metric_is_unavailable(items: tuple[Item, ...]) -> None:
    found = evaluate("vqa", items, {})
    assert {entry.unavailable for entry in found.entries().values()} == {"no item was answered"}
    assert found.slices() == {}
    assert found.interval_entry() is None


def test_statistics_aggregate_to_the_score(measured: Evaluation) -> None:
    assert measured.statistics().ids == tuple(item.request.id for item in measured.items)
    for name, statistics in measured.statistics().metrics.items():
        assert METRICS[name].aggregate(np.asarray(statistics)) == pytest.approx(measured.scores[name].value)


def test_several_sets_score_as_each_does_alone(items: tuple[Item, ...], measured: Evaluation) -> None:
    captions = items_of(TASKS["caption"], load("sample").clips)
    sets = [
        AnswerSet("vqa", items, measured.answers),
        AnswerSet("caption", captions, {}),
        AnswerSet("caption", captions, {item.request.id: "The crew floats." for item in captions[:5]}),
    ]
    together = evaluate_sets(sets, OPTIONS)
    assert [(one.task, len(one.items)) for one in together] == [
        ("vqa", len(items)),
        ("caption", 0),
        ("caption", 5),
    ]
    for one, evaluation in zip(sets, together, strict=True):
        alone = evaluate(one.task, one.items, one.answers)
        assert evaluation.entries() == alone.entries()
        assert evaluation.slices() == alone.slices()


def test_several_sets_start_java_once(
    items: tuple[Item, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tokeniser is run once for all sets, however many they are."""
    pytest.importorskip("pycocoevalcap", reason="its jar tokenises under the protocol coco")
    starts, java = tmp_path / "starts", tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f'#!/bin/sh\necho started >> "{starts}"\nexec "{find_java()}" "$@"\n')
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    answered = AnswerSet("vqa", items, {item.request.id: "Two." for item in items})
    coco = ScoringOptions(metrics=("ROUGE-L",), protocol="coco")
    evaluations = evaluate_sets([answered, answered], coco)
    assert all(one.scores["ROUGE-L"].value > 0 for one in evaluations)
    assert starts.read_text() == "started\n"


def item(number: int, question: str | None, reference: str, source: str = "a") -> Item:
    task: TaskName = "caption" if question is None else "vqa"
    return Item(
        Request(id=str(number), task=task, video_id=f"{source}_{number}", source=source, question=question),
        reference,
    )


def rows(items: Sequence[Item]) -> dict[tuple[str, str], list[int]]:
    return {key: list(map(int, found)) for key, found in slice_rows(items).items()}


def test_questions_are_sliced_three_ways_and_captions_by_source() -> None:
    items = [
        item(0, "Who floats?", "Ann."),
        item(1, "what is it?", "Not mentioned", "b"),
        item(2, "Is it red?", "Yes."),
        item(3, "", "Not mentioned."),
    ]
    assert rows(items) == {
        ("answerable", "answerable"): [0, 2],
        ("answerable", "unanswerable"): [1, 3],
        ("question_word", "other"): [2, 3],
        ("question_word", "what"): [1],
        ("question_word", "who"): [0],
        ("source", "a"): [0, 2, 3],
        ("source", "b"): [1],
    }
    assert list(rows(items)) == sorted(rows(items))
    captions = [item(0, None, "x"), item(1, None, "y", "b")]
    assert rows(captions) == {("source", "a"): [0], ("source", "b"): [1]}


def test_the_real_questions_fall_into_the_published_slices(shared: Path) -> None:
    dataset = load(str(shared / "data" / "microg4m" / "vqa_and_captioning.json"))
    found = slice_rows(items_of(TASKS["vqa"], dataset.clips))
    words = ("what", "who", "how", "where", "why", "which")
    assert {word: len(found["question_word", word]) for word in words} == {
        "what": 4988,
        "who": 798,
        "how": 784,
        "where": 427,
        "why": 230,
        "which": 157,
    }
    assert len(found["answerable", "unanswerable"]) == 752
    assert sum(kind == "source" for kind, _ in found) == 18


def abstention(items: Sequence[Item], answers: Mapping[str, str]) -> Abstention | None:
    task: TaskName = items[0].request.task
    return evaluate(task, items, answers, ROUGE).abstention()


def test_abstention_counts_both_kinds() -> None:
    items = [
        item(0, "Q", "Not mentioned."),
        item(1, "Q", "Not mentioned."),
        item(2, "Q", "Ann."),
        item(3, "Q", "Red."),
    ]
    found = abstention(items, {"0": "Not mentioned", "1": "Ann", "2": "Not mentioned.", "3": "x"})
    assert found is not None
    assert (found.unanswerable, found.answerable) == (2, 2)
    assert (found.rate_on_unanswerable, found.rate_on_answerable) == (0.5, 0.5)
    only = abstention(items[2:], {"2": "x", "3": "y"})
    assert only is not None
    assert (only.unanswerable, only.answerable) == (0, 2)
    assert (only.rate_on_unanswerable, only.rate_on_answerable) == (None, 0.0)
    assert abstention([item(0, None, "Not mentioned.")], {"0": "Not mentioned."}) is None


def test_abstention_has_precision_recall_and_f1() -> None:
    generator = np.random.default_rng(0)
    truth, said = generator.random(120) < 0.3, generator.random(120) < 0.4
    items = [item(k, "Q", "Not mentioned." if one else "Ann.", f"s{k % 9}") for k, one in enumerate(truth)]
    answers = {str(k): "Not mentioned." if one else "Ann." for k, one in enumerate(said)}
    found = abstention(items, answers)
    assert found is not None and found.precision and found.recall and found.F1
    both = (truth & said).sum()
    precision, recall = both / said.sum(), both / truth.sum()
    assert (found.precision.value, found.recall.value) == (precision, recall)
    assert found.F1.value == pytest.approx(2 * precision * recall / (precision + recall))
    assert found.recall.value == found.rate_on_unanswerable
    assert all(one.interval for one in (found.precision, found.recall, found.F1))
    never = abstention(items, dict.fromkeys(answers, "Ann."))
    assert never is not None and never.recall and never.F1
    assert (never.precision, never.recall.value, never.F1.value) == (None, 0, 0)
    assert never.confidence is None


def test_confidence_is_told_of_the_answers_whose_probability_is_known() -> None:
    items = [item(k, "Q", "A red pen floats.", f"s{k % 5}") for k in range(20)]
    answers = {str(k): "A red pen floats." if k % 2 else "Nobody." for k in range(20)}
    known = {str(k): -0.01 if k % 2 else -3.0 for k in range(15)}
    asked = AnswerSet("vqa", items, answers, known)
    (scored,) = evaluate_sets([asked], ROUGE)
    found = scored.abstention()
    assert found is not None and found.confidence is not None
    assert found.confidence.items == 15
    assert found.confidence.right.value == pytest.approx(7 / 15)
    assert found.confidence.calibration_error.value == pytest.approx(
        (7 * (1 - np.exp(-0.01)) + 8 * np.exp(-3.0)) / 15, abs=0.03
    )
    (without,) = evaluate_sets([asked], ScoringOptions(metrics=("CIDEr",)))
    told = without.abstention()
    assert told is not None and told.confidence is None
