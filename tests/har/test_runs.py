"""What the folder of a run or a training is refused for, in words."""

from pathlib import Path

import pytest

from microg_bench.errors import RunError
from microg_bench.har.runs import SETTINGS, TRAINING, claim
from microg_bench.records import Record


class Some(Record):
    recipe: str = "fixed"
    train: str = "a"
    val: str = "b"
    key_frames: str = "c"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ({"train": "x"}, {}, "was trained on other key frames than those given"),
        ({"val": "x"}, {}, "was evaluated on other key frames than those given"),
        ({"val": ""}, {}, "nothing was evaluated there"),
        ({}, {"val": ""}, "key frames were evaluated there, and none are given"),
        ({"key_frames": "x"}, {}, "looked at other key frames than those given"),
        ({"recipe": "paper"}, {}, "recipe: is paper there and fixed here"),
    ],
)
def test_another_run_is_refused_in_words(
    tmp_path: Path, old: dict[str, str], new: dict[str, str], said: str
) -> None:
    claim(tmp_path, TRAINING, Some(**old))
    with pytest.raises(RunError) as caught:
        claim(tmp_path, TRAINING, Some(**new))
    assert str(caught.value) == f"{tmp_path}: {said}: give another folder as --run"


def test_the_same_run_and_free_fields_are_accepted(tmp_path: Path) -> None:
    claim(tmp_path, TRAINING, Some())
    claim(tmp_path, TRAINING, Some(train="x"), free=["train"])
    with pytest.raises(RunError, match="folder of another run"):
        claim(tmp_path, SETTINGS, Some())
