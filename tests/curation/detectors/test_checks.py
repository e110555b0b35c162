"""What a detector returns is an array of boxes in the picture for each frame, or names the detector."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from microg_bench.curation.detectors.checks import DETECTED, TRACKED, checked_boxes
from microg_bench.errors import EngineError

SHAPE = (2, 48, 64, 3)
GOOD = [1.0, 2, 30, 40, 0.5]


def test_what_is_right_is_taken_as_it_is() -> None:
    given = [np.array([GOOD, [0, 0, 64, 48, 1]], np.float32), np.zeros((0, 5))]
    first, second = checked_boxes(given, SHAPE, DETECTED, "lab")
    assert first.tolist() == [GOOD, [0, 0, 64, 48, 1]]
    assert first.dtype == np.float64 and second.shape == (0, 5)


def test_boxes_that_overhang_are_cut_to_the_picture() -> None:
    given = np.array([[-3, -5.5, 70, 50, 0.9], [60, 40, 64.01, 48.5, 0]])
    first, second = checked_boxes([given, given[:1]], SHAPE, DETECTED, "lab")
    assert first.tolist() == [[0, 0, 64, 48, 0.9], [60, 40, 64, 48, 0]]
    assert second.tolist() == [[0, 0, 64, 48, 0.9]]
    assert given[0, 0] == -3, "what the detector keeps is not changed"


def test_boxes_without_area_are_left_out() -> None:
    rows = [[64, 2, 80, 40, 0.5], GOOD, [3, 4, 3, 9, 0.5], [3, 4, 9, 4.0004, 0.5], [1, -9, 30, 0, 0.5]]
    first, second = checked_boxes([rows, rows[:1]], SHAPE, DETECTED, "lab")
    assert (first.tolist(), second.shape) == ([GOOD], (0, 5))


def test_a_track_is_in_a_frame_once() -> None:
    rows = [[*GOOD, -1], [*GOOD, -1], [*GOOD, 3]]
    assert len(checked_boxes([rows, rows[2:]], SHAPE, TRACKED, "lab")[0]) == 3
    with pytest.raises(EngineError, match="detector lab: frame 2: track 3 is there twice"):
        checked_boxes([rows, [*rows, [*GOOD, 3]]], SHAPE, TRACKED, "lab")


def test_an_empty_array_is_no_person_whatever_its_shape() -> None:
    assert [one.shape for one in checked_boxes([[], np.zeros((0, 4))], SHAPE, TRACKED, "lab")] == [(0, 6)] * 2


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (None, "returns NoneType, not a list"),
        ([[GOOD]], "returns 1 arrays for 2 frames"),
        ([[GOOD]] * 3, "returns 3 arrays for 2 frames"),
        ([[GOOD], GOOD], r"frame 2: has shape \(5,\), not \(n, 5\)"),
        ([[GOOD[:4]], []], r"frame 1: has shape \(1, 4\), not \(n, 5\)"),
        ([[], [[*GOOD, 1]]], r"frame 2: has shape \(1, 6\), not \(n, 5\)"),
        ([[GOOD, GOOD[:4]], []], "frame 1: is no array of numbers"),
        ([[["a"] * 5], []], "frame 1: is no array of numbers"),
        ([[GOOD, [1, 2, float("nan"), 4, 0.5]], []], "frame 1: holds a number that is not finite: 1, 2, nan"),
        ([[[1, 2, 3, float("inf"), 0.5]], []], "frame 1: holds a number that is not finite"),
        ([[[30, 2, 1, 40, 0.5]], []], "frame 1: box 30, 2, 1, 40 is turned around"),
        ([[[1, 40, 30, 2, 0.5]], []], "is turned around"),
        ([[[65, 2, 80, 40, 0.5]], []], "box 65, 2, 80, 40 is outside of the picture of 64 x 48"),
        ([[[1, 49, 30, 60, 0.5]], []], "is outside"),
        ([[[-9, 2, -1, 40, 0.5]], []], "is outside"),
        ([[[1, -9, 30, -2, 0.5]], []], "is outside"),
        ([[[1, 2, 30, 40, 90]], []], "confidence 90 is not from 0 to 1"),
        ([[], [[1, 2, 30, 40, -0.1]]], "frame 2: confidence -0.1 is not from 0 to 1"),
    ],
)
def test_what_is_wrong_is_told_with_the_detector(found: Any, reason: str) -> None:
    with pytest.raises(EngineError, match=f"^detector lab: {reason}|^detector lab: frame 1: .*{reason}"):
        checked_boxes(found, SHAPE, DETECTED, "lab")


@pytest.mark.parametrize("track", [-2, 0.5])
def test_a_track_is_a_whole_number(track: float) -> None:
    given = [[[*GOOD, -1]], [[*GOOD, 3]]]
    assert [one[0, 5] for one in checked_boxes(given, SHAPE, TRACKED, "lab")] == [-1, 3]
    with pytest.raises(EngineError, match="frame 2: track .* is no whole number from -1"):
        checked_boxes([[], [[*GOOD, track]]], SHAPE, TRACKED, "lab")
