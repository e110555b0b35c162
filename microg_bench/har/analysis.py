"""What models recognised of the persons in key frames, what they missed, and what they claimed instead.

All of it is told box by box: an action is true of the box that is annotated with it, where F1 and recall take
it for true of every box of the frame. It is claimed where its logit is at least 0.5, as in F1 and recall.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from microg_bench.actions import ActionEntry
from microg_bench.dataset.labels import FOOTAGE, LAYOUT, LabelMap
from microg_bench.dataset.load import ACTION_NAMES, find_table
from microg_bench.dataset.tabular import read_table
from microg_bench.errors import DataError
from microg_bench.metrics.base import Array
from microg_bench.metrics.detection import THRESHOLD, Flags
from microg_bench.persons.boxes import Detections
from microg_bench.persons.convert import footage_of
from microg_bench.persons.keyframes import KeyFrames

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class JudgedBoxes:
    """The n boxes of key frames, in their order, with a true actions and a logits each.

    Attributes:
        true: shape (n, a), whether each action is true of the box.
        scores: shape (n, a), logits; minus infinity where none is given.
        looked_at: shape (n,), whether the model has looked at the box; one that it has not is no error.
    """

    true: Flags
    scores: Array
    looked_at: Flags

    @cached_property
    def claimed(self) -> Flags:
        """Whether each action is claimed of each box, shape (n, a)."""
        claimed: Flags = self.scores >= THRESHOLD
        return claimed

    @cached_property
    def missed(self) -> Flags:
        """Which true actions are not claimed, shape (n, a)."""
        missed: Flags = self.true & ~self.claimed & self.looked_at[:, None]
        return missed

    @cached_property
    def false(self) -> Flags:
        """Which claimed actions are not true, shape (n, a)."""
        false: Flags = self.claimed & ~self.true
        return false


def judge(key_frames: KeyFrames, detections: Detections, labels: LabelMap) -> JudgedBoxes:
    """Put the detections of a run beside the key frames that it looked at.

    Raises:
        DataError: a detected box is none of the key frames.
    """
    boxes = [(*one.key, *box) for one in key_frames.items for box in one.boxes.tolist()]
    place = {box: number for number, box in enumerate(boxes)}
    shape = (len(boxes), len(labels))
    true, scores, looked_at = np.zeros(shape, bool), np.full(shape, -np.inf), np.zeros(len(boxes), bool)
    actions = [shown for one in key_frames.items for shown in one.actions]
    for row, shown in enumerate(actions):
        true[row, labels.positions(np.array(shown, np.int64))] = True
    for index, (image, box) in enumerate(zip(detections.images, detections.boxes.tolist(), strict=True)):
        found = place.get((*image, *box))
        if found is None:
            reason = f"is no box of the key frames ({key_frames.name})"
            raise DataError(reason, path=detections.name, item=detections.place(index))
        scores[found], looked_at[found] = detections.scores[index], True
    return JudgedBoxes(true, scores, looked_at)


def instead_of_missed(judged: JudgedBoxes) -> tuple[Counts, Counts]:
    """What was predicted where an action was missed: two tables of shape (a, a), a row a missed action.

    The first counts the actions that were falsely claimed of the box. Where none was, the second counts the
    action that ranks highest: one that is not true of the box, or the missed one itself, which is then below
    the threshold only. Of equal logits the missed action counts, else the first in the label map. Where no
    logit is higher than the others, nothing ranks highest.
    """
    claimed: Counts = judged.missed.astype(np.int64).T @ judged.false.astype(np.int64)
    ranked = np.zeros_like(claimed)
    nothing_claimed = ~judged.false.any(axis=1, keepdims=True)
    rows, actions = np.nonzero(judged.missed & nothing_claimed)
    wrong = np.where(judged.true, -np.inf, judged.scores)[rows]
    own, highest = judged.scores[rows, actions], wrong.max(axis=1, initial=-np.inf)
    higher = np.maximum(own, highest) > judged.scores.min(axis=1, initial=np.inf)[rows]
    rows, actions, wrong, itself = rows[higher], actions[higher], wrong[higher], (own >= highest)[higher]
    np.add.at(ranked, (actions, np.where(itself, actions, wrong.argmax(axis=1))), 1)
    return claimed, ranked


@dataclass(frozen=True)
class ErrorCounts:
    """Pairs of a box and an action: true and missed ones, claimed and falsely claimed ones."""

    true: int
    missed: int
    claimed: int
    false: int


def count_errors(judged: JudgedBoxes, boxes: Flags, actions: Flags) -> ErrorCounts:
    """The errors on some of the boxes, flags of shape (n,), in some of the actions, flags of shape (a,)."""
    part = np.ix_(boxes & judged.looked_at, actions)
    return ErrorCounts(
        *(int(flags[part].sum()) for flags in (judged.true, judged.missed, judged.claimed, judged.false))
    )


def gaps(first: Sequence[ActionEntry], second: Sequence[ActionEntry]) -> list[float | None]:
    """How much the AP of each action, in %, is higher in the second run; None where one has none."""
    return [
        None if one.AP is None or other.AP is None else other.AP - one.AP
        for one, other in zip(first, second, strict=True)
    ]


def footage(folder: Path, video_ids: Sequence[str]) -> Mapping[str, str]:
    """Whether each clip is "real" or of a "movie": by the dataset's actions, else by its name.

    Raises:
        DataError: see `read_table`.
    """
    path, _ = find_table(folder, ACTION_NAMES) if folder.is_dir() else (None, {})
    told: dict[str, str] = {}
    if path is not None:
        table = read_table(path, LAYOUT)
        told = dict(zip(table["video_id"], table["movie_or_real"], strict=True))
    names = {letter: name for name, letter in FOOTAGE.items()}
    return {one: names.get(told.get(one, ""), names[footage_of(one)]) for one in video_ids}
