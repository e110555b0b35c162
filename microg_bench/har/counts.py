"""From counts a video to scores: mAP, F1, recall and AUROC of any weighting of the videos, boxes unread.

A resample draws some videos twice and others not at all, so it is a weight for each video; the score of the
whole set is that of weights of 1. `Counts` holds what the scores need, by action and group of videos.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from microg_bench.har.ranking import Flags, Places, Ranking

Array = NDArray[np.float64]
AT_ONCE = 2**18  # numbers; what they take then fits the processor's cache
THRESHOLD = 0.5  # on the raw logit, as published: a probability of 0.622


@dataclass(frozen=True)
class Hits:
    """The t true positives, action by action, the lowest score first; g groups of videos.

    Attributes:
        action: shape (t,), of each.
        group: shape (t,), of each.
        ahead: shape (t, g), boxes that rank no lower than it, by group.
    """

    action: Places
    group: Places
    ahead: Array


@dataclass(frozen=True)
class Pairs:
    """Pairs of a box whose frame shows an action and one that scores lower; equal scores are half a pair.

    The boxes that show the action are taken together where they are of one group: p such sets, g groups.

    Attributes:
        action: shape (p,), that is shown, in ascending order.
        group: shape (p,), of the boxes that show it.
        below: shape (p, g), how many pairs, by the group of the lower one.
    """

    action: Places
    group: Places
    below: Array


@dataclass(frozen=True)
class Counts:
    """What the scores need of a actions and g groups of videos.

    Attributes:
        examples: shape (a, g), true boxes.
        shown: shape (a, g), boxes whose frame shows the action.
        claimed: shape (a, g), boxes with logit at least 0.5.
        agreed: shape (a, g), boxes of which both are true.
        boxes: shape (g,), all boxes.
        hits: see there.
        pairs: see there.
    """

    examples: Array
    shown: Array
    claimed: Array
    agreed: Array
    boxes: Array
    hits: Hits
    pairs: Pairs

    def average_precision(self, weights: Array) -> Array:
        """Average precision, 0 to 1, NaN without examples; shape (a, r), for weights of shape (g, r)."""
        hits = self.hits
        return _areas(hits.action, weights[hits.group], hits.ahead @ weights, self.examples @ weights)

    def f1(self, weights: Array) -> Array:
        """2·TP / (2·TP + FP + FN), 0 where undefined; shapes as in `average_precision`."""
        return _ratio(2 * self.agreed @ weights, (self.claimed + self.shown) @ weights, 0)

    def recall(self, weights: Array) -> Array:
        """TP / (TP + FN), 0 where undefined; shapes as in `average_precision`."""
        return _ratio(self.agreed @ weights, self.shown @ weights, 0)

    def auroc(self, weights: Array) -> Array:
        """The share of pairs of a box that shows the action and one that does not that are ranked so.

        Equal scores count half (Mann and Whitney 1947); NaN where all boxes, or none, show it; shapes as in
        `average_precision`.
        """
        pairs, positives = self.pairs, self.shown @ weights
        ordered = _sums(pairs.action, weights[pairs.group] * (pairs.below @ weights), len(self.shown))
        # Pairs of two boxes that show it are in the sum too; each pair gives 1 in all, from one side or both.
        return _ratio(ordered - positives**2 / 2, positives * (self.boxes @ weights - positives), np.nan)


def count(
    scores: Array, ranking: Ranking, right: Flags, shown: Flags, in_use: Flags, groups: Array, examples: Array
) -> Counts:
    """Count all actions; equal scores are ranked the last of the file first, which is the published way.

    Args:
        scores: shape (n, a), a logit for each box and action.
        ranking: of the scores.
        right: shape (n, a), whether the box is a true positive.
        shown: shape (n, a), whether its frame shows the action.
        in_use: shape (n,), whether it takes part in the ranking of average precision.
        groups: shape (n, g), 1 where the box is in the group, else 0.
        examples: shape (a, g), true boxes of the action, by group.
    """
    claimed = scores >= THRESHOLD
    hits, pairs = _ranked(ranking, right, shown, in_use, groups)
    return Counts(
        examples=examples,
        shown=shown.T @ groups,
        claimed=claimed.T @ groups,
        agreed=(claimed & shown).T @ groups,
        boxes=groups.sum(axis=0),
        hits=hits,
        pairs=pairs,
    )


def _ranked(ranking: Ranking, right: Flags, shown: Flags, in_use: Flags, groups: Array) -> tuple[Hits, Pairs]:
    """What `count` takes from the order of the boxes; arguments as there."""
    right, shown = ranking.by_place(right), ranking.by_place(shown)
    member = groups.argmax(axis=1)
    hits, pairs = [], []
    step = max(1, AT_ONCE // groups.size)
    for start in range(0, len(right), step):
        part = slice(start, start + step)
        order, lower, not_higher = ranking.order[part], ranking.lower[part], ranking.not_higher[part]
        run = _running(groups[order])
        ranked = run if in_use.all() else _running(groups[order] * in_use[order, None])
        action, place = np.nonzero(right[part])
        ahead = ranked[action, -1] - ranked[action, place]
        hits.append((start + action, member[order[action, place]], ahead))
        action, place = np.nonzero(shown[part])
        below = (run[action, lower[action, place]] + run[action, not_higher[action, place]]) / 2
        pairs.append((start + action, member[order[action, place]], below))
    return Hits(*_joined(hits)), _by_group(*_joined(pairs))


def _joined(parts: list[tuple[Places, Places, Array]]) -> tuple[Places, Places, Array]:
    actions, groups, rows = zip(*parts, strict=True)
    return np.concatenate(actions), np.concatenate(groups), np.concatenate(rows)


def _by_group(action: Places, group: Places, below: Array) -> Pairs:
    """Pairs of single boxes, shape (n, g), added up where the action and the group of the box are one."""
    keys = action * below.shape[1] + group
    order = np.argsort(keys)
    starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    first = order[starts]
    return Pairs(action[first], group[first], np.add.reduceat(below[order], starts, axis=0))


def _running(rows: Array) -> Array:
    """Sums of the rows before each place, shape (..., n + 1, g), of shape (..., n, g)."""
    sums = np.zeros((*rows.shape[:-2], rows.shape[-2] + 1, rows.shape[-1]))
    np.cumsum(rows, axis=-2, out=sums[..., 1:, :])
    return sums


def _sums(keys: Places, rows: Array, count: int) -> Array:
    """Sums of the rows, shape (n, k), of each key from 0 to `count` - 1; keys ascend; shape (count, k)."""
    sums = np.zeros((count, rows.shape[1]))
    if len(keys):
        starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        sums[keys[starts]] = np.add.reduceat(rows, starts, axis=0)
    return sums


def precision_over_ties(ranking: Ranking, right: Flags, in_use: Flags, examples: NDArray[np.int64]) -> Array:
    """Lowest and highest average precision, 0 to 1, over all orders of equal scores; NaN without examples.

    Precision falls where a true positive goes behind an equal score, so the bounds have the true positives of
    each set of equal scores all behind, or all in front.

    Args:
        ranking: of the scores.
        right: as in `count`.
        in_use: as in `count`.
        examples: shape (a,), true boxes of each action.

    Returns:
        Shape (a, 2).
    """
    hits = ranking.by_place(right)
    used, found = _before(in_use[ranking.order]), _before(hits)
    action, place = np.nonzero(hits)
    lower, not_higher = ranking.lower[action, place], ranking.not_higher[action, place]
    of_this_score = found[action, not_higher] - found[action, lower]
    among_them = found[action, not_higher] - found[action, place]  # the highest of them 1
    front = used[action, -1] - used[action, not_higher] + among_them
    behind = used[action, -1] - used[action, lower] - of_this_score + among_them
    ranks = np.stack([behind, front], axis=1)
    return _areas(action, np.ones(ranks.shape), ranks, np.stack([examples, examples], axis=1))


def _before(flags: Flags) -> Places:
    """How many flags stand before each place, shape (a, n + 1), of shape (a, n)."""
    counts = np.zeros((len(flags), flags.shape[1] + 1), np.intp)
    np.cumsum(flags, axis=1, out=counts[:, 1:])
    return counts


def _areas(action: Places, gained: Array, ahead: Array, examples: NDArray[np.number]) -> Array:
    """Area under each precision-recall curve, precision made monotone (Everingham et al. 2010), 0 to 1.

    Σ ΔR · max of the precisions at this recall and above; NaN without examples. Shape (a, r).

    Args:
        action: shape (t,), of each true positive, ascending; within an action the lowest score is first.
        gained: shape (t, r), the weight of each true positive.
        ahead: shape (t, r), the weight of all that rank no lower.
        examples: shape (a, r), the weight of all true boxes.
    """
    ends = np.searchsorted(action, np.arange(len(examples)), "right")
    before = _running(gained)
    precision = _ratio(before[ends[action]] - before[:-1], ahead, 0)
    for start, end in pairwise((0, *ends)):
        np.maximum.accumulate(precision[start:end], axis=0, out=precision[start:end])
    return _ratio(_sums(action, gained * precision, len(examples)), examples, np.nan)


def _ratio(above: Array, below: NDArray[np.number], empty: float) -> Array:
    """`above` / `below`, and `empty` where `below` is 0."""
    found: Array = np.divide(above, below, out=np.full(np.shape(above), float(empty)), where=below != 0)
    return found
