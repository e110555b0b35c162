"""mAP, F1, recall and AUROC of any weighting of the videos, from counts per group of videos.

A resample draws some videos twice and others not at all, so it is a weight for each video; the score of the
whole set is that of weights of 1. `ActionCounts` holds what the scores need, by action and group of videos,
so that the boxes are read once for all resamples.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from microg_bench.metrics.base import Array

Flags = NDArray[np.bool_]
Places = NDArray[np.intp]
BLOCK = 2**18  # numbers that are worked on at a time; they fit the processor's cache
THRESHOLD = 0.5  # on the raw logit, as published: a probability of 0.622


@dataclass(frozen=True)
class Ranking:
    """The n boxes of each action from the lowest score to the highest, equal ones in a given order.

    Attributes:
        order: shape (actions, n), the box at each place.
        tie_start: shape (actions, n), the first place that has the score of each place: the number of boxes
            that score lower.
        tie_end: shape (actions, n), the place behind the last that has it: the number of boxes that do not
            score higher.
    """

    order: Places
    tie_start: Places
    tie_end: Places

    @classmethod
    def of(cls, scores: NDArray[np.float64], visits: NDArray[np.int64]) -> Ranking:
        """Rank boxes, at least one, by their scores of shape (n, actions), equal ones by ascending `visits`.

        A stable sort of the scores would take three times as long. So they are sorted with ties in any order;
        then the boxes are sorted within each tie, by numbers that all differ: tie_start · n + turn.
        """
        visited = np.argsort(visits.T, axis=1, kind="stable")
        by_action = np.take_along_axis(scores.T, visited, axis=1)
        actions, count = by_action.shape
        order = np.argsort(by_action, axis=1)
        tie_start, tie_end = _ties(np.take(by_action, order + count * np.arange(actions)[:, None]))
        keys = np.sort(tie_start * count + order, axis=1)
        return cls(np.take_along_axis(visited, keys - tie_start * count, axis=1), tie_start, tie_end)

    def __getitem__(self, actions: slice) -> Ranking:
        """The ranking of some of the actions."""
        return Ranking(self.order[actions], self.tie_start[actions], self.tie_end[actions])

    def by_place(self, flags: Flags) -> Flags:
        """Flags of the boxes, shape (n, actions), in the order of the places, shape (actions, n)."""
        actions = np.arange(len(self.order))[:, None]
        return np.take(flags, self.order * len(actions) + actions)


def _ties(ordered: NDArray[np.float64]) -> tuple[Places, Places]:
    """For each place of ascending scores, shape (actions, n): the start and the end of its tie."""
    actions, count = ordered.shape
    places = np.arange(1, count)
    rises = ordered[:, 1:] != ordered[:, :-1]  # whether a tie starts at place 1, 2, …
    start = np.zeros((actions, count), np.intp)
    end = np.full((actions, count), count)
    # The nearest start of a tie to the left of, or at, each place; and the nearest to the right of it.
    np.maximum.accumulate(np.where(rises, places, 0), axis=1, out=start[:, 1:])
    from_right = np.where(rises, places, count)[:, ::-1]
    end[:, :-1] = np.minimum.accumulate(from_right, axis=1)[:, ::-1]
    return start, end


@dataclass(frozen=True)
class Rows:
    """Counts by group of videos, t rows in ascending order of their actions; g groups.

    Attributes:
        action: shape (t,), of each row.
        group: shape (t,), of the box or boxes that each row is about.
        counts: shape (t, g).
    """

    action: Places
    group: Places
    counts: Array


@dataclass(frozen=True)
class ActionCounts:
    """What the scores need, for a actions and g groups of videos.

    Attributes:
        examples: shape (a, g), true boxes.
        shown: shape (a, g), boxes whose frame shows the action.
        claimed: shape (a, g), boxes with logit at least 0.5.
        agreed: shape (a, g), boxes of which both are true.
        boxes: shape (g,), all boxes.
        hits: a row a true positive, within an action the lowest score first: the boxes ranked no lower than
            it, itself included.
        pairs: a row a group of boxes that show the action: the pairs of one of them and a box that scores
            lower, by the group of the latter; equal scores are half a pair.
    """

    examples: Array
    shown: Array
    claimed: Array
    agreed: Array
    boxes: Array
    hits: Rows
    pairs: Rows

    def average_precision(self, weights: Array) -> Array:
        """Average precision, 0 to 1, NaN without examples; shape (a, r), for weights of shape (g, r)."""
        hits = self.hits
        return _areas(hits.action, weights[hits.group], hits.counts @ weights, self.examples @ weights)

    def f1(self, weights: Array) -> Array:
        """2·TP / (2·TP + FP + FN), 0 where undefined; shapes as in `average_precision`."""
        return _ratio(2 * self.agreed @ weights, (self.claimed + self.shown) @ weights, 0)

    def recall(self, weights: Array) -> Array:
        """TP / (TP + FN), 0 where undefined; shapes as in `average_precision`."""
        return _ratio(self.agreed @ weights, self.shown @ weights, 0)

    def auroc(self, weights: Array) -> Array:
        """The share of pairs, a box that shows the action and one that does not, whose scores are in order.

        Equal scores count half (Mann and Whitney 1947); NaN where all boxes, or none, show it; shapes as in
        `average_precision`.
        """
        pairs, positives = self.pairs, self.shown @ weights
        ordered = _sums(pairs.action, weights[pairs.group] * (pairs.counts @ weights), len(self.shown))
        # The sum includes pairs of two boxes that show it. Each such pair adds 1, a box with itself 1/2.
        among_positives = positives**2 / 2
        return _ratio(ordered - among_positives, positives * (self.boxes @ weights - positives), np.nan)


def count_actions(
    scores: Array, ranking: Ranking, right: Flags, shown: Flags, in_use: Flags, groups: Array, examples: Array
) -> ActionCounts:
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
    right_by_place, shown_by_place = ranking.by_place(right), ranking.by_place(shown)
    group, groups_in_use = groups.argmax(axis=1), groups * in_use[:, None]
    hits, pairs = [], []
    step = max(1, BLOCK // groups.size)
    for first in range(0, len(examples), step):
        actions = slice(first, first + step)
        part = ranking[actions]
        before = _sums_before(groups[part.order])
        before_in_use = before if in_use.all() else _sums_before(groups_in_use[part.order])

        action, place = np.nonzero(right_by_place[actions])
        ahead = before_in_use[action, -1] - before_in_use[action, place]
        hits.append((first + action, group[part.order[action, place]], ahead))

        action, place = np.nonzero(shown_by_place[actions])
        lower = before[action, part.tie_start[action, place]]
        not_higher = before[action, part.tie_end[action, place]]
        pairs.append((first + action, group[part.order[action, place]], (lower + not_higher) / 2))
    return ActionCounts(
        examples=examples,
        shown=shown.T @ groups,
        claimed=claimed.T @ groups,
        agreed=(claimed & shown).T @ groups,
        boxes=groups.sum(axis=0),
        hits=Rows(*_joined(hits)),
        pairs=_pairs_by_group(*_joined(pairs)),
    )


def precision_over_ties(ranking: Ranking, right: Flags, in_use: Flags, examples: NDArray[np.int64]) -> Array:
    """Lowest and highest average precision over all orders of equal scores, shape (a, 2), 0 to 1 or NaN.

    Precision falls where a true positive is ranked behind an equal score. So it is lowest with the true
    positives of each tie behind all others of it, and highest with them in front.

    Args:
        ranking: of the scores.
        right: as in `count_actions`.
        in_use: as in `count_actions`.
        examples: shape (a,), true boxes of each action.
    """
    hits = ranking.by_place(right)
    boxes_before, hits_before = _flags_before(in_use[ranking.order]), _flags_before(hits)
    action, place = np.nonzero(hits)
    start, end = ranking.tie_start[action, place], ranking.tie_end[action, place]
    above_tie = boxes_before[action, -1] - boxes_before[action, end]
    others_in_tie = boxes_before[action, end] - boxes_before[action, start]
    others_in_tie -= hits_before[action, end] - hits_before[action, start]
    rank_among_hits = hits_before[action, end] - hits_before[action, place]  # in its tie; the highest has 1
    in_front = above_tie + rank_among_hits
    ranks = np.stack([in_front + others_in_tie, in_front], axis=1)
    return _areas(action, np.ones(ranks.shape), ranks, np.stack([examples, examples], axis=1))


def _joined(parts: list[tuple[Places, Places, Array]]) -> tuple[Places, Places, Array]:
    actions, groups, rows = zip(*parts, strict=True)
    return np.concatenate(actions), np.concatenate(groups), np.concatenate(rows)


def _pairs_by_group(action: Places, group: Places, below: Array) -> Rows:
    """Pairs of single boxes, shape (n, g), added up where both the action and the group of the box agree."""
    keys = action * below.shape[1] + group
    order = np.argsort(keys)
    starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    first = order[starts]
    return Rows(action[first], group[first], np.add.reduceat(below[order], starts, axis=0))


def _sums_before(rows: Array) -> Array:
    """Sums of the rows before each place and of all, shape (..., n + 1, g), of shape (..., n, g)."""
    sums = np.zeros((*rows.shape[:-2], rows.shape[-2] + 1, rows.shape[-1]))
    np.cumsum(rows, axis=-2, out=sums[..., 1:, :])
    return sums


def _flags_before(flags: Flags) -> Places:
    """How many flags are set before each place, and in all, shape (a, n + 1), of shape (a, n)."""
    return np.cumsum(np.pad(flags, ((0, 0), (1, 0))), axis=1, dtype=np.intp)


def _sums(keys: Places, rows: Array, count: int) -> Array:
    """Sums of the rows, shape (n, k), of each key from 0 to `count` - 1; keys ascend; shape (count, k)."""
    sums = np.zeros((count, rows.shape[1]))
    if len(keys):
        starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        sums[keys[starts]] = np.add.reduceat(rows, starts, axis=0)
    return sums


def _areas(action: Places, gained: Array, ahead: Array, examples: NDArray[np.number]) -> Array:
    """Area under each precision-recall curve, precision made monotone (Everingham et al. 2010), 0 to 1.

    Σ ΔR · max of the precisions at this recall and above, shape (a, r); NaN without examples. `gained` and
    `ahead`, shape (t, r), are the weights of each true positive and of all that rank no lower, in the order
    of `ActionCounts.hits`.
    """
    ends = np.searchsorted(action, np.arange(len(examples)), "right")
    before = _sums_before(gained)
    precision = _ratio(before[ends[action]] - before[:-1], ahead, 0)
    for start, end in pairwise((0, *ends)):
        np.maximum.accumulate(precision[start:end], axis=0, out=precision[start:end])
    return _ratio(_sums(action, gained * precision, len(examples)), examples, np.nan)


def _ratio(above: Array, below: NDArray[np.number], empty: float) -> Array:
    """`above` / `below`, and `empty` where `below` is 0."""
    found: Array = np.divide(above, below, out=np.full(np.shape(above), float(empty)), where=below != 0)
    return found
