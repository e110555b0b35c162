"""mAP as PySlowFast's evaluation of AVA computes it, whatever the rows of detections are and lack."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microg_bench import har
from microg_bench.errors import DataError
from microg_bench.persons import boxes
from microg_bench.scorecard import Scorecard
from tests.har.small import BOX_A, BOX_B, DETECTIONS, IDS, TRUTH, box, rising, scored, write
from tests.helpers import har_oracle

# Inputs and what the published evaluator gives for them; the file tells how to make it again.
STORED = json.loads(Path(__file__).with_name("evaluator.json").read_text())
CASES = {case["name"]: case for case in STORED["cases"]}
LABELS = har.LabelMap(tuple(STORED["ids"]), tuple(f"action {number}" for number in STORED["ids"]))


def evaluated(folder: Path, detections: str, truth: str) -> Scorecard:
    paths = write(folder, detections, truth)
    found, true = har.read_detections(paths[0], LABELS), har.read_ground_truth(paths[1], LABELS)
    return har.evaluate(found, true, LABELS, resamples=10)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_map_is_that_of_the_published_evaluator(tmp_path: Path, case: dict[str, Any]) -> None:
    card = evaluated(tmp_path, case["detections"], case["truth"])
    assert card.scores["mAP"].value == pytest.approx(case["mAP"], abs=1e-9)
    assert card.har is not None
    found = {str(action.id): action.AP for action in card.har.actions}
    assert found == pytest.approx(case["AP"], abs=1e-9)
    low, high = card.har.map_over_ties
    assert low == pytest.approx(case["mAP"], abs=1e-9) and high == pytest.approx(case["mAP"], abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_rows_changes_no_score(tmp_path: Path, seed: int) -> None:
    """Where no two boxes claim one true box, and no scores are equal."""
    expected = scored(*write(tmp_path), resamples=10)
    lines = DETECTIONS.splitlines(keepends=True)
    random.Random(seed).shuffle(lines)
    card = scored(*write(tmp_path, "".join(lines)), resamples=10)
    for name, entry in expected.scores.items():
        assert card.scores[name].value == pytest.approx(entry.value, abs=1e-9)
    assert card.warnings == expected.warnings


@pytest.mark.parametrize("seed", range(10))
def test_any_rows_agree_with_a_plain_evaluation(tmp_path: Path, seed: int) -> None:
    """Rows of few places in any order, with scores that are often equal, and frames without truth."""
    draw = random.Random(seed)
    places = [BOX_A, "0.1,0.1,0.45,0.9", "0.12,0.1,0.5,0.85", "0.5,0.5,0.9,0.9", "0.3,0.3,0.3,0.7"]
    frames = ["a_001,10", "a_001,11", "b_001,10", "c_001,10"]
    rows = [
        f"{draw.choice(frames)},{draw.choice(places)},{draw.choice(IDS[:4])},{draw.choice((-1, 0, 0.5, 2))}\n"
        for _ in range(80)
    ]
    truth = [
        f"{draw.choice(frames[:3])},{draw.choice(places)},{draw.choice(IDS[:5])},{person}\n"
        for person in range(12)
    ]
    paths = write(tmp_path, "".join(rows), "".join(truth))
    plain = har_oracle.evaluate(*map(har_oracle.read_rows, paths), list(IDS))
    assert scored(*paths).scores["mAP"].value == pytest.approx(plain["mAP"], abs=1e-9)


def test_a_score_that_is_not_given_is_below_all_others(tmp_path: Path) -> None:
    """F1, recall and AUROC are those of a file that gives a very low score instead; mAP too."""
    draw = random.Random(5)
    places = (BOX_A, BOX_B, "0.1,0.1,0.5,0.8", "0.5,0.5,0.9,0.9")
    whole = "".join(
        box(video, place, [round(draw.uniform(-3, 3), 3) for _ in IDS])
        for video in ("a_001", "b_001")
        for place in places
    )
    lines = whole.splitlines(keepends=True)
    low = [line if float(line.rsplit(",", 1)[1]) > -1 else line.rsplit(",", 1)[0] + ",-9\n" for line in lines]
    given = [line for line in low if not line.endswith(",-9\n")]
    truth = "".join(
        f"{video},10,{draw.choice(places)},{draw.choice(IDS[:8])},0\n" for video in ("a_001", "b_001") * 8
    )
    expected = scored(*write(tmp_path, "".join(low), truth))
    card = scored(*write(tmp_path, "".join(given), truth))
    assert len(given) < len(low)
    for name in ("F1", "recall", "AUROC"):
        assert card.scores[name].value == pytest.approx(expected.scores[name].value, abs=1e-9)


def test_arrays_may_lack_scores_and_give_their_order(tmp_path: Path) -> None:
    (case,) = (case for name, case in CASES.items() if name.startswith("low scores left out"))
    paths = write(tmp_path, case["detections"], case["truth"])
    read, true = har.read_detections(paths[0], LABELS), har.read_ground_truth(paths[1], LABELS)
    assert np.isneginf(read.scores).any() and read.turns is not None
    made = har.Detections(read.video_ids, read.frames, read.boxes, read.scores, turns=read.turns)
    card = har.evaluate(made, true, LABELS, resamples=0)
    assert card.scores["mAP"].value == pytest.approx(case["mAP"], abs=1e-9)
    with pytest.raises(DataError, match="turns must have the shape of the scores"):
        har.Detections(read.video_ids, read.frames, read.boxes, read.scores, turns=read.turns[:, :1])
    for wrong in (np.nan, np.inf):
        with pytest.raises(DataError, match="a score is not a finite number"):
            har.Detections(read.video_ids, read.frames, read.boxes, np.full(read.scores.shape, wrong))


def test_the_box_of_an_action_given_twice_is_given_twice(tmp_path: Path) -> None:
    lines = DETECTIONS + f"a_001,10,{BOX_A},12,0.75\n"
    (tmp_path / "d.csv").write_text(lines)
    read = har.read_detections(tmp_path / "d.csv", har.read_label_map())
    assert len(read) == 3
    assert read.rows.tolist() == [1, 51, 101]
    assert read.given.sum(axis=1).tolist() == [50, 50, 1]
    assert "1 box given before in its frame, and counted again" in " ".join(
        scored(*write(tmp_path, lines, TRUTH)).warnings
    )


def test_very_many_boxes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boxes, "MAX_SCORES", 99)
    (tmp_path / "d.csv").write_text(box("a_001", BOX_A, rising(0)) + f"a_001,10,{BOX_B},12,0.75\n")
    with pytest.raises(DataError, match=r"d\.csv: 2 boxes of 50 actions are too many"):
        har.read_detections(tmp_path / "d.csv", har.read_label_map())
