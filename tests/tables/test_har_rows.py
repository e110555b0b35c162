"""Rows of action recognition: which published row a scorecard reproduces, and what is never mixed."""

from collections.abc import Sequence

import pytest

from microg_bench.errors import DataError
from microg_bench.har import read_detections, read_ground_truth, read_label_map
from microg_bench.har.scoring import evaluate
from microg_bench.scorecard import Scorecard
from microg_bench.tables.har_rows import action_rows, tell_repeated
from microg_bench.tables.published import read_facts, read_published
from microg_bench.tables.rows import OwnRow
from tests.helpers.tables import ACTIONS, reported, signed, table, with_har

FACTS = read_facts()
NAMES = ("C2D_8x8_R50.test", "C2D_8x8_R50.val", "SLOWONLY_4x16_R50.test", "X3D_L.test")


def rows(number: int, cards: Sequence[Scorecard]) -> list[OwnRow]:
    return action_rows(read_published(FACTS.tables[number - 1]), FACTS, cards)


def test_the_detections_of_the_paper_reproduce_its_rows() -> None:
    one = table(1, actions=reported())
    lines = list(one.lines)
    changes = {
        lines[place - 2].labels[:3]: [cell.text for cell in line.cells]
        for place, line in enumerate(lines)
        if line.origin == "difference"
    }
    same, none = ["+0.00"] * 4, [""] * 4
    assert changes == {
        ("C2D", "8x8", "R50"): ["+0.38", "+0.00", "+0.00", "+0.00", *same],
        ("Slow", "4x16", "R50"): [*none, "+0.00", "+0.00", "+0.00", "-0.01"],
        ("X3D", "16x5", "L"): [*none, "+0.03", "+0.00", "+0.00", "+0.00"],
    }
    letter = one.marks["test mAP is between 18.45 and 23.55, by the order of equal scores"]
    assert [line.labels[:3] for line in lines if line.marks == letter] == [("X3D", "16x5", "L")]
    assert "validation mAP is between 27.00 and 27.75, by the order of equal scores" in one.marks
    assert all("mAP is between" in mark for mark in one.marks)


@pytest.mark.parametrize("name", NAMES)
def test_the_scorecards_in_the_repository_are_what_scoring_gives(name: str, shared: object) -> None:
    folder = ACTIONS.parents[1].parent / "shared" / "data" / "har"
    labels = read_label_map()
    truth = read_ground_truth(folder / f"groundtruth_{name.rpartition('.')[2]}.csv.xz", labels)
    found = evaluate(read_detections(folder / f"{name}.csv.xz", labels), truth, labels)
    (card,) = reported(name)
    assert found.har is not None and card.har is not None
    for metric, one in card.scores.items():
        assert found.scores[metric].value == pytest.approx(one.value, abs=1e-9)
        assert found.scores[metric].interval == pytest.approx(one.interval, abs=1e-9)
        apart = found.scores[metric].signature
        assert apart is not None and one.signature is not None
        assert apart.versions_apart(one.signature) is not None  # nothing but versions differs
    assert (found.har.counts, found.warnings) == (card.har.counts, card.warnings)
    assert found.har.map_over_ties == pytest.approx(card.har.map_over_ties, abs=1e-9)


@pytest.mark.parametrize(
    ("detections", "labels"),
    [
        ("C2D_8x8_R50.test.csv", ("C2D", "8x8", "R50")),
        ("c2d_nln_8x8_r50.csv.gz", ("C2D NLN", "8x8", "R50")),
        ("SLOWFAST_4x16_R50.parquet", ("SlowFast", "4x16", "R50")),
        ("X3D_S.test.csv", ("X3D", "13x6", "S")),
    ],
)
def test_a_file_belongs_to_the_row_with_all_words_of_its_name(
    detections: str, labels: tuple[str, ...]
) -> None:
    (card,) = reported("X3D_L.test")
    (row,) = rows(1, [with_har(card, detections=detections)])
    assert row.labels[:3] == labels
    assert row.published is not None


@pytest.mark.parametrize("detections", ["SLOW_R50.csv", "X3D.csv", "MyModel.test.csv", "C2D_16x8_R50.csv"])
def test_a_name_of_no_row_or_of_several_stands_alone(detections: str) -> None:
    (card,) = reported("X3D_L.test")
    (row,) = rows(1, [with_har(card, detections=detections)])
    assert row.published is None
    assert row.labels == (detections.split(".", maxsplit=1)[0], "", "", "")


def test_zero_shot_detections_belong_to_the_table_of_their_own() -> None:
    (card,) = reported("X3D_L.test")
    named = with_har(card, detections="SLOWFAST_32x2_R101_zero_shot.test.csv.xz")
    assert rows(1, [named]) == []
    assert rows(1, [named, card]) == rows(1, [card]), "what comes behind it is kept"
    (row,) = rows(2, [named])
    assert row.labels == ("SlowFast", "32x2", "R101", "Kinetics-600 > AVA v2.2")
    assert row.values["mAP"] == pytest.approx(18.73, abs=0.005)


