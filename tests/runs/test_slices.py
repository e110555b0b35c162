from pathlib import Path

from microg_bench.dataset import load
from microg_bench.records import Request
from microg_bench.runs.slices import abstention, slice_rows
from microg_bench.tasks import TASKS, Item, items_of


def item(number: int, question: str | None, reference: str, source: str = "a") -> Item:
    task = "caption" if question is None else "vqa"
    return Item(
        Request(id=str(number), task=task, video_id=f"{source}_{number}", source=source, question=question),
        reference,
    )


def test_questions_are_sliced_three_ways_and_captions_by_source() -> None:
    items = [
        item(0, "Who floats?", "Ann."),
        item(1, "what is it?", "Not mentioned", "b"),
        item(2, "Is it red?", "Yes."),
        item(3, "", "Not mentioned."),
    ]
    assert slice_rows(items) == {
        "answerable": {"present": [0, 2], "absent": [1, 3]},
        "question word": {"who": [0], "what": [1], "other": [2, 3]},
        "source": {"a": [0, 2, 3], "b": [1]},
    }
    assert slice_rows([item(0, None, "x"), item(1, None, "y", "b")]) == {"source": {"a": [0], "b": [1]}}


def test_the_real_questions_fall_into_the_published_slices(shared: Path) -> None:
    dataset = load(str(shared / "data" / "microg4m" / "vqa_and_captioning.json"))
    rows = slice_rows(items_of(TASKS["vqa"], dataset.clips))
    words = {word: len(found) for word, found in rows["question word"].items()}
    assert {word: words[word] for word in ("what", "who", "how", "where", "why", "which")} == {
        "what": 4988,
        "who": 798,
        "how": 784,
        "where": 427,
        "why": 230,
        "which": 157,
    }
    assert len(rows["answerable"]["absent"]) == 752
    assert len(rows["source"]) == 18


def test_abstention_counts_both_kinds() -> None:
    items = [
        item(0, "Q", "Not mentioned."),
        item(1, "Q", "Not mentioned."),
        item(2, "Q", "Ann."),
        item(3, "Q", "Red."),
    ]
    found = abstention(items, {"0": "Not mentioned", "1": "Ann", "2": "Not mentioned.", "3": "x"})
    assert found is not None
    assert (found.absent, found.present, found.rightly, found.wrongly) == (2, 2, 0.5, 0.5)
    only = abstention(items[2:], {"2": "x", "3": "y"})
    assert only is not None
    assert (only.rightly, only.wrongly) == (None, 0.0)
    assert abstention([item(0, None, "Not mentioned.")], {"0": "Not mentioned."}) is None
