"""Rows of models that were asked about persons, beside networks in Tables 1 and 2."""

from typing import Any

import pytest

from microg_bench.scorecard import ACTION_SCORES, BaselineEntry, ModelEntry, Scorecard
from microg_bench.tables.har_rows import asked_rows
from microg_bench.tables.markdown import to_markdown
from microg_bench.tables.paper import paper_tables
from microg_bench.tables.published import read_facts, read_published
from microg_bench.tables.rows import OwnRow
from tests.helpers.runs import make_settings
from tests.helpers.tables import reported, signed, with_har

FACTS = read_facts()
BASELINE = BaselineEntry(title="Baseline: blind", scores={"mAP": 3.0, "F1": 0.5}, map_over_ties=(1.0, 9.0))


def asked(name: str, title: str = "A model", **changed: Any) -> Scorecard:
    """The scorecard of published detections as if a model had been asked; the ground truth is the paper's."""
    (card,) = reported(name)
    settings = make_settings(task="har", model="m", title=title, fingerprint=card.fingerprint, boxes="drawn")
    return card.model_copy(
        update={
            "settings": settings,
            "model": ModelEntry(name="m", title=title),
            "baselines": {"blind": BASELINE},
            **changed,
        }
    )


def rows(number: int, *cards: Scorecard) -> list[OwnRow]:
    return asked_rows(read_published(FACTS.tables[number - 1]), FACTS, cards)


def test_a_model_stands_in_both_tables_with_the_baseline_below() -> None:
    card = asked("SLOWONLY_4x16_R50.test")
    for number, column in ((1, "test_mAP"), (2, "mAP")):
        own, below = rows(number, card)
        assert (own.labels[0], own.published, own.marks, own.access) == ("A model", None, (), "")
        assert own.values[column] == card.scores["mAP"].value
        assert len(own.labels) == len(FACTS.tables[number - 1].labels)
        assert own.comparable(column)
        assert "asked in words; persons shown by a box on the frames" in own.notes
        assert (below.name, below.access, below.values[column]) == ("Baseline: blind", "baseline", 3.0)
        assert "test mAP is between 1.00 and 9.00, by the order of equal scores" in below.notes


def test_the_splits_of_a_model_share_a_row_and_other_settings_do_not() -> None:
    one, other = asked("C2D_8x8_R50.test"), asked("C2D_8x8_R50.val")
    (row, _) = rows(1, one, other)
    assert {"val_mAP", "test_mAP"} <= row.values.keys()
    assert one.settings is not None
    cropped = one.model_copy(update={"settings": one.settings.model_copy(update={"boxes": "crop"})})
    found = rows(1, one, cropped)
    assert [row.name for row in found] == ["A model", "A model", "Baseline: blind"]
    assert [row.notes[0].rpartition("by ")[2] for row in found[:2]] == [
        "a box on the frames",
        "frames that are cut to them",
    ]


def test_a_baseline_that_was_run_is_not_shown_again() -> None:
    card = asked("C2D_8x8_R50.test", model=ModelEntry(name="blind", title="Baseline: blind"))
    assert len(rows(2, card)) == 1


def test_a_run_that_is_not_whole_says_so() -> None:
    part = asked("C2D_8x8_R50.test", status="incomplete: 1 request failed; not admissible to a leaderboard")
    assert rows(1, part)[0].marks == (part.status,)


def test_scorecards_of_networks_and_of_models_that_were_asked_stand_in_one_table() -> None:
    card = asked("SLOWONLY_4x16_R50.test")
    first, second, *_ = paper_tables([card], reported("C2D_8x8_R50.test"))
    text = to_markdown(first)
    assert "ours: A model" in text
    assert "ours: C2D" in text
    assert "ours: Baseline: blind" in text
    assert "ours: A model" in to_markdown(second)
    assert to_markdown(paper_tables([], [card])[0]) == to_markdown(paper_tables([card], [])[0])


def test_runs_that_are_alike_but_for_their_answers_have_a_row_each() -> None:
    whole = asked("C2D_8x8_R50.test")
    part = asked("SLOWONLY_4x16_R50.test", status="incomplete: 29 requests failed")
    found = rows(1, whole, part, whole)
    assert [row.marks for row in found if row.access != "baseline"] == [(), (part.status,)]
    assert [row.values["test_mAP"] for row in found[:2]] == [one.scores["mAP"].value for one in (whole, part)]


def test_a_run_whose_actions_score_by_probability_has_a_row_of_its_own() -> None:
    card = asked("C2D_8x8_R50.test")
    found = rows(1, card, signed(card, **{ACTION_SCORES: "logprob"}))
    assert [row.access for row in found] == ["", "", "baseline"]
    assert "scores of actions: logprob" in found[1].notes


@pytest.mark.parametrize(
    ("truth", "columns"),
    [
        ("sample, val", {"val_mAP"}),
        ("sample, test", {"test_mAP"}),
        ("sample, train", set()),
        ("sample, all", set()),
        ("mine.csv", set()),
    ],
)
def test_no_score_stands_under_a_heading_of_other_persons(truth: str, columns: set[str]) -> None:
    card = asked("C2D_8x8_R50.test")
    row, below = rows(1, signed(with_har(card, groundtruth=truth), groundtruth="0"))
    assert {name for name in row.values if name.endswith("mAP")} == columns
    assert row.marks[0] == f"ground truth {truth}, not the published one"
    assert any("there is no column: mAP 29.51" in mark for mark in row.marks) != bool(columns)
    told = [one.partition(", of whom there is no column: mAP ") for one in below.marks[1:]]
    assert [scores for _, _, scores in told] == ([] if columns else ["3.00, F1 0.50"])
    assert below.marks[0] == row.marks[0]


def test_a_baseline_on_persons_without_a_column_is_shown_once() -> None:
    one, other = (with_har(asked("C2D_8x8_R50.test", title), groundtruth="mine.csv") for title in ("A", "B"))
    names = [row.name for row in rows(1, signed(one, groundtruth="0"), signed(other, groundtruth="0"))]
    assert names == ["A", "B", "Baseline: blind"]
