"""The tables of the paper: ours beside the published rows, differences, the best, what is not ranked."""

import random
import re

import pytest

from microg_bench.scorecard import Counts, ScoreEntry, Signature
from microg_bench.tables.markdown import to_markdown
from microg_bench.tables.paper import paper_tables
from tests.helpers.tables import line_of, ours, qwen, rows_of, table


def marks(line: str) -> list[str]:
    """The letters of the first cell of a row in Markdown."""
    return re.findall(r"<sup>(.*?)</sup>", line.split("|")[1])


def test_best_and_second_best_are_those_of_the_column() -> None:
    one = table(3)
    for place, column in enumerate(one.facts.columns):
        values = sorted((line.cells[place].value or 0 for line in one.lines), reverse=True)
        ranked = {line.cells[place].value: line.cells[place].rank for line in one.lines}
        assert (ranked[values[0]], ranked[values[1]], ranked[values[2]]) == (1, 2, 0), column


def test_what_looks_alike_is_equally_good() -> None:
    one = table(4, ours("One", 30.001), ours("Two", 30.004), ours("Three", 29.0))
    assert [line_of(one, name).cells[0].rank for name in ("One", "Two", "Three")] == [1, 1, 2]


def test_a_score_alone_is_not_the_best_of_anything() -> None:
    assert {cell.rank for cell in line_of(table(4, ours("One")), "One").cells} == {0}


def test_open_and_closed_models_stand_apart() -> None:
    groups = {name: [line.labels[0] for line in lines] for name, lines in table(4).groups}
    assert groups == {
        "Open weights": ["LLaVA-NeXT", "Video-LLaVA", "Qwen2.5-VL"],
        "Closed models": ["Gemini 1.5 Pro", "GPT-4o"],
    }


def test_a_reproduced_row_stands_below_the_published_one_with_the_difference() -> None:
    text = to_markdown(table(4, qwen(value=20.0)))
    below = rows_of(text)
    place = next(k for k, row in enumerate(below) if row[0] == "Qwen2.5-VL")
    assert below[place + 1][:3] == ["↳ ours: Our Qwen", "8", "20.00"]
    assert below[place + 2][:3] == ["↳ *difference*", "", "+17.01"]


def test_a_difference_that_rounds_to_nothing_has_no_minus() -> None:
    one = table(4, qwen(value=2.987))
    (change,) = [line for line in one.lines if line.origin == "difference"]
    assert change.cells[0].text == "+0.00"
    assert change.cells[0].value == pytest.approx(-0.003)


@pytest.mark.parametrize(
    ("changed", "mark"),
    [
        ({"protocol": "coco"}, "protocol coco, where the published numbers have paper"),
        ({"fingerprint": "e" * 64}, "fingerprint eeeeeeeeeeee"),
        ({"status": "incomplete: 1 request failed"}, "incomplete: 1 request failed"),
    ],
)
def test_what_may_not_be_compared_is_marked_and_takes_no_part(changed: dict[str, str], mark: str) -> None:
    one = table(4, qwen(value=90.0, **changed), ours("Other"), ours("Third", 10.0))
    text = to_markdown(one)
    (letter,) = re.findall(rf"^- <sup>(.)</sup> .*{re.escape(mark)}", text, re.MULTILINE)
    line = line_of(one, "Our Qwen")
    assert line.marks == letter
    assert {cell.rank for cell in line.cells} == {0}
    assert "difference" not in text
    assert line_of(one, "Other").cells[0].rank == 1


def test_a_score_under_another_signature_is_marked_alone() -> None:
    other = Signature(metric="BERTScore", values={"model": "roberta-base@1", "layers": "10"})
    entry = ScoreEntry(value=90.0, signature=other)
    card = qwen(scores={"CIDEr": ScoreEntry(value=20.0), "BERTScore": entry})
    one = table(4, card)
    line = line_of(one, "Our Qwen")
    (change,) = [line for line in one.lines if line.origin == "difference"]
    assert [cell.mark for cell in line.cells] == ["", "", "", "", "", "a"]
    assert [cell.text for cell in change.cells] == ["+17.01", "", "", "", "", ""]
    lacks = "model:roberta-large, layers:17, idf:no, rescaled:no"
    assert dict(one.marks) == {f"BERTScore is not the published one, which has {lacks}": "a"}


