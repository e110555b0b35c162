"""Detected and true boxes: what is refused, which match, and how a table becomes boxes; counted by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microg_bench.dataset.labels import read_label_map
from microg_bench.errors import DataError
from microg_bench.persons import boxes
from microg_bench.persons.boxes import (
    Boxes,
    Detections,
    GroundTruth,
    detections_text,
    number_images,
    read_detections,
    read_ground_truth,
    shown_in_frame,
    true_positives,
    write_detections,
)

LABELS = read_label_map()
WHOLE = (0.0, 0.0, 1.0, 1.0)
UPPER_HALF, LESS = (0.0, 0.0, 1.0, 0.5), (0.0, 0.0, 1.0, 0.49)
LEFT_HALF, RIGHT_HALF = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)
NONE = -np.inf
Row = tuple[str, int, tuple[float, ...]]


def place(*rows: Row) -> dict[str, Any]:
    """Video, frame and corners of boxes."""
    return {
        "video_ids": np.array([video for video, _, _ in rows], dtype=object),
        "frames": np.array([frame for _, frame, _ in rows], dtype=np.int64),
        "boxes": np.array([corners for _, _, corners in rows], dtype=float).reshape(-1, 4),
    }


def detected(scores: Any, *rows: Row, turns: Any = None) -> Detections:
    given = None if turns is None else np.array(turns)
    return Detections(**place(*rows), scores=np.array(scores, dtype=float), turns=given)


def true(actions: Any, *rows: Row) -> GroundTruth:
    return GroundTruth(**place(*rows), actions=np.array(actions))


def positives(detections: Detections, truth: GroundTruth) -> list[list[bool]]:
    """What `true_positives` finds; the actions of the truth are columns of the scores."""
    found = true_positives(detections, truth, number_images(detections, truth), truth.actions)
    return [list(map(bool, row)) for row in found]


@pytest.mark.parametrize("value", [-0.001, 1.001, np.nan])
def test_a_coordinate_is_0_to_1_and_a_wrong_one_is_named(value: float) -> None:
    assert len(Boxes(**place(("a", 1, WHOLE)))) == 1
    wrong = place(("a", 1, WHOLE), ("a", 2, (0.0, value, 1.0, 1.0)))
    with pytest.raises(DataError, match="box 2: a coordinate is not a number from 0 to 1"):
        Boxes(**wrong)
    with pytest.raises(DataError, match="row 9: a coordinate"):
        Boxes(**wrong, rows=np.array([4, 9]))


def test_what_has_not_the_length_of_the_boxes_is_refused() -> None:
    whole = place(("a", 1, WHOLE), ("b", 1, WHOLE))
    with pytest.raises(DataError, match="holds no boxes"):
        Boxes(**place())
    for name, value in (("frames", np.array([1])), ("boxes", np.zeros((2, 3))), ("boxes", np.zeros((1, 4)))):
        with pytest.raises(DataError, match="differ in length"):
            Boxes(**{**whole, name: value})
    for scores in (np.zeros(2), np.zeros((1, 3))):
        with pytest.raises(DataError, match="a row for each of the 2 boxes"):
            Detections(**whole, scores=scores)
    with pytest.raises(DataError, match="turns must have the shape of the scores"):
        Detections(**whole, scores=np.zeros((2, 3)), turns=np.zeros((2, 2), np.int64))
    with pytest.raises(DataError, match="one id for each of the 2 boxes"):
        GroundTruth(**whole, actions=np.array([1]))


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_score_is_finite_or_not_given(value: float) -> None:
    rows = ("a", 1, WHOLE), ("a", 2, WHOLE)
    assert detected([[0.0, NONE], [1.0, 2.0]], *rows).given.tolist() == [[True, False], [True, True]]
    with pytest.raises(DataError, match="box 2: a score is not a finite number"):
        detected([[0.0, NONE], [1.0, value]], *rows)


def test_a_box_has_an_area_where_both_sides_have_a_length() -> None:
    corners = [WHOLE, (0.5, 0.0, 0.5, 1.0), (0.0, 0.5, 1.0, 0.5), (0.6, 0.0, 0.5, 1.0), (0.0, 0.6, 1.0, 0.5)]
    found = Boxes(**place(*(("a", 1, one) for one in corners)))
    assert found.has_area.tolist() == [True, False, False, False, False]


@pytest.mark.parametrize(
    ("box", "right"),
    [(WHOLE, True), (UPPER_HALF, True), (LESS, False), ((0.0, 0.0, 0.0, 1.0), False)],
)
def test_a_box_matches_from_half_of_the_union_on(box: tuple[float, ...], right: bool) -> None:
    assert positives(detected([[0.0]], ("a", 1, box)), true([0], ("a", 1, WHOLE))) == [[right]]
    assert positives(detected([[0.0]], ("a", 1, WHOLE)), true([0], ("a", 1, box))) == [[right]]


@pytest.mark.parametrize(("end", "right"), [(0.62, True), (0.58, False)])
def test_the_union_counts_what_is_common_once(end: float, right: bool) -> None:
    # From 0 to `end` and from 0.2 to 0.8, 0.42 of 0.8 are common, or 0.38 of 0.8.
    across = (0.0, 0.0, end, 1.0), (0.2, 0.0, 0.8, 1.0)
    down = (0.0, 0.0, 1.0, end), (0.0, 0.2, 1.0, 0.8)
    for one, other in (across, down, across[::-1], down[::-1]):
        assert positives(detected([[0.0]], ("a", 1, one)), true([0], ("a", 1, other))) == [[right]]


def test_boxes_that_do_not_meet_have_nothing_in_common() -> None:
    corner, opposite = (0.0, 0.0, 0.4, 0.4), (0.6, 0.6, 1.0, 1.0)
    assert positives(detected([[0.0]], ("a", 1, corner)), true([0], ("a", 1, opposite))) == [[False]]


def test_a_box_claims_what_it_overlaps_most_and_the_first_to_claim_it_is_right() -> None:
    three = [("a", 1, UPPER_HALF), ("a", 1, WHOLE), ("a", 1, WHOLE)]
    truth = true([0, 0], ("a", 1, UPPER_HALF), ("a", 1, WHOLE))
    assert positives(detected([[1.0], [2.0], [3.0]], *three), truth) == [[True], [True], [False]]
    later = detected([[1.0], [2.0], [3.0]], *three, turns=[[0], [2], [1]])
    assert positives(later, truth) == [[True], [False], [True]]
    below = true([0, 0], ("a", 1, LESS), ("a", 1, UPPER_HALF))
    assert positives(detected([[1.0]], ("a", 1, WHOLE)), below) == [[True]], "0.5 of one, 0.49 of the other"
    alike = true([0, 0], ("a", 1, WHOLE), ("a", 1, WHOLE))
    assert positives(detected([[1.0], [2.0], [3.0]], *three[1:], three[1]), alike) == [
        [True],
        [False],
        [False],
    ]


def test_frames_actions_and_scores_that_are_not_given_are_apart() -> None:
    rows = [("a", 1, WHOLE), ("a", 2, WHOLE), ("b", 1, WHOLE), ("c", 1, WHOLE)]
    found = detected([[0.0, 0.0], [0.0, NONE], [NONE, 0.0], [0.0, 0.0]], *rows)
    truth = true(
        [1, 0, 1, 0, 1],
        *(("a", 1, WHOLE), ("a", 2, WHOLE), ("a", 2, WHOLE), ("b", 1, WHOLE), ("b", 1, WHOLE)),
    )
    assert positives(found, truth) == [[False, True], [True, False], [False, True], [False, False]]
    images = number_images(found, truth)
    assert [list(map(int, one)) for one in images] == [[0, 1, 2, 3], [0, 1, 1, 2, 2]]
    shown = shown_in_frame(images, truth.actions, 2)
    assert shown.tolist() == [[False, True], [True, True], [True, True], [False, False]]


def test_detections_of_other_frames_alone_are_refused() -> None:
    with pytest.raises(DataError, match="the first is a, frame 2"):
        number_images(detected([[0.0]], ("a", 2, WHOLE)), true([0], ("a", 1, WHOLE)))


def test_no_more_pairs_are_compared_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    found = detected([[0.0]] * 3, *[("a", 1, WHOLE)] * 3)
    truth = true([0, 0], *[("a", 1, WHOLE)] * 2)
    monkeypatch.setattr(boxes, "MAX_PAIRS", 6)
    assert positives(found, truth) == [[True], [False], [False]]
    monkeypatch.setattr(boxes, "MAX_PAIRS", 5)
    with pytest.raises(DataError, match="6 pairs"):
        positives(found, truth)


def test_scores_are_visited_frame_by_frame_in_the_order_in_which_they_were_given() -> None:
    rows = [("a", 1, WHOLE), ("b", 1, WHOLE), ("a", 1, UPPER_HALF)]
    one_by_one = detected([[0.0], [0.0], [0.0]], *rows)
    assert np.argsort(one_by_one.visits[:, 0]).tolist() == [0, 2, 1]
    # Frame b was given first; of frame a, the score of the third box came before that of the first.
    turned = detected([[0.0, NONE], [0.0, 0.0], [0.0, 0.0]], *rows, turns=[[4, 0], [0, 1], [2, 3]])
    visits = turned.visits
    order = [
        (int(box), int(action))
        for box, action in zip(*np.divmod(np.argsort(visits, axis=None), 2), strict=True)
    ]
    assert [one for one in order if one != (0, 1)] == [(1, 0), (1, 1), (2, 0), (2, 1), (0, 0)]


def written(folder: Path, *rows: str) -> Path:
    (folder / "t.csv").write_text("".join(f"{row}\n" for row in rows))
    return folder / "t.csv"


BOX, OTHER = "0.1,0.1,0.5,0.9", "0.2,0.1,0.5,0.9"


def test_rows_of_one_place_are_a_box_and_those_that_repeat_an_action_are_another(tmp_path: Path) -> None:
    table = written(
        tmp_path,
        *(f"a,1,{BOX},12,0.5", f"a,1,{OTHER},12,1.5", f"a,1,{BOX},14,2.5"),
        *(f"a,1,{BOX},12,3.5", f"a,2,{BOX},12,4.5", f"a,1,{OTHER},14,5.5"),
    )
    found = read_detections(table, LABELS)
    assert found.images == [("a", 1), ("a", 1), ("a", 1), ("a", 2)]
    assert found.boxes[:, 0].tolist() == [0.1, 0.2, 0.1, 0.1]
    assert found.rows.tolist() == [1, 2, 4, 5]
    columns = [LABELS.ids.index(number) for number in (12, 14)]
    assert found.scores[:, columns].tolist() == [[0.5, 2.5], [1.5, 5.5], [3.5, NONE], [4.5, NONE]]
    assert found.given.sum() == 6
    assert found.turns is not None
    assert found.turns[:, columns][found.given[:, columns]].tolist() == [0, 2, 1, 5, 3, 4]
    write_detections(tmp_path / "again.csv", found, LABELS)
    assert (tmp_path / "again.csv").read_text() == detections_text(found, LABELS)
    again = read_detections(tmp_path / "again.csv", LABELS)
    assert again.scores.tolist() == found.scores.tolist()
    assert (again.images, again.boxes.tolist()) == (found.images, found.boxes.tolist())


def test_no_more_scores_are_read_than_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = written(tmp_path, f"a,1,{BOX},12,0.5", f"a,1,{OTHER},12,1.5")
    monkeypatch.setattr(boxes, "MAX_SCORES", 2 * len(LABELS))
    assert len(read_detections(table, LABELS)) == 2
    monkeypatch.setattr(boxes, "MAX_SCORES", 2 * len(LABELS) - 1)
    with pytest.raises(DataError, match=f"2 boxes of {len(LABELS)} actions are too many"):
        read_detections(table, LABELS)


def test_rows_of_foreign_actions_are_left_out_and_told(tmp_path: Path) -> None:
    lowest = LABELS.ids[0]
    rows = [*(f"a,1,{BOX},12", f"a,1,{OTHER},999", f"a,2,{BOX},14", f"a,3,{BOX},998"), f"a,4,{BOX},{lowest}"]
    found = read_ground_truth(written(tmp_path, *rows), LABELS)
    assert found.actions.tolist() == [12, 14, lowest]
    assert (found.frames.tolist(), found.rows.tolist()) == ([1, 2, 4], [1, 3, 5])
    (note,) = found.notes
    assert note.startswith("2 rows of the ground truth")
    assert "ids 998, 999; first at row 2" in note
    assert read_ground_truth(written(tmp_path, rows[0]), LABELS).notes == ()
    with pytest.raises(DataError, match=r"none of its actions \(999\)"):
        read_ground_truth(written(tmp_path, rows[1]), LABELS)


def test_a_source_is_that_of_the_file_or_of_the_id(tmp_path: Path) -> None:
    head = "video_id,frame,x1,y1,x2,y2,action,source"
    rows = [f"a_001,1,{BOX},12,a", f"b_001,1,{BOX},12,x", f"b_001,2,{BOX},12,x"]
    found = read_ground_truth(written(tmp_path, head, *rows), LABELS)
    assert found.sources == {"b_001": "x"}
    assert [found.source(name) for name in ("a_001", "b_001", "c_001")] == ["a", "x", "c"]
    with pytest.raises(DataError, match="row 4: video 'b_001' has another source"):
        read_ground_truth(written(tmp_path, head, *rows[:2], f"b_001,2,{BOX},12,y"), LABELS)


def test_a_fingerprint_follows_from_all_of_the_content() -> None:
    rows = [("a", 1, WHOLE), ("b", 1, LEFT_HALF)]
    known = true([12, 14], *rows).fingerprint
    assert true([12, 14], *rows).fingerprint == known
    others = [
        true([12, 17], *rows),
        true([12, 14], rows[0], ("b", 2, LEFT_HALF)),
        true([12, 14], rows[0], ("c", 1, LEFT_HALF)),
        true([12, 14], rows[0], ("b", 1, RIGHT_HALF)),
        GroundTruth(**place(*rows), actions=np.array([12, 14]), sources={"a": "x"}),
    ]
    assert len({known, *(one.fingerprint for one in others)}) == 6
