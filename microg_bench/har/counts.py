"""From counts a video to scores: mAP, F1, recall and AUROC of any weighting of the videos, boxes unread.

A resample draws some videos twice and others not at all, so it is a weight for each video; the score of the
whole set is that of weights of 1. `Counts` holds what the scores need of each action, by group of videos.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Places = NDArray[np.intp]
THRESHOLD = 0.5  # on the raw logit, as published: a probability of 0.622


@dataclass(frozen=True)
class Counts:
    """What the scores need of one action; g groups of videos, p boxes whose frame shows it, t true positives.

    Attributes:
        examples: shape (g,), true boxes.
        hits: shape (t,), group of each true positive, the highest score first.
        ahead: shape (t, g), boxes that rank no lower than it, by group.
        shown: shape (p,), group of each box whose frame shows the action.
        below: shape (p, g), boxes that score lower than it, and half of those that score the same, by group.
        boxes: shape (g,), all boxes.
        agreed: shape (g,), boxes with logit at least 0.5 whose frame shows it.
        claimed: shape (g,), boxes with logit at least 0.5.
    """

    examples: Array
    hits: Places
    ahead: Array
    shown: Places
    below: Array
    boxes: Array
    agreed: Array
    claimed: Array

    def average_precision(self, weights: Array) -> Array:
        """Average precision, 0 to 1, NaN without examples; shape (r,), for weights of shape (g, r)."""
        return _area(weights[self.hits], self.ahead @ weights, self.examples @ weights)

    def f1(self, weights: Array) -> Array:
        """2·TP / (2·TP + FP + FN), 0 where undefined; shapes as in `average_precision`."""
        return _ratio(2 * self.agreed @ weights, (self.claimed + self._shown_boxes) @ weights, 0)

    def recall(self, weights: Array) -> Array:
        """TP / (TP + FN), 0 where undefined; shapes as in `average_precision`."""
        return _ratio(self.agreed @ weights, self._shown_boxes @ weights, 0)

    def auroc(self, weights: Array) -> Array:
        """The share of pairs of a box that shows the action and one that does not that are ranked so.

        Equal scores count half (Mann and Whitney 1947); NaN where all boxes, or none, show it; shapes as in
        `average_precision`.
        """
        mine = weights[self.shown]
        positives = mine.sum(axis=0)
        # Pairs of two boxes that show it are in the sum too; each pair gives 1 in all, from one side or both.
        ordered = (mine * (self.below @ weights)).sum(axis=0) - positives**2 / 2
        return _ratio(ordered, positives * (self.boxes @ weights - positives), np.nan)

    @property
    def _shown_boxes(self) -> Array:
        return np.bincount(self.shown, minlength=len(self.boxes)).astype(float)


def count(
    scores: Array, order: Places, right: Flags, shown: Flags, in_use: Flags, groups: Array, examples: Array
) -> Counts:
    """Count one action; equal scores are ranked the last of the file first, which is the published way.

    Args:
        scores: shape (n,), a logit for each box.
        order: shape (n,), the boxes by ascending score, equal ones in the order of the file.
        right: shape (n,), whether it is a true positive.
        shown: shape (n,), whether its frame shows the action.
        in_use: shape (n,), whether it takes part in the ranking of average precision.
        groups: shape (n, g), 1 where the box is in the group, else 0.
        examples: shape (g,), true boxes of the action, by group.
    """
    member = groups.argmax(axis=1)
    run = _running(groups[order])
    ranked = run if in_use.all() else _running(groups[order] * in_use[order, None])
    hits = np.flatnonzero(right[order])[::-1]
    lower, not_higher = (np.searchsorted(scores[order], scores[shown], side) for side in ("left", "right"))
    claimed = scores >= THRESHOLD
    return Counts(
        examples=examples,
        hits=member[order[hits]],
        ahead=ranked[-1] - ranked[hits],
        shown=member[shown],
        below=(run[lower] + run[not_higher]) / 2,
        boxes=run[-1],
        agreed=groups[claimed & shown].sum(axis=0),
        claimed=groups[claimed].sum(axis=0),
    )


def _running(rows: Array) -> Array:
    """Sums of the rows before each place, shape (n + 1, g), of shape (n, g)."""
    sums = np.zeros((len(rows) + 1, rows.shape[1]))
    np.cumsum(rows, axis=0, out=sums[1:])
    return sums


def precision_over_ties(ordered: Array, right: Flags, examples: int) -> tuple[float, float]:
    """Lowest and highest average precision, 0 to 1, over all orders of equal scores; NaN without examples.

    Precision falls where a true positive goes behind an equal score, so the bounds have the true positives of
    each set of equal scores all behind, or all in front.

    Args:
        ordered: shape (n,), ascending scores of the boxes that take part in the ranking.
        right: shape (n,), whether each is a true positive.
        examples: true boxes of the action.
    """
    ours = ordered[right]
    lower, not_higher = (np.searchsorted(ordered, ours, side) for side in ("left", "right"))
    first, last = (np.searchsorted(ours, ours, side) for side in ("left", "right"))
    place = last - np.arange(len(ours))  # among the true positives of that score, the highest of them 1
    front = len(ordered) - not_higher + place
    behind = len(ordered) - lower - (last - first) + place
    everything = np.array([float(examples)])
    low, high = (
        _area(np.ones((len(ours), 1)), ranks[::-1, None].astype(np.float64), everything)[0]
        for ranks in (behind, front)
    )
    return float(low), float(high)


def _area(gained: Array, ahead: Array, examples: Array) -> Array:
    """Area under the precision-recall curve, precision made monotone (Everingham et al. 2010), 0 to 1.

    Σ ΔR · max of the precisions at this recall and above; NaN without examples. Shape (r,).

    Args:
        gained: shape (t, r), the weight of each true positive, the highest score first.
        ahead: shape (t, r), the weight of all that rank no lower.
        examples: shape (r,), the weight of all true boxes.
    """
    precision = _ratio(np.cumsum(gained, axis=0), ahead, 0)
    best = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    return _ratio((gained * best).sum(axis=0), examples, np.nan)


def _ratio(above: Array, below: Array, empty: float) -> Array:
    """`above` / `below`, and `empty` where `below` is 0."""
    found: Array = np.divide(above, below, out=np.full(np.shape(above), float(empty)), where=below != 0)
    return found
