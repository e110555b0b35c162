"""Cuts are found in every frame, and nothing else is one."""

import numpy as np
import pytest
from numpy.typing import NDArray

from microg_bench.curation.cut import filter_cuts
from microg_bench.curation.recipe import read_curation_recipe

pytest.importorskip("scenedetect", reason="the extra curate is not installed")
SETTINGS = read_curation_recipe("paper").cut


@pytest.fixture(scope="module")
def pictures(shared: object) -> list[NDArray[np.uint8]]:
    from pathlib import Path

    from PIL import Image

    media = Path(str(shared)) / "media"
    names = ("astronaut.png", "rocket.jpg")
    return [np.asarray(Image.open(media / name).convert("RGB").resize((640, 480))) for name in names]


def shot(picture: NDArray[np.uint8], count: int, step: int = 1) -> list[NDArray[np.uint8]]:
    """A camera that moves slowly over a picture."""
    return [np.roll(picture, step * number, axis=1) for number in range(count)]


@pytest.mark.parametrize("at", [1, 8, 45, 84, 89])
def test_a_cut_is_found_wherever_it_is(pictures: list[NDArray[np.uint8]], at: int) -> None:
    frames = np.stack([*shot(pictures[0], at), *shot(pictures[1], 90 - at)])
    found = filter_cuts(frames, 30.0, SETTINGS)
    assert (found.passed, found.numbers["cuts"]) == (False, [at])
    assert found.reason == f"a cut at frame {at}"


def test_all_cuts_are_told(pictures: list[NDArray[np.uint8]]) -> None:
    lengths = (1, 7, 37, 39, 6)
    frames = np.stack([one for k, length in enumerate(lengths) for one in shot(pictures[k % 2], length)])
    assert filter_cuts(frames, 30.0, SETTINGS).numbers["cuts"] == [1, 8, 45, 84]


def test_motion_is_no_cut(pictures: list[NDArray[np.uint8]]) -> None:
    for picture in pictures:
        found = filter_cuts(np.stack(shot(picture, 90, step=3)), 30.0, SETTINGS)
        assert (found.passed, found.numbers["cuts"]) == (True, [])
