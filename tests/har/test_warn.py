"""What a reader of the scores is warned of: each warning where its cause is, and not where it is not."""

from pathlib import Path

import pytest

from tests.har.small import BOX_A, BOX_B, DETECTIONS, IDS, TRUTH, box, rising, scored, write

ENOUGH = "".join(f"a_001,10,{BOX_A},12,{person}\n" for person in range(10))
OTHER = box("a_001", BOX_A, rising(-8.0)) + box("b_001", BOX_B, rising(-3.0))


def warnings_of(folder: Path, detections: str = DETECTIONS, truth: str = TRUTH) -> list[str]:
    found = scored(*write(folder, detections, truth)).warnings
    return [line for line in found if "fewer than 10" not in line]


def test_sound_tables_give_no_warning(tmp_path: Path) -> None:
    assert warnings_of(tmp_path) == []


@pytest.mark.parametrize(
    ("detections", "expected"),
    [
        (
            box("a_001", BOX_A, rising(-8.0)) + box("b_001", BOX_B, [1.5] * 50),
            "1 box with one and the same score for every action (first at row 51)",
        ),
        (
            box("a_001", BOX_A, [0.0] * 49 + [-0.0]) + box("b_001", BOX_B, rising(-9.0)),
            "1 box with one and the same score for every action (first at row 1)",
        ),
        (
            box("a_001", BOX_A, rising(-8.0)) + box("b_001", BOX_B, rising(-8.0)),
            "2 boxes of 2 videos share all their scores with another box, as if the model had not looked at"
            " them (the largest group: 2)",
        ),
        (
            box("a_001", BOX_A, [0.0, *rising(1.0)[1:]]) + box("b_001", BOX_B, [-0.0, *rising(1.0)[1:]]),
            "2 boxes of 2 videos share all their scores with another box, as if the model had not looked at"
            " them (the largest group: 2)",
        ),
        (
            DETECTIONS + box("a_001", BOX_A, rising(-7.0)),
            "1 box given before in its frame, and counted again (first at row 101)",
        ),
        (
            DETECTIONS + box("a_001", "0.5,0.1,0.5,0.9", rising(-7.0)),
            "1 box without an area, left out of mAP (first at row 101)",
        ),
        (
            box("a_001", BOX_A, rising(-8.0)),
            "1 frame of the ground truth without a detection (first: b_001, frame 10)",
        ),
    ],
)
def test_detections_that_ask_for_it_are_warned_of(tmp_path: Path, detections: str, expected: str) -> None:
    assert expected in warnings_of(tmp_path, detections)


def test_a_box_given_twice_is_not_said_to_share_its_scores(tmp_path: Path) -> None:
    found = warnings_of(tmp_path, DETECTIONS + box("a_001", BOX_A, rising(-8.0)))
    assert any("given before" in line for line in found)
    assert not any("share all their scores" in line for line in found)


def test_the_same_box_in_another_video_is_not_said_to_be_given_before(tmp_path: Path) -> None:
    moved = box("a_001", BOX_A, rising(-8.0)) + box("b_001", BOX_A, rising(-9.125))
    assert warnings_of(tmp_path, moved) == []


def test_equal_scores_that_leave_map_open_are_warned_of(tmp_path: Path) -> None:
    one, other = rising(-8.0), rising(-8.0)
    other[0] += 1
    place = IDS.index(17)
    scores = box("a_001", BOX_A, one) + box("b_001", BOX_B, other)
    assert one[place] == other[place]
    card = scored(*write(tmp_path, scores))
    assert card.har is not None
    low, high = card.har.map_over_ties
    assert (low, high) == pytest.approx((75, 100))
    assert "mAP lies between 75.00 and 100.00, by the order in which equal scores are ranked" in card.warnings
    assert not any("mAP lies" in line for line in warnings_of(tmp_path, OTHER))


def test_rows_of_the_truth_given_twice_or_without_area_are_warned_of(tmp_path: Path) -> None:
    twice = warnings_of(tmp_path, truth=TRUTH + f"b_001,10,{BOX_B},12,5\n")
    assert twice == ["1 row of the ground truth given before, and counted again, as published"]
    thrice = warnings_of(tmp_path, truth=TRUTH + f"b_001,10,{BOX_B},12,5\n" * 2)
    assert thrice == ["2 rows of the ground truth given before, and counted again, as published"]
    flat = warnings_of(tmp_path, truth=TRUTH + "b_001,10,0.2,0.2,0.2,0.8,12,5\n")
    assert flat == ["1 row of the ground truth without an area, which no box can match (first at row 4)"]


def test_what_is_assumed_of_detections_that_are_not_whole_is_told(tmp_path: Path) -> None:
    lines = DETECTIONS.splitlines(keepends=True)
    assert warnings_of(tmp_path, "".join(lines[:60] + lines[61:])) == [
        "1 of 100 scores are not given (first of the box at row 51): they are taken to be below all others"
        " and equal to each other, and are not ranked in mAP"
    ]
    assert warnings_of(
        tmp_path, DETECTIONS + f"b_001,0010,{BOX_B},81,3.5\n" * 2 + f"b_001,10,{BOX_B},2,1\n"
    ) == ["3 rows of actions that are not in the label map, left out (ids 2, 81; first at row 101)"]
    assert warnings_of(tmp_path, DETECTIONS + box("c_001", BOX_B, rising(-1.5))) == [
        "1 box of a frame that the ground truth does not have: false (first at row 101)"
    ]
    assert warnings_of(tmp_path, truth=TRUTH + f"a_001,10,{BOX_A},18,0\n") == [
        "1 row of the ground truth of actions that are not in the label map,"
        " left out (ids 18; first at row 4)"
    ]


def test_boxes_with_few_scores_are_not_said_to_share_them(tmp_path: Path) -> None:
    few = f"a_001,10,{BOX_A},12,0.5\nb_001,10,{BOX_B},12,0.5\n"
    assert not any("share all" in line or "one and the same" in line for line in warnings_of(tmp_path, few))


def test_actions_of_few_examples_are_named_and_those_of_ten_are_not(tmp_path: Path) -> None:
    nine = f"a_001,10,{BOX_A},17,1\n" * 9
    card = scored(*write(tmp_path, truth=ENOUGH + nine + f"b_001,10,{BOX_B},80,1\n"))
    assert card.warnings[-1] == "2 of 3 actions have fewer than 10 examples, ids 17, 80"
    card = scored(*write(tmp_path, truth=ENOUGH + f"b_001,10,{BOX_B},12,1\n"))
    assert not any("examples" in line for line in card.warnings)