def test_what_a_row_says_of_its_scores() -> None:
    (card,) = reported("X3D_L.test")
    (row,) = rows(1, [with_har(card, map_over_ties=None)])
    assert row.notes == ()
    odd = card.model_copy(update={"rejected": ("seed",)})
    assert "asked without seed, which the model rejects" in rows(1, [odd])[0].notes


def test_a_scorecard_of_another_task_is_refused() -> None:
    (card,) = reported("X3D_L.test")
    with pytest.raises(DataError, match="no scorecard of action recognition"):
        rows(1, [card.model_copy(update={"har": None, "task": "caption"})])


def test_scores_against_a_file_of_ones_own_stand_in_no_column_of_a_published_split() -> None:
    (card,) = reported("X3D_L.test")
    other = signed(card, groundtruth="0" * 12).model_copy(update={"fingerprint": "0" * 64})
    truth = "ground truth groundtruth_test.csv.xz, not the published one"
    told = ", ".join(f"{name} {one.value:.2f}" for name, one in card.scores.items())
    for submitted in (False, True):
        given = ([card], [other]) if submitted else ([other, card], [])
        first, second = sorted(
            action_rows(read_published(FACTS.tables[0]), FACTS, *given), key=lambda row: row.marks
        )
        assert (first.marks, bool(first.values)) == ((), True)
        assert second.marks == (truth, f"persons of a file, of whom there is no column: {told}")
        assert second.values == {}
    claimed = {name: one.model_copy(update={"unverified": True}) for name, one in other.scores.items()}
    (row,) = rows(1, [other.model_copy(update={"scores": claimed})])
    assert row.marks[-1] == f"{second.marks[-1]} (claimed and not verified: mAP, F1, recall, AUROC)"
    one = table(1, actions=[other])
    assert next(iter(one.marks)) == truth
    assert "difference" not in [line.origin for line in one.lines]


def test_persons_of_a_split_of_other_annotations_stand_under_its_heading_with_their_mark() -> None:
    (card,) = reported("X3D_L.test")
    (row,) = rows(1, [with_har(signed(card, groundtruth="0"), groundtruth="sample, val")])
    assert row.values["val_mAP"] == card.scores["mAP"].value and "test_mAP" not in row.values
    assert row.marks == ("ground truth sample, val, not the published one",)


def test_files_of_ground_truth_that_share_a_name_alone_are_rows_of_their_own() -> None:
    first, second = reported("X3D_L.test", "SLOWONLY_4x16_R50.test")
    assert first.har is not None
    same = with_har(second, detections=first.har.detections)
    others = [
        signed(one, groundtruth=digit).model_copy(update={"fingerprint": digit * 64})
        for one, digit in ((first, "a"), (same, "b"))
    ]
    assert len({row.marks for row in rows(1, others)}) == 2


def test_scores_over_other_actions_are_marked() -> None:
    (card,) = reported("X3D_L.test")
    (row,) = rows(1, [signed(card, labels="0" * 12)])
    assert set(row.faults) == {"test_mAP", "test_F1", "test_recall", "test_AUROC"}
    assert row.faults["test_AUROC"] == "AUROC is not the published one, which has labels:6c3be7820ada"


def test_a_scorecard_that_is_given_twice_counts_once() -> None:
    assert rows(1, [*reported(), *reported()]) == rows(1, reported())


def test_the_order_of_scorecards_changes_nothing() -> None:
    assert rows(1, reported()[::-1]) == rows(1, reported())


def test_two_files_of_one_name_with_other_scores_are_refused() -> None:
    first, second = reported("X3D_L.test", "SLOWONLY_4x16_R50.test")
    assert first.har is not None
    with pytest.raises(
        DataError, match=r"two scorecards of X3D_L\.test\.csv\.xz against groundtruth_test\.csv"
    ):
        rows(1, [first, with_har(second, detections=first.har.detections)])


def test_files_of_one_name_that_are_known_to_differ_are_rows_of_their_own() -> None:
    first, second = reported("X3D_L.test", "SLOWONLY_4x16_R50.test")
    assert first.har is not None
    named = [
        with_har(card, detections=first.har.detections, detections_sha256=digit * 64)
        for card, digit in ((first, "a"), (second, "b"))
    ]
    found = rows(1, [*named, named[0]])
    assert [row.values["test_mAP"] for row in found] == [one.values()["mAP"] for one in named]
    assert [row.notes[0] for row in found] == [
        f"detections X3D_L.test.csv.xz ({digit * 8})" for digit in "ab"
    ]
    (third,) = reported("C2D_8x8_R50.val")
    other_split = with_har(third, detections=first.har.detections, detections_sha256="c" * 64)
    apart = rows(1, [*named, other_split])
    assert sorted(row.notes[0][-9:-1] for row in apart) == [digit * 8 for digit in "abc"]
    with pytest.raises(DataError, match="have different scores"):
        rows(1, [first, named[1]])


