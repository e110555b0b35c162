"""Motion is measured on pictures that move by known steps."""

import numpy as np
import pytest
from numpy.typing import NDArray

from microg_bench.curation.motion import measure_motion
from microg_bench.curation.recipe import read_curation_recipe

cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
SETTINGS = read_curation_recipe("paper").motion


def scene(step: float, scale: int = 1, corners: int = 40, count: int = 90) -> NDArray[np.uint8]:
    """White squares on black that all move to the right by `step` pixels a frame; all sizes times `scale`."""
    rng = np.random.default_rng(3)
    grid = [(x, y) for x in range(40, 240, 40) for y in range(30, 220, 24)]
    places = rng.permutation(grid)[:corners]
    frames = []
    for number in range(count):
        image = np.zeros((240 * scale, 320 * scale), np.uint8)
        for x, y in places:
            left = round((x + step * number) * scale)
            image[y * scale : (y + 8) * scale, left : left + 8 * scale] = 255
        frames.append(np.repeat(image[:, :, None], 3, axis=2))
    return np.stack(frames)


def numbers(frames: NDArray[np.uint8]) -> dict[str, float]:
    found = measure_motion(frames, 30.0, SETTINGS)
    assert found.passed
    return dict(found.numbers)  # type: ignore[arg-type]


def test_a_still_scene_does_not_move() -> None:
    found = numbers(scene(0))
    assert found["sum"] == pytest.approx(0, abs=0.5)
    assert found["motion"] == "low"


def test_a_moving_scene_is_measured() -> None:
    found = numbers(scene(2))
    assert found["speed"] == pytest.approx(2 * 30 / 400, rel=0.1), "2 pixels a frame, in diagonals of 400"
    assert found["sum"] == pytest.approx(2 * 40, rel=0.05), "a corner for each square"
    assert found["motion"] == "low"
    assert numbers(scene(3))["motion"] == "high"


def test_speed_does_not_depend_on_resolution_and_the_number_of_corners() -> None:
    small, large, few = numbers(scene(1)), numbers(scene(1, scale=2)), numbers(scene(1, corners=10))
    assert large["speed"] == pytest.approx(small["speed"], rel=0.15)
    assert few["speed"] == pytest.approx(small["speed"], rel=0.15)
    assert large["sum"] > 1.6 * small["sum"]
    assert few["sum"] < 0.6 * small["sum"]


def test_only_the_first_second_is_measured() -> None:
    frames = scene(0)
    frames[30:] = scene(4)[30:]
    assert numbers(frames) == numbers(scene(0))


def test_a_picture_without_corners_does_not_move() -> None:
    assert numbers(np.full((90, 48, 64, 3), 9, np.uint8)) == {"sum": 0.0, "speed": 0.0, "motion": "low"}
