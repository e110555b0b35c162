"""Missed and false actions, against a plain count box by box."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from microg_bench.errors import DataError
from microg_bench.har.analysis import JudgedBoxes, count_errors, footage, gaps, instead_of_missed, judge
from microg_bench.har.scoring import evaluate
from microg_bench.persons.boxes import Detections
from microg_bench.persons.keyframes import KeyFrame, KeyFrames
from tests.har.run_folders import LABELS, random_detections


def made(count: int, seed: int = 0, actions: int = 7) -> JudgedBoxes:
    """Boxes by chance, some of which were not looked at; logits are multiples of 0.5, so that some tie."""
    random = np.random.default_rng(seed)
    looked_at = random.random(count) < 0.8
    scores = np.round(random.normal(-0.5, 1, (count, actions)) * 2) / 2
    scores[~looked_at] = -np.inf
    return JudgedBoxes(random.random((count, actions)) < 0.3, scores, looked_at)


def key_frames(count: int = 3) -> KeyFrames:
    """Frames of two persons each, who do one and two things."""
    boxes = np.array([[0.1, 0.1, 0.4, 0.9], [0.5, 0.2, 0.875, 0.8]])
    items = tuple(
        KeyFrame(f"a_{k:03d}", Path("a.mp4"), k + 1, boxes, ((12,), (LABELS.ids[k], 79)))
        for k in range(count)
    )
    return KeyFrames(items, "made")


def test_what_was_predicted_instead_is_counted_as_box_by_box() -> None:
    judged = made(200)
    claimed: Counter[tuple[int, int]] = Counter()
    ranked: Counter[tuple[int, int]] = Counter()
    for true, scores, looked_at in zip(judged.true, judged.scores, judged.looked_at, strict=True):
        false = [k for k in range(7) if scores[k] >= 0.5 and not true[k]]
        for missed in (k for k in range(7) if looked_at and true[k] and scores[k] < 0.5):
            claimed.update((missed, other) for other in false)
            if not false:
                others = [missed, *(k for k in range(7) if not true[k])]
                ranked[missed, max(others, key=lambda k: scores[k])] += 1
    found = instead_of_missed(judged)
    for table, expected in zip(found, (claimed, ranked), strict=True):
        assert {(int(a), int(b)): int(table[a, b]) for a, b in np.argwhere(table)} == dict(expected)
    assert any(a == b for a, b in ranked) and any(a != b for a, b in ranked)
    assert not np.diag(found[0]).any()


def test_errors_are_those_of_the_chosen_boxes_and_actions() -> None:
    judged = made(100, seed=1)
    boxes, actions = np.arange(100) % 3 == 0, np.arange(7) < 4
    pairs = [
        (judged.true[n, k], judged.scores[n, k] >= 0.5)
        for n in range(0, 100, 3)
        for k in range(4)
        if judged.looked_at[n]
    ]
    found = count_errors(judged, boxes, actions)
    assert found.true == sum(true for true, _ in pairs)
    assert found.missed == sum(true and not claimed for true, claimed in pairs)
    assert found.claimed == sum(claimed for _, claimed in pairs)
    assert found.false == sum(claimed and not true for true, claimed in pairs)
    parts = [count_errors(judged, some, np.ones(7, bool)) for some in (boxes, ~boxes)]
    whole = count_errors(judged, np.ones(100, bool), np.ones(7, bool))
    assert sum(part.missed for part in parts) == whole.missed == judged.missed.sum()


def test_detections_stand_at_their_boxes_in_any_order() -> None:
    frames = key_frames()
    detections = random_detections(frames)
    order = np.random.default_rng(3).permutation(len(detections))
    shuffled = Detections(
        detections.video_ids[order],
        detections.frames[order],
        detections.boxes[order],
        detections.scores[order],
    )
    for one in (detections, shuffled):
        judged = judge(frames, one, LABELS)
        assert np.array_equal(judged.scores, detections.scores)
        assert judged.looked_at.all()
    actions = [{LABELS.ids[k] for k in np.flatnonzero(row)} for row in judged.true]
    assert actions == [set(shown) for item in frames.items for shown in item.actions]


def test_a_box_without_a_detection_is_no_error() -> None:
    frames = key_frames()
    given = random_detections(frames)
    judged = judge(
        frames, Detections(given.video_ids[:4], given.frames[:4], given.boxes[:4], given.scores[:4]), LABELS
    )
    assert judged.looked_at.tolist() == [True] * 4 + [False] * 2
    assert not judged.missed[4:].any() and not judged.claimed[4:].any()


def test_a_detection_elsewhere_is_refused() -> None:
    frames = key_frames()
    given = random_detections(frames)
    given.boxes[2, 0] += 0.01
    with pytest.raises(DataError, match=r"^made\.csv: box 3: is no box of the key frames \(made\)$"):
        judge(frames, given, LABELS)


def test_the_gap_is_that_of_the_scorecards(tmp_path: Path) -> None:
    from microg_bench.persons.boxes import GroundTruth

    frames = key_frames(20)
    rows = [
        (one.video_id, one.frame, box, action)
        for one in frames.items
        for box, shown in zip(one.boxes, one.actions, strict=True)
        for action in shown
    ]
    ids, numbers, boxes, actions = zip(*rows, strict=True)
    truth = GroundTruth(np.array(ids, object), np.array(numbers), np.array(boxes), np.array(actions))
    cards = [
        evaluate(random_detections(frames, seed, hits), truth, LABELS, resamples=0)
        for seed, hits in ((0, 0.9), (1, 0.2))
    ]
    first, second = (card.har.actions for card in cards if card.har)
    found = gaps(first, second)
    assert len(found) == len(LABELS)
    for gap, one, other in zip(found, first, second, strict=True):
        if one.AP is None or other.AP is None:
            assert gap is None and one.examples == 0
        else:
            assert gap == pytest.approx(other.AP - one.AP)
    assert min(gap for gap in found if gap is not None) < 0


def test_footage_is_told_by_the_dataset_else_by_the_name(tmp_path: Path) -> None:
    names = ["gravity_001", "SE4HsMj3Ke0_001"]
    assert footage(tmp_path, names) == {"gravity_001": "movie", "SE4HsMj3Ke0_001": "real"}
    (tmp_path / "actions.csv").write_text("video_id,movie_or_real,person_id,action\ngravity_001,r,1,12\n")
    assert footage(tmp_path, names) == {"gravity_001": "real", "SE4HsMj3Ke0_001": "real"}
