"""The published split: 70% train, 10% validation, 20% test, by video, with every action in train."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

TRAIN, VALIDATION = 0.7, 0.1
SEED = 42


def split_videos(actions: Mapping[str, Iterable[int]], seed: int = SEED) -> dict[str, list[str]]:
    """Divide videos into `train`, `val` and `test`, each a list of video ids in no order.

    Train first takes videos that together cover all actions, at each step the one that adds most (the first
    by name, where several do). The others are shuffled by NumPy's legacy generator, whose numbers do not
    change between versions, and fill train up to ⌊0.7 n⌋ videos, then validation with ⌊0.1 n⌋; test has what
    is left. On the key frames of MicroG-4M, seed 42 gives the split of the paper, video by video.

    Args:
        actions: the action ids of each video id.
        seed: of the shuffle.
    """
    names = sorted(actions)
    covering = _cover({name: set(actions[name]) for name in names})
    rest = [name for name in names if name not in covering]
    order = np.random.RandomState(seed).permutation(len(rest))
    shuffled = [rest[index] for index in order]
    more = max(int(TRAIN * len(names)) - len(covering), 0)
    held = more + int(VALIDATION * len(names))
    return {"train": covering + shuffled[:more], "val": shuffled[more:held], "test": shuffled[held:]}


def _cover(actions: Mapping[str, set[int]]) -> list[str]:
    """Videos that together show every action, chosen greedily."""
    missing = set().union(*actions.values())
    chosen = []
    while missing:
        best = max(actions, key=lambda name: len(actions[name] & missing))
        chosen.append(best)
        missing -= actions[best]
    return chosen
