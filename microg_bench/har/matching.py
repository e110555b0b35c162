"""Which detections are right: by overlap, for mAP, and by frame, for F1, recall and AUROC."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from microg_bench.errors import DataError
from microg_bench.har.boxes import Detections, GroundTruth
from microg_bench.har.ranking import Flags, Places

IOU = 0.5


def number_images(detections: Detections, truth: GroundTruth) -> tuple[Places, Places]:
    """The number of the image, a frame of a video, of each detected box and of each true box, from 0.

    Raises:
        DataError: a detection stands in a video or frame that the ground truth does not have.
    """
    numbers = {image: number for number, image in enumerate(dict.fromkeys(truth.images))}
    theirs = [numbers[image] for image in truth.images]
    ours = [numbers.get(image, -1) for image in detections.images]
    if -1 in ours:
        index = ours.index(-1)
        video, frame = detections.images[index]
        what = (
            f"video {video!r}" if video not in set(truth.video_ids) else f"frame {frame} of video {video!r}"
        )
        raise DataError(f"{detections.place(index)}: {what} is not in the ground truth ({truth.name})")
    return np.array(ours), np.array(theirs)


def true_positives(
    detections: Detections, truth: GroundTruth, images: tuple[Places, Places], columns: Places, actions: int
) -> Flags:
    """Whether each box, taken as a detection of each action, is a true positive; shape (boxes, actions).

    The rule of Pascal VOC as AVA's evaluation applies it, in the order of the file: a box belongs to the true
    box of the action that it overlaps most (the first, where several are equal), and is a true positive if
    that overlap is at least 0.5 and no box before it belonged to the same. Boxes without an area stand aside.

    Args:
        detections: the boxes.
        truth: the true boxes.
        images: from `number_images`.
        columns: shape (true boxes,), the place of each true box's action among the `actions`.
        actions: how many actions there are.
    """
    box, true = _pairs(images[0], images[1], detections.has_area, truth.has_area)
    overlap = _iou(detections.boxes[box], truth.boxes[true])
    key = box * actions + columns[true]
    order = np.lexsort((true, -overlap, key))
    best = order[_first(key[order])]
    best = best[overlap[best] >= IOU]
    best = best[np.argsort(box[best], kind="stable")]
    best = best[np.unique(true[best], return_index=True)[1]]
    right = np.zeros((len(detections), actions), dtype=bool)
    right[box[best], columns[true[best]]] = True
    return right


def seen_in_frame(images: tuple[Places, Places], columns: Places, actions: int) -> Flags:
    """Whether each action is seen anywhere in the frame of each detected box; shape (boxes, actions)."""
    ours, theirs = images
    seen = np.zeros((theirs.max() + 1, actions), dtype=bool)
    seen[theirs, columns] = True
    return seen[ours]


def _pairs(ours: Places, theirs: Places, our_use: Flags, their_use: Flags) -> tuple[Places, Places]:
    """All pairs of a detected and a true box of one image, less those not in use."""
    their_order = np.flatnonzero(their_use)[np.argsort(theirs[their_use], kind="stable")]
    begin = np.searchsorted(theirs[their_order], ours, "left")
    count = np.searchsorted(theirs[their_order], ours, "right") - begin
    count[~our_use] = 0
    box = np.repeat(np.arange(len(ours)), count)
    within = np.arange(len(box)) - np.repeat(np.cumsum(count) - count, count)
    return box, their_order[np.repeat(begin, count) + within]


def _iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area of the intersection over area of the union, pair by pair, shape (n,)."""
    low, high = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
    common = _area(np.clip(high - low, 0, None))
    iou: NDArray[np.float64] = common / (_area(a[:, 2:] - a[:, :2]) + _area(b[:, 2:] - b[:, :2]) - common)
    return iou


def _area(sides: NDArray[np.float64]) -> NDArray[np.float64]:
    return sides[:, 0] * sides[:, 1]


def _first(keys: Places) -> Flags:
    """Whether each of the sorted `keys` is the first of its kind."""
    return np.concatenate([np.ones(min(len(keys), 1), dtype=bool), keys[1:] != keys[:-1]])
