"""Detected boxes with a score for every action, true boxes with their actions, and which match which.

Both are read from the files that AVA-style evaluation writes, or made from arrays. A box is x1, y1, x2, y2 as
shares of the frame's width and height; a frame is a number within its video.
"""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from microg_bench.dataset.labels import LabelMap, check_actions
from microg_bench.dataset.tabular import Table, TableColumn, read_table
from microg_bench.errors import DataError
from microg_bench.metrics.detection import Flags, Places

COORDINATES = ("xmin", "ymin", "xmax", "ymax")
PLACE = (
    TableColumn("video_id", "id"),
    TableColumn("frame_stamp", "count", others=("frame_id", "frame")),
    *(
        TableColumn(name, "share", others=(name.replace("min", "1").replace("max", "2"),))
        for name in COORDINATES
    ),
    TableColumn("action_id", "count", others=("action",)),
)
DETECTIONS = (*PLACE, TableColumn("score", "number", others=("logit",)))
GROUND_TRUTH = (*PLACE, TableColumn("person_id", "count", optional=True))
IOU = 0.5


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes by place: what detections and ground truth have in common.

    Attributes:
        video_ids: shape (n,), text.
        frames: shape (n,), whole numbers.
        boxes: shape (n, 4), x1, y1, x2, y2, from 0 to 1.
        name: what messages call the file.
        rows: shape (n,), the row of the file where each begins; empty where there is no file.

    Raises:
        DataError: no boxes, lengths that differ, boxes that are not shares of a frame, or scores that are not
            finite.
    """

    video_ids: NDArray[np.object_]
    frames: NDArray[np.int64]
    boxes: NDArray[np.float64]
    name: str = field(default="boxes", kw_only=True)
    rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64), kw_only=True)

    def __post_init__(self) -> None:
        count = len(self.video_ids)
        if count == 0:
            raise DataError("holds no boxes", path=self.name)
        if len(self.frames) != count or self.boxes.shape != (count, 4):
            raise DataError("video_ids, frames and boxes differ in length", path=self.name)
        wrong = ~((self.boxes >= 0) & (self.boxes <= 1)).all(axis=1)
        if wrong.any():
            reason = "a coordinate is not a number from 0 to 1"
            raise DataError(reason, path=self.name, item=self.place(wrong.argmax()))

    def __len__(self) -> int:
        return len(self.video_ids)

    def place(self, index: int | np.intp) -> str:
        """Box `index`, counted from 0, as the item of an error: its first row in the file, if known."""
        return f"row {self.rows[index]}" if len(self.rows) else f"box {index + 1}"

    @cached_property
    def has_area(self) -> NDArray[np.bool_]:
        """Whether x1 < x2 and y1 < y2, shape (n,)."""
        return (self.boxes[:, 0] < self.boxes[:, 2]) & (self.boxes[:, 1] < self.boxes[:, 3])

    @cached_property
    def images(self) -> list[tuple[str, int]]:
        """Video and frame of each box."""
        return list(zip(self.video_ids.tolist(), self.frames.tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class Detections(Boxes):
    """Boxes that a model has looked at.

    Attributes:
        scores: shape (n, actions), a raw logit for each action of the label map, in the order of its ids.
    """

    scores: NDArray[np.float64]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scores.ndim != 2 or len(self.scores) != len(self):
            raise DataError(f"scores must have a row for each of the {len(self)} boxes", path=self.name)
        wrong = ~np.isfinite(self.scores).all(axis=1)
        if wrong.any():
            reason = "a score is not a finite number"
            raise DataError(reason, path=self.name, item=self.place(wrong.argmax()))


@dataclass(frozen=True, eq=False)
class GroundTruth(Boxes):
    """Boxes with one true action each; a person who does three things has three of them.

    Attributes:
        actions: shape (n,), ids of the label map.
    """

    actions: NDArray[np.int64]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.actions.shape != (len(self),):
            raise DataError(f"actions must have one id for each of the {len(self)} boxes", path=self.name)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the content, the same however it was packed."""
        digest = hashlib.sha256("\n".join(self.video_ids.tolist()).encode())
        for part in (self.frames, self.boxes, self.actions):
            digest.update(np.ascontiguousarray(part).astype(part.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()


def read_ground_truth(path: Path, labels: LabelMap) -> GroundTruth:
    """Read a ground-truth file: video_id, frame, x1, y1, x2, y2, action id and, optionally, person_id.

    Raises:
        DataError: see `read_table`; or an action id is not in the label map.
    """
    table = read_table(path, GROUND_TRUTH)
    check_actions(table, "action_id", labels)
    return GroundTruth(
        table["video_id"], table["frame_stamp"], _coordinates(table), table["action_id"],
        name=str(path), rows=table.rows,
    )  # fmt: skip


def read_detections(path: Path, labels: LabelMap) -> Detections:
    """Read a detections file: video_id, frame, x1, y1, x2, y2, action id, raw logit; a row an action.

    The rows of a box are consecutive and name each id of the label map once, in any order.

    Raises:
        DataError: see `read_table`; an action id is not in the label map; a box lacks an id or repeats one.
    """
    table = read_table(path, DETECTIONS)
    width = len(labels)
    whole = len(table) // width * width
    ids = table["action_id"][:whole].reshape(-1, width)
    by_id = np.argsort(ids, axis=1, kind="stable") + width * np.arange(len(ids))[:, None]
    complete = (np.take(ids, by_id) == np.asarray(labels.ids)).all(axis=1)
    for name in ("frame_stamp", *COORDINATES):
        rows = table[name][:whole].reshape(-1, width)
        complete &= (rows == rows[:, :1]).all(axis=1)
    # A video that begins within the rows of a box; texts are compared where they change, which is faster.
    within = table.starts[(table.starts % width > 0) & (table.starts < whole)]
    complete[within // width] = False
    if not complete.all() or whole < len(table):
        check_actions(table, "action_id", labels)
        raise _incomplete(table, width * int(np.append(complete, False).argmin()), labels)
    return Detections(
        table.texts("video_id", width), table["frame_stamp"][::width], _coordinates(table, width),
        np.take(table["score"], by_id),
        name=str(path), rows=table.rows[::width],
    )  # fmt: skip


def _coordinates(table: Table, step: int = 1) -> NDArray[np.float64]:
    return np.stack([table[name][::step] for name in COORDINATES], axis=1)


def _incomplete(table: Table, start: int, labels: LabelMap) -> DataError:
    """What is wrong with the box whose rows begin at `start`: an id too many, or one too few."""
    end = min(start + len(labels), len(table))
    columns = [table[name] for name in ("video_id", "frame_stamp", *COORDINATES)]
    box = [values[start] for values in columns]
    seen: set[int] = set()
    for index in range(start, end):
        if [values[index] for values in columns] != box:
            break
        action = int(table["action_id"][index])
        if action in seen:
            reason = f"action id {action} occurs twice in one box"
            return DataError(reason, path=table.path, item=table.place(index))
        seen.add(action)
    missing = min(set(labels.ids) - seen)
    reason = (
        f"the box that begins here has {len(seen)} of {len(labels)} action ids in the rows that follow;"
        f" it lacks {missing}"
    )
    return DataError(reason, path=table.path, item=table.place(start))


def number_images(detections: Detections, truth: GroundTruth) -> tuple[Places, Places]:
    """The number of the image, a frame of a video, of each detected box and of each true box, from 0.

    Raises:
        DataError: a detection is in a video or frame that the ground truth does not have.
    """
    numbers = {image: number for number, image in enumerate(dict.fromkeys(truth.images))}
    detected = [numbers.get(image, -1) for image in detections.images]
    if -1 in detected:
        index = detected.index(-1)
        video, frame = detections.images[index]
        known = video in set(truth.video_ids)
        what = f"frame {frame} of video {video!r}" if known else f"video {video!r}"
        reason = f"{what} is not in the ground truth ({truth.name})"
        raise DataError(reason, path=detections.name, item=detections.place(index))
    return np.array(detected), np.array([numbers[image] for image in truth.images])


def true_positives(
    detections: Detections, truth: GroundTruth, images: tuple[Places, Places], columns: Places, actions: int
) -> Flags:
    """Whether each box, taken as a detection of each action, is a true positive; shape (boxes, actions).

    The rule of Pascal VOC as AVA's evaluation applies it, in the order of the file: a box claims the true box
    of the action that it overlaps most (the first, where several are equal), if that overlap is at least 0.5.
    The first box that claims a true box is a true positive. Boxes without an area take no part.

    Args:
        detections: the boxes.
        truth: the true boxes.
        images: from `number_images`.
        columns: shape (true boxes,), the column of each true box's action among the `actions`.
        actions: how many actions there are.
    """
    box, true = _pairs_in_one_image(images, detections.has_area, truth.has_area)
    overlap = _iou(detections.boxes[box], truth.boxes[true])
    box_and_action = box * actions + columns[true]
    # Sorted by box and action; within them the greatest overlap is first, of equal ones the first true box.
    order = np.lexsort((true, -overlap, box_and_action))
    claims = order[_first_of_each(box_and_action[order])]
    claims = claims[overlap[claims] >= IOU]  # still in the order of the boxes
    granted = claims[_first_of_each(true[claims])]
    right = np.zeros((len(detections), actions), dtype=bool)
    right[box[granted], columns[true[granted]]] = True
    return right


def shown_in_frame(images: tuple[Places, Places], columns: Places, actions: int) -> Flags:
    """Whether each action is shown anywhere in the frame of each detected box; shape (boxes, actions)."""
    detected, true = images
    shown = np.zeros((true.max() + 1, actions), dtype=bool)
    shown[true, columns] = True
    return shown[detected]


def _pairs_in_one_image(
    images: tuple[Places, Places], detected_in_use: Flags, true_in_use: Flags
) -> tuple[Places, Places]:
    """All pairs of a detected and a true box of one image, both in use, as two arrays of indices."""
    detected, true = images
    in_use = np.flatnonzero(true_in_use)
    by_image = in_use[np.argsort(true[in_use], kind="stable")]
    start = np.searchsorted(true[by_image], detected, "left")
    count = np.searchsorted(true[by_image], detected, "right") - start
    count[~detected_in_use] = 0
    box = np.repeat(np.arange(len(detected)), count)
    place_in_image = np.arange(len(box)) - np.repeat(np.cumsum(count) - count, count)
    return box, by_image[np.repeat(start, count) + place_in_image]


def _iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area of the intersection over area of the union, pair by pair, shape (n,)."""
    low, high = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
    common = _area(np.clip(high - low, 0, None))
    iou: NDArray[np.float64] = common / (_area(a[:, 2:] - a[:, :2]) + _area(b[:, 2:] - b[:, :2]) - common)
    return iou


def _area(sides: NDArray[np.float64]) -> NDArray[np.float64]:
    return sides[:, 0] * sides[:, 1]


def _first_of_each(keys: Places) -> Places:
    """The index at which each key occurs first, in the order of the keys."""
    return np.unique(keys, return_index=True)[1]
