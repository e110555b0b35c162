"""Looks for what makes the scores of a detections file less than they seem."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from microg_bench.har.boxes import Boxes, Detections, GroundTruth
from microg_bench.har.labels import LabelMap

FEW_EXAMPLES = 10
MATTERS = 0.01  # of mAP in %, the last digit that is printed


def warnings(
    detections: Detections,
    truth: GroundTruth,
    labels: LabelMap,
    examples: NDArray[np.int64],
    over_ties: tuple[float, float],
) -> tuple[str, ...]:
    """What a reader of the scores must know, a line each.

    Args:
        detections: the boxes, scores of shape (n, actions).
        truth: the true boxes.
        labels: the actions.
        examples: true boxes of each action, shape (actions,).
        over_ties: from `Comparison.over_ties`.
    """
    return (
        *_constant(detections),
        *_ties(over_ties),
        *_doubles(detections, truth),
        *_set_aside(detections, truth),
        *_rare(labels, examples),
    )


def _constant(detections: Detections) -> Iterator[str]:
    flat = (detections.scores == detections.scores[:, :1]).all(axis=1)
    if flat.any() and detections.scores.shape[1] > 1:
        first = detections.row(flat.argmax())
        yield f"{_boxes(int(flat.sum()))} with one and the same score for every action (first at {first})"
    # The same box given twice rightly has the same scores; that is another warning.
    apart = ~_repeats(_places(detections))
    _, group, size = np.unique(detections.scores[apart], axis=0, return_inverse=True, return_counts=True)
    same = size[group.reshape(-1)]
    if (same > 1).any():
        videos = len(set(detections.video_ids[apart][same > 1]))
        yield (
            f"{_boxes(int((same > 1).sum()))} of {videos} videos share all their scores with another box,"
            f" as if the model had not looked at them (the largest group: {int(same.max())})"
        )


def _places(boxes: Boxes) -> NDArray[np.float64]:
    """Number of the image and coordinates of each box, shape (n, 5)."""
    numbers: dict[tuple[str, int], int] = {}
    images = [numbers.setdefault(image, len(numbers)) for image in boxes.images]
    return np.column_stack([images, boxes.boxes])


def _repeats(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each row, shape (n, k), is equal to an earlier one."""
    repeats = np.ones(len(rows), dtype=bool)
    repeats[np.unique(rows, axis=0, return_index=True)[1]] = False
    return repeats


def _ties(over_ties: tuple[float, float]) -> Iterator[str]:
    low, high = over_ties
    if high - low >= MATTERS:
        yield f"mAP lies between {low:.2f} and {high:.2f}, by the order in which equal scores are ranked"


def _doubles(detections: Detections, truth: GroundTruth) -> Iterator[str]:
    again = _repeats(_places(detections))
    if again.any():
        where = detections.row(again.argmax())
        yield f"{_boxes(int(again.sum()))} given before in its frame, and counted again (first at {where})"
    again = _repeats(np.column_stack([_places(truth), truth.actions]))
    if again.any():
        rows = "1 row" if again.sum() == 1 else f"{again.sum()} rows"
        yield f"{rows} of the ground truth given before, and counted again, as published"


def _set_aside(detections: Detections, truth: GroundTruth) -> Iterator[str]:
    for boxes, what in ((detections, "boxes"), (truth, "rows of the ground truth")):
        flat = ~boxes.has_area
        if flat.any():
            where = boxes.row(flat.argmax())
            yield f"{int(flat.sum())} {what} without an area, left out of mAP (first at {where})"
    bare = set(truth.images) - set(detections.images)
    if bare:
        video, frame = min(bare)
        yield f"{len(bare)} frames of the ground truth have no detection (first: {video}, frame {frame})"


def _rare(labels: LabelMap, examples: NDArray[np.int64]) -> Iterator[str]:
    rare = [c for c in range(len(labels)) if 0 < examples[c] < FEW_EXAMPLES]
    if rare:
        ids = ", ".join(str(labels.ids[c]) for c in rare)
        total = int((examples > 0).sum())
        yield f"{len(rare)} of {total} actions have fewer than {FEW_EXAMPLES} examples, ids {ids}"


def _boxes(count: int) -> str:
    return "1 box" if count == 1 else f"{count} boxes"
