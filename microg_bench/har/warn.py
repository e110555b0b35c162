"""Warns of what makes the scores of a detections file less meaningful than they seem."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from microg_bench.dataset.labels import LabelMap
from microg_bench.metrics.detection import Flags, Places
from microg_bench.persons.boxes import Boxes, Detections, GroundTruth
from microg_bench.text import many

FEW_EXAMPLES = 10
VISIBLE = 0.01  # of mAP in %, the last digit that is shown


def warnings(
    detections: Detections,
    truth: GroundTruth,
    labels: LabelMap,
    images: tuple[Places, Places],
    examples: NDArray[np.int64],
    over_ties: tuple[float, float],
) -> tuple[str, ...]:
    """What a reader of the scores must know, a line each.

    Args:
        detections: the boxes, scores of shape (n, actions).
        truth: the true boxes.
        labels: the actions.
        images: the number of the image of each box, from `number_images`.
        examples: true boxes of each action, shape (actions,).
        over_ties: lowest and highest mAP in %, over all orders of equal scores.
    """
    scores, no_area = detections.scores, "without an area"
    whole = detections.given.all(axis=1)
    silent = (scores == 0).all(axis=1) & detections.asked
    constant = (scores == scores[:, :1]).all(axis=1) & (scores.shape[1] > 1) & ~silent
    again = _repeats(np.column_stack([images[0], detections.boxes]))
    rows_again = _repeats(np.column_stack([images[1], truth.boxes, truth.actions]))
    elsewhere = images[0] > images[1].max()
    return (
        *detections.notes,
        *truth.notes,
        *_flagged(detections, elsewhere, "of a frame that the ground truth does not have: false"),
        *_without_score(detections),
        *_flagged(detections, constant, "with one and the same score for every action"),
        # The same box given twice rightly has the same scores; that is another warning.
        *_shared_scores(detections, whole & ~again & ~silent),
        *_ties(over_ties),
        *_flagged(detections, again, "given before in its frame, and counted again"),
        *_repeated_rows(rows_again),
        *_flagged(detections, ~detections.has_area, f"{no_area}, left out of mAP"),
        *_flagged(truth, ~truth.has_area, f"{no_area}, which no box can match", "row of the ground truth"),
        *_without_detection(truth, images),
        *_rare_actions(labels, examples),
    )


def _first_equal(rows: NDArray[np.float64]) -> NDArray[np.intp]:
    """The first row that is equal to each, shape (n,), of rows of shape (n, k)."""
    plain = np.ascontiguousarray(rows) + 0.0  # -0 and 0 are equal, but not byte by byte
    keys = plain.view(f"V{plain.itemsize * plain.shape[1]}")[:, 0].tolist()
    first: dict[bytes, int] = {}
    return np.array([first.setdefault(key, index) for index, key in enumerate(keys)])


def _repeats(rows: NDArray[np.float64]) -> Flags:
    """Whether each row, shape (n, k), is equal to an earlier one."""
    repeats: Flags = _first_equal(rows) != np.arange(len(rows))
    return repeats


def _flagged(boxes: Boxes, flags: Flags, what: str, one: str = "box") -> Iterator[str]:
    if flags.any():
        yield f"{many(int(flags.sum()), one)} {what} (first at {boxes.place(flags.argmax())})"


def _without_score(detections: Detections) -> Iterator[str]:
    missing = ~detections.given
    if missing.any():
        first = detections.place(missing.any(axis=1).argmax())
        yield (
            f"{int(missing.sum()):,} of {missing.size:,} scores are not given (first of the box at {first}):"
            " they are taken to be below all others and equal to each other, and are not ranked in mAP"
        )


def _shared_scores(detections: Detections, apart: Flags) -> Iterator[str]:
    if not apart.any():
        return
    first = _first_equal(detections.scores[apart])
    same = np.bincount(first)[first]
    if (same > 1).any():
        boxes, videos = many(int((same > 1).sum()), "box"), len(set(detections.video_ids[apart][same > 1]))
        yield (
            f"{boxes} of {videos} videos share all their scores with another box,"
            f" as if the model had not looked at them (the largest group: {int(same.max())})"
        )


def _ties(over_ties: tuple[float, float]) -> Iterator[str]:
    low, high = over_ties
    if high - low >= VISIBLE:
        yield f"mAP lies between {low:.2f} and {high:.2f}, by the order in which equal scores are ranked"


def _repeated_rows(again: Flags) -> Iterator[str]:
    if again.any():
        rows = many(int(again.sum()), "row of the ground truth")
        yield f"{rows} given before, and counted again, as published"


def _without_detection(truth: GroundTruth, images: tuple[Places, Places]) -> Iterator[str]:
    bare = np.flatnonzero(~np.isin(images[1], images[0]))
    if len(bare):
        video, frame = min(truth.images[index] for index in bare)
        frames = many(len(np.unique(images[1][bare])), "frame of the ground truth")
        yield f"{frames} without a detection (first: {video}, frame {frame})"


def _rare_actions(labels: LabelMap, examples: NDArray[np.int64]) -> Iterator[str]:
    rare = [c for c in range(len(labels)) if 0 < examples[c] < FEW_EXAMPLES]
    if rare:
        ids = ", ".join(str(labels.ids[c]) for c in rare)
        total = int((examples > 0).sum())
        yield f"{len(rare)} of {total} actions have fewer than {FEW_EXAMPLES} examples, ids {ids}"
