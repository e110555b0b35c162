"""The division of clips into shards."""

import random
from pathlib import Path

import pytest

from microg_bench.dataset.shards import divide, divide_clips, missing_shards
from microg_bench.errors import RunError, UsageError
from microg_bench.records import Clip, Question


def test_each_item_is_in_one_shard_in_its_order_and_sums_are_balanced() -> None:
    draw = random.Random(0)
    for count in (1, 2, 7, 50):
        weights = [draw.randint(1, 9) for _ in range(50)]
        shards = divide(range(50), weights, count)
        assert sorted(item for own in shards for item in own) == list(range(50))
        assert all(list(own) == sorted(own) for own in shards)
        sums = [sum(weights[item] for item in own) for own in shards]
        assert max(sums) - min(sums) <= max(weights)


def test_the_division_is_stable() -> None:
    # Folders of shards are continued by later versions.
    assert divide("abcdefg", [1, 7, 7, 2, 7, 1, 1], 3) == (("b", "d"), ("a", "c", "g"), ("e", "f"))
    assert divide("ab", [1, 1], 2) == (("a",), ("b",))


def test_a_clip_is_in_the_same_shard_whatever_the_task() -> None:
    questions = tuple(Question(text=f"What {k}?", answer="A") for k in range(6))
    clips = [
        Clip(video_id=f"c_{k:03}", source="c", caption="C", questions=questions[: k % 4]) for k in range(9)
    ]
    shards = divide_clips(clips, 3)
    assert {clip.video_id for own in shards for clip in own} == {clip.video_id for clip in clips}
    sums = [sum(1 + len(clip.questions) for clip in own) for own in shards]
    assert max(sums) - min(sums) <= 4


def test_more_shards_than_clips_are_refused() -> None:
    with pytest.raises(UsageError, match="--shard: 3 shards of 2 clips"):
        divide("ab", [1, 1], 3)


def test_shards_that_are_missing_or_do_not_fit_are_named() -> None:
    a, b = Path("a"), Path("b")
    assert missing_shards([("3/4", a), ("1/4", b)]) == ["2/4", "4/4"]
    assert missing_shards([("1/1", a)]) == []
    with pytest.raises(RunError, match="b: is shard 3/4, as is a"):
        missing_shards([("3/4", a), ("3/4", b)])
    with pytest.raises(RunError, match="b: is shard 1/8, but a is shard 3/4"):
        missing_shards([("3/4", a), ("1/8", b)])