def test_weights_of_one_name_that_differ_are_rows_of_their_own() -> None:
    first, second = reported("X3D_L.test", "SLOWONLY_4x16_R50.test")
    assert first.har is not None
    found = rows(
        1,
        [
            made(
                with_har(card, detections=first.har.detections, checkpoint_sha256=digit * 64),
                "fixed",
                "best.safetensors",
            )
            for card, digit in ((first, "a"), (second, "b"))
        ],
    )
    assert [row.notes[0] for row in found] == [
        f"recipe fixed, weights best.safetensors ({digit * 8})" for digit in "ab"
    ]


def test_each_submission_has_a_row_of_its_own_once() -> None:
    """A stranger's file of the same name ends nothing, and its scores join no other row."""
    first, second = reported("X3D_L.test", "SLOWONLY_4x16_R50.test")
    assert first.har is not None
    same_name = with_har(second, detections=first.har.detections)
    claimed = {name: one.model_copy(update={"unverified": True}) for name, one in first.scores.items()}
    unverified = first.model_copy(update={"scores": claimed})
    table = read_published(FACTS.tables[0])
    (row,) = action_rows(table, FACTS, [first], [unverified, first])
    assert row.faults == {}
    ours, theirs = action_rows(table, FACTS, [first], [same_name, same_name, unverified])
    assert (ours.labels, ours.values["test_mAP"]) == (theirs.labels, first.values()["mAP"])
    assert theirs.values["test_mAP"] == second.values()["mAP"]
    (row,) = action_rows(table, FACTS, [], [unverified])
    assert set(row.faults.values()) == {"claimed and not verified: mAP, F1, recall, AUROC"}
    assert not any(row.comparable(column) for column in row.scores)


def test_what_of_actions_was_submitted_too_is_told() -> None:
    first, second = reported("X3D_L.test", "SLOWONLY_4x16_R50.test")
    told: list[str] = []
    tell_repeated([first], [second], told.append)
    assert told == []
    tell_repeated([first], [second, first, first], told.append)
    assert told == ["given twice and shown once: X3D_L.test.csv.xz (not the submission)"]
    unavailable = {"AUROC": first.scores["AUROC"].model_copy(update={"value": None, "unavailable": "no"})}
    gone = first.model_copy(update={"scores": {**first.scores, **unavailable}})
    tell_repeated([first], [gone], told.append)
    assert len(told) == 1
    tell_repeated([gone], [gone], told.append)
    assert len(told) == 2


def made(card: Scorecard, recipe: str, checkpoint: str) -> Scorecard:
    assert card.har is not None
    facts = card.har.model_copy(update={"checkpoint": checkpoint})
    return card.model_copy(update={"recipe": recipe, "har": facts})


def test_other_recipes_and_weights_are_rows_of_their_own_and_marked() -> None:
    (card,) = reported("X3D_L.test")
    paper, fixed = made(card, "paper", "a.safetensors"), made(card, "fixed", "a.safetensors")
    found = rows(1, [card, paper, fixed, made(card, "fixed", "b.safetensors")])
    assert len(found) == 4
    marked = [bool(row.marks) for row in found]
    assert sorted(marked) == [False, False, True, True]
    assert all("recipe fixed" in row.marks[0] for row in found if row.marks)
    assert sorted(any("b.safetensors" in note for note in row.notes) for row in found)[-1]
    assert {row.comparable("test mAP") for row in found if row.marks} == {False}


@pytest.mark.parametrize(
    ("name", "number", "labels"),
    [
        ("MVIT_B_16x4", 1, ("MViTv1", "16x4", "B-CONV")),
        ("MVITv2_S_16x4", 1, ("MViTv2", "16x4", "S")),
        ("SLOWFAST_8x8_R50", 1, ("SlowFast", "8x8", "R50")),
        ("C2D_NLN_8x8_R50", 1, ("C2D NLN", "8x8", "R50")),
        ("SLOWFAST_32x2_R101-zero-shot", 2, ("SlowFast", "32x2", "R101")),
        ("SLOWONLY_8x8_R50-zero-shot", 2, ("Slow", "8x8", "R50")),
    ],
)
def test_each_model_finds_its_published_row(name: str, number: int, labels: tuple[str, ...]) -> None:
    (card,) = reported("X3D_L.test")
    assert card.har is not None
    other = card.model_copy(update={"har": card.har.model_copy(update={"detections": f"{name}.test.csv"})})
    (row,) = rows(number, [other])
    assert row.published is not None
    assert row.labels[:3] == labels
    assert rows(3 - number, [other]) == []
