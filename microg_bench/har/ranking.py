"""The order of the boxes by score, for every action at once, and where scores are equal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
Places = NDArray[np.intp]


@dataclass(frozen=True)
class Ranking:
    """The boxes of each action from the lowest score to the highest, equal ones in the order of the file.

    Attributes:
        order: shape (actions, n), the box in each place.
        lower: shape (actions, n), how many boxes score lower than the one in each place.
        not_higher: shape (actions, n), how many do not score higher, itself among them.
    """

    order: Places
    lower: Places
    not_higher: Places

    @classmethod
    def of(cls, scores: NDArray[np.float64]) -> Ranking:
        """Rank boxes, at least one, by their scores of shape (n, actions)."""
        count = len(scores)
        by_action = np.ascontiguousarray(scores.T)
        order = np.argsort(by_action, axis=1)
        ordered = np.take(by_action, order + count * np.arange(len(order))[:, None])
        rises = ordered[:, 1:] != ordered[:, :-1]
        places = np.arange(1, count)
        lower, not_higher = np.zeros_like(order), np.full_like(order, count)
        np.maximum.accumulate(np.where(rises, places, 0), axis=1, out=lower[:, 1:])
        reverse = np.where(rises, places, count)[:, ::-1]
        not_higher[:, :-1] = np.minimum.accumulate(reverse, axis=1)[:, ::-1]
        # Keys that are all different need no stable sort, which of scores would take three times as long.
        return cls(np.sort(lower * count + order, axis=1) - lower * count, lower, not_higher)

    def by_place(self, flags: Flags) -> Flags:
        """Flags of the boxes, shape (n, actions), in the order of the places, shape (actions, n)."""
        actions = np.arange(len(self.order))[:, None]
        return np.take(flags, self.order * len(actions) + actions)
