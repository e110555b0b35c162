from collections.abc import Sequence

import numpy as np
import pytest

from microg_bench.dataset import load
from microg_bench.errors import UsageError
from microg_bench.metrics import METRICS, score
from microg_bench.metrics.java import JavaRuns
from microg_bench.runs.evaluate import (
    Answered,
    Evaluation,
    Scoring,
    check_protocol,
    evaluate,
    evaluate_all,
    task_metrics,
)
from microg_bench.tasks import TASKS, Item, items_of

METRIC_NAMES = ("CIDEr", "BLEU-4", "ROUGE-L")


@pytest.fixture(scope="module")
def items() -> tuple[Item, ...]:
    return items_of(TASKS["vqa"], load("sample").clips)


@pytest.fixture(scope="module")
def measured(items: tuple[Item, ...]) -> Evaluation:
    answers = {item.request.id: item.reference if k % 3 else "A lamp post." for k, item in enumerate(items)}
    return evaluate("vqa", items, answers, Scoring(METRIC_NAMES))


def test_either_name_of_the_sentence_metric_means_the_tasks_own() -> None:
    assert task_metrics("vqa", ("S-BERT", "CIDEr", "S-VQA")) == ("S-VQA", "CIDEr")
    assert task_metrics("caption", ("S-VQA",)) == ("S-BERT",)
    assert task_metrics("caption", ()) == TASKS["caption"].metrics
    with pytest.raises(UsageError, match="did you mean CIDEr"):
        task_metrics("caption", ("Cider",))


def test_every_protocol_is_accepted_and_no_other() -> None:
    for protocol in ("paper", "coco", "coco-isolated"):
        check_protocol(protocol)
    with pytest.raises(UsageError, match="unknown protocol 'papr'"):
        check_protocol("papr")


def test_an_interval_holds_its_score(measured: Evaluation) -> None:
    for entry in measured.entries().values():
        assert entry.value is not None
        assert entry.interval is not None
        assert entry.interval[0] < entry.value < entry.interval[1]


def test_intervals_over_sources_and_over_clips_differ(items: tuple[Item, ...], measured: Evaluation) -> None:
    by_clip = evaluate("vqa", items, measured.answers, Scoring(METRIC_NAMES, clusters="clip"))
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
    absent = [item for item in items if item.reference == "Not mentioned."]
    alone = score(
        [measured.answers[item.request.id] for item in absent],
        [item.reference for item in absent],
        ("BLEU-4",),
    )["BLEU-4"]
    found = measured.slices()["answerable"]["absent"]
    assert found.items == len(absent)
    assert found.scores["BLEU-4"] == pytest.approx(alone.value)  # type: ignore[union-attr]


def test_only_answered_items_are_scored(items: tuple[Item, ...]) -> None:
    found = evaluate("vqa", items, {items[3].request.id: items[3].reference}, Scoring(("ROUGE-L",)))
    assert [item.request.id for item in found.items] == [items[3].request.id]
    assert found.entries()["ROUGE-L"].value == pytest.approx(100)
    assert found.entries()["ROUGE-L"].interval is None, "one source video gives no interval"


def test_without_answers_every_metric_is_unavailable(items: tuple[Item, ...]) -> None:
    found = evaluate("vqa", items, {}, Scoring(METRIC_NAMES))
    assert {entry.unavailable for entry in found.entries().values()} == {"no item was answered"}
    assert found.slices() == {}
    assert found.interval_entry() is None


def test_statistics_aggregate_to_the_score(measured: Evaluation) -> None:
    for name, statistics in measured.statistics().items():
        assert METRICS[name].aggregate(np.asarray(statistics)) == pytest.approx(measured.scores[name].value)


def test_several_sets_score_as_each_does_alone(items: tuple[Item, ...], measured: Evaluation) -> None:
    captions = items_of(TASKS["caption"], load("sample").clips)
    sets = [
        Answered("vqa", items, measured.answers),
        Answered("caption", captions, {}),
        Answered("caption", captions, {item.request.id: "The crew floats." for item in captions[:5]}),
    ]
    together = evaluate_all(sets, Scoring(METRIC_NAMES))
    assert [(one.task, len(one.items)) for one in together] == [
        ("vqa", len(items)),
        ("caption", 0),
        ("caption", 5),
    ]
    for one, evaluation in zip(sets, together, strict=True):
        alone = evaluate(one.task, one.items, one.answers, Scoring(METRIC_NAMES))
        assert evaluation.entries() == alone.entries()
        assert evaluation.slices() == alone.slices()


def test_several_sets_start_java_once(items: tuple[Item, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """The tokeniser is run once for all sets, however many they are."""
    asked = []
    ask = JavaRuns.ask

    def counted(self: JavaRuns, arguments: Sequence[str], lines: Sequence[str]) -> list[str]:
        asked.append(len(lines))
        return ask(self, arguments, lines)

    monkeypatch.setattr(JavaRuns, "ask", counted)
    answered = Answered("vqa", items, {item.request.id: "Two." for item in items})
    evaluations = evaluate_all([answered, answered], Scoring(("ROUGE-L",), protocol="coco"))
    assert all(one.scores["ROUGE-L"].value > 0 for one in evaluations)
    assert len(asked) == 1
