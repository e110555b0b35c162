"""Recipes are read whole, and every fault is named."""

from pathlib import Path

import pytest

from microg_bench.curation.recipe import FOLDER, read_curation_recipe
from microg_bench.errors import MicrogError


def test_the_published_values_are_those_of_the_paper() -> None:
    recipe = read_curation_recipe("paper")
    assert (recipe.trim.seconds, recipe.trim.fps, recipe.trim.height) == (3, 30, 480)
    assert (recipe.person.share, recipe.cut.threshold, recipe.motion.threshold) == (0.6, 40.0, 95)
    low, high = recipe.tracks.low, recipe.tracks.high
    assert (low.every, low.detections, low.area) == (5, 3, 0.1)
    assert (high.every, high.detections, high.area) == (3, 2, 0.2)


def test_a_file_is_a_recipe(tmp_path: Path) -> None:
    text = (FOLDER / "paper.toml").read_text()
    (tmp_path / "own.toml").write_text(text.replace("height = 480", "height = 720"))
    assert read_curation_recipe(tmp_path / "own.toml").trim.height == 720


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("height = 480", "height = 481", "trim.height"),
        ("threshold = 40.0", "", "cut.threshold: Field required"),
        ("share = 0.6", "share = 2", "person.share"),
        ("share = 0.6", "share = 0.6\nmore = 1", "person.more: Extra inputs"),
        ("[cut]", "[cut", "is no TOML"),
    ],
)
def test_a_fault_is_named(tmp_path: Path, old: str, new: str, reason: str) -> None:
    text = (FOLDER / "paper.toml").read_text()
    assert old in text
    (tmp_path / "own.toml").write_text(text.replace(old, new))
    with pytest.raises(MicrogError) as caught:
        read_curation_recipe(tmp_path / "own.toml")
    assert reason in str(caught.value) and "own.toml" in str(caught.value)


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(MicrogError, match=r"--recipe: unknown recipe 'papers'.*paper"):
        read_curation_recipe("papers")
