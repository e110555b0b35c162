"""The pixels of frames that show which person is meant, against a computation pixel by pixel."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from microg_bench.records import BoxForm, ShownPerson
from microg_bench.video.decode import Frames
from microg_bench.video.persons import COLOUR, LEAST, MARGIN, MOST, SMALLEST, WIDTH, with_person
from microg_bench.video.transforms import parse_transforms, transformed

BOXES = [
    (0.2, 0.25, 0.6, 0.9),
    (0.0, 0.0, 1.0, 1.0),
    (0.9, 0.8, 1.0, 1.0),
    (0.5, 0.5, 0.501, 0.5001),
    (0.999, 0.999, 1.0, 1.0),
]


def frames(height: int = 60, width: int = 80) -> Frames:
    pixels = np.random.default_rng(1).integers(0, 255, (3, height, width, 3), np.uint8)
    return Frames(pixels, (0, 4, 8), (0.0, 0.4, 0.8), 10.0, 9, 0.9)


def shown(form: BoxForm, box: tuple[float, float, float, float]) -> ShownPerson:
    return ShownPerson(frame=1, corners=box, form=form)


def edges(low: float, high: float, side: int) -> tuple[int, int]:
    first = min(max(0, round(low * side)), side - 1)
    return first, min(side, max(first + 1, round(high * side)))


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize(("height", "width"), [(60, 80), (480, 640)])
def test_a_drawn_box_is_a_red_line_inside_its_sides(
    box: tuple[float, float, float, float], height: int, width: int
) -> None:
    given = frames(height, width)
    found = with_person(given, shown("drawn", box)).pixels
    wide, tall = (
        max(0, SMALLEST / side - share) / 2
        for share, side in ((box[2] - box[0], width), (box[3] - box[1], height))
    )
    left, right = edges(box[0] - wide, box[2] + wide, width)
    top, bottom = edges(box[1] - tall, box[3] + tall, height)
    widest = max(1, int(MOST * min(right - left, bottom - top)))
    line = min(max(2, round(WIDTH * min(height, width))), widest)
    y, x = np.mgrid[:height, :width]
    inside = (left <= x) & (x < right) & (top <= y) & (y < bottom)
    near = np.minimum.reduce([x - left, right - 1 - x, y - top, bottom - 1 - y]) < line
    expected = np.where((inside & near)[None, :, :, None], np.array(COLOUR, np.uint8), given.pixels)
    assert np.array_equal(found, expected)
    assert (given.pixels != found).any()


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize(("height", "width"), [(60, 80), (480, 640)])
def test_a_crop_is_the_box_with_its_margin_as_far_as_the_frame_goes(
    box: tuple[float, float, float, float], height: int, width: int
) -> None:
    given = frames(height, width)
    found = with_person(given, shown("crop", box)).pixels
    wide = max(MARGIN * (box[2] - box[0]), (LEAST / width - (box[2] - box[0])) / 2)
    tall = max(MARGIN * (box[3] - box[1]), (LEAST / height - (box[3] - box[1])) / 2)
    left, right = edges(box[0] - wide, box[2] + wide, width)
    top, bottom = edges(box[1] - tall, box[3] + tall, height)
    y, x = np.mgrid[:height, :width]
    inside = (left <= x) & (x < right) & (top <= y) & (y < bottom)
    expected = given.pixels[:, inside].reshape(3, bottom - top, right - left, 3)
    assert np.array_equal(found, expected)
    assert found.flags.c_contiguous


def test_a_small_person_in_the_middle_is_cut_to_the_least_size() -> None:
    found = with_person(frames(480, 640), shown("crop", (0.5, 0.5, 0.52, 0.51))).pixels
    assert found.shape == (3, LEAST, LEAST, 3)


def test_persons_and_forms_are_told_apart_by_what_was_changed() -> None:
    told = {with_person(frames(), shown(form, box)).changed for form in ("drawn", "crop") for box in BOXES}
    assert len(told) == 2 * len(BOXES)


def test_a_box_is_drawn_before_frames_are_transformed() -> None:
    marked = with_person(frames(), shown("drawn", BOXES[0]))
    turned, order = transformed(marked, parse_transforms(["mirror", "reverse"]), "a_000")
    expected: NDArray[np.uint8] = marked.pixels[::-1, :, ::-1]
    assert np.array_equal(turned.pixels, expected)
    assert order == (8, 4, 0)
    assert turned.changed.startswith(marked.changed)
    assert turned.changed.endswith("mirror reverse")


def test_the_widest_line_of_a_frame_of_microg_4m_is_four_pixels() -> None:
    assert max(2, round(WIDTH * 480)) == math.floor(0.008 * 480 + 0.5) == 4


@pytest.mark.parametrize("box", [(0.5, 0.5, 0.5 + 12 / 640, 0.5 + 10 / 480), (0.5, 0.5, 0.5001, 0.5001)])
def test_a_small_box_is_seen_and_hides_little_of_what_is_in_it(
    box: tuple[float, float, float, float],
) -> None:
    given = Frames(np.zeros((1, 480, 640, 3), np.uint8), (0,), (0.0,), 10.0, 1, 0.1)
    red = (with_person(given, shown("drawn", box)).pixels == COLOUR).all(axis=3)[0]
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    area = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
    assert min(len(rows), len(columns)) >= SMALLEST
    assert red.sum() < area / 2
