from __future__ import annotations

import lzma
from itertools import product
from pathlib import Path

import numpy as np
import polars
import pytest

from microg_bench.dataset.annotations import source_of
from microg_bench.errors import DataError
from microg_bench.persons.source_split import PARTS, split_sources

SHARES = (0.7, 0.1, 0.2)


def made(sources: dict[str, tuple[int, set[int]]]) -> dict[str, set[int]]:
    """Clips of sources, each of which is given its number of clips and the actions that they show."""
    return {f"{name}_{k:03d}": shown for name, (count, shown) in sources.items() for k in range(count)}


def sources_of(parts: dict[str, list[str]]) -> dict[str, set[str]]:
    return {part: {source_of(name) for name in names} for part, names in parts.items()}


def test_the_real_clips_stay_with_their_sources_in_the_wanted_shares(shared: Path) -> None:
    rows = polars.read_csv(lzma.decompress((shared / "data/har/keyframe_boxes.csv.xz").read_bytes()))
    shown = rows.group_by("video_id").agg(polars.col("action_id"))
    actions = {name: set(own) for name, own in shown.iter_rows()}
    parts = split_sources(actions, SHARES, seed=42)
    assert sorted(name for names in parts.values() for name in names) == sorted(actions)
    train, val, test = sources_of(parts).values()
    assert not (train & val or train & test or val & test)
    for part, share in zip(PARTS, SHARES, strict=True):
        assert len(parts[part]) / len(actions) == pytest.approx(share, abs=0.02)
    covered = {part: set().union(*(actions[name] for name in names)) for part, names in parts.items()}
    assert covered["train"] == set().union(*actions.values())
    assert len(covered["test"]) >= 38
    assert parts == split_sources(dict(reversed(actions.items())), SHARES, seed=42)


def test_the_only_source_of_an_action_is_in_train() -> None:
    clips = made({"a": (2, {1}), "b": (70, {2}), "c": (10, {2}), "d": (18, {2, 3}), "e": (20, {3})})
    for seed in range(5):
        assert "a" in sources_of(split_sources(clips, SHARES, seed))["train"]


def test_no_part_is_empty_where_there_are_three_sources() -> None:
    clips = made({"a": (50, {1}), "b": (50, {2}), "c": (50, {3})})
    assert {part: len(names) for part, names in split_sources(clips, SHARES, 42).items()} == {
        "train": 50,
        "val": 50,
        "test": 50,
    }


def test_it_is_as_good_as_trying_every_division() -> None:
    sizes = [13, 2, 30, 7, 7, 11, 4]
    clips = made({chr(97 + k): (size, {1}) for k, size in enumerate(sizes)})
    every = np.array(list(product(range(3), repeat=len(sizes))))
    totals = np.stack([(every == part) @ np.array(sizes) for part in range(3)], axis=1)
    apart = np.abs(totals / sum(sizes) - SHARES).sum(axis=1)[(totals > 0).all(axis=1)]
    parts = split_sources(clips, SHARES, 42)
    found = sum(abs(len(parts[part]) / sum(sizes) - share) for part, share in zip(PARTS, SHARES, strict=True))
    assert found < apart.min() + 0.02


def test_two_sources_cannot_be_kept_together_in_three_parts() -> None:
    with pytest.raises(DataError, match="the clips are of 2 sources: .* needs three"):
        split_sources(made({"a": (5, {1}), "b": (5, {2})}), SHARES, 42)