def test_baselines_are_shown_once_and_are_never_the_best() -> None:
    one = table(4, ours("One", 10.0), ours("Two", 11.0))
    baselines = [lines for name, lines in one.groups if name.startswith("Baselines")]
    assert [[line.labels for line in lines] for lines in baselines] == [[("Baseline: blind", "0")]]
    assert [cell.text for cell in baselines[0][0].cells[:3]] == ["12.00", "14.00", "–"]
    assert {cell.rank for cell in baselines[0][0].cells} == {0}


def test_a_score_that_could_not_be_computed_says_why() -> None:
    scores = {"CIDEr": ScoreEntry(value=1.0), "METEOR": ScoreEntry(unavailable="no Java found")}
    text = to_markdown(table(4, ours("Mine", scores=scores), ours("Other", scores=scores)))
    (row,) = [row for row in rows_of(text) if row[0].startswith("ours: Mine")]
    assert row[2:] == ["1.00", "–", "–", "n/a", "–", "–"]
    assert [marks(one) for one in text.splitlines() if "| ours: " in one] == [["a"], ["a"], []]
    assert "- <sup>a</sup> METEOR: no Java found\n" in text


def test_settings_that_the_model_rejected_are_told() -> None:
    text = to_markdown(table(4, ours("Mine", rejected=("temperature", "seed"))))
    assert "</sup> asked without temperature, seed, which the model rejects" in text


def test_counts_that_are_not_zero_are_said_and_set_no_row_apart() -> None:
    one = table(4, ours("Mine", counts=Counts(answered=1500, truncated=1200)), ours("Other", 10.0))
    text = to_markdown(one)
    assert "- <sup>c</sup> 1,200 of 1,500 answers hit the token limit; raise --max-tokens\n" in text
    assert "empty" not in text
    assert line_of(one, "Mine").marks == "c"
    assert line_of(one, "Mine").cells[0].rank == 1
    assert line_of(one, "Other").marks == ""


def test_what_sets_a_row_apart_has_letters_before_what_else_is_to_know() -> None:
    card = ours("Mine", protocol="coco", counts=Counts(answered=90, empty=2))
    first, *faults, last = table(4, card).marks
    assert first == "protocol coco, where the published numbers have paper"
    assert [fault.split()[0] for fault in faults] == ["S-VQA", "BERTScore"]
    assert last == "2 of 90 answers are empty"


def test_signatures_stand_under_the_table() -> None:
    assert "`CIDEr|p:paper|n:90|v:1`" in to_markdown(table(4, ours()))


def test_without_the_published_rows_only_tables_with_rows_are_made() -> None:
    (one,) = paper_tables([qwen()], [], published=False)
    assert one.facts.number == 4
    assert [line.origin for line in one.lines if line.access != "baseline"] == ["ours"]
    assert one.source == ""
    assert "Published rows" not in to_markdown(one)


def test_what_may_not_be_compared_stands_below_what_may() -> None:
    cards = [ours("Another protocol", 30.0, protocol="coco"), ours("Mine")]
    lines = dict(table(4, *cards).groups)["Open weights"]
    assert [line.labels[0] for line in lines[-2:]] == ["Mine", "Another protocol"]


def test_the_order_of_what_is_given_changes_nothing_but_the_order_of_equals() -> None:
    cards = [ours(f"Model {k}", 10.0 + k) for k in range(5)]
    texts = set()
    for seed in range(4):
        random.Random(seed).shuffle(cards)
        texts.add(frozenset(to_markdown(table(4, *cards)).splitlines()))
    assert len(texts) == 1
