"""The two sides that are compared: boxes with a score for every action, and boxes with their true actions.

Both are read from the files that AVA-style evaluation writes, or made from arrays. A box is x1, y1, x2, y2 as
shares of the frame's width and height; a frame is a number within its video.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from microg_bench.errors import DataError
from microg_bench.har.labels import LabelMap
from microg_bench.har.table import Column, Table, read_table

COORDINATES = ("xmin", "ymin", "xmax", "ymax")
PLACE = (
    Column("video_id", "id"),
    Column("frame_stamp", "count", others=("frame_id", "frame")),
    *(Column(name, "share", others=(name.replace("min", "1").replace("max", "2"),)) for name in COORDINATES),
    Column("action_id", "count", others=("action",)),
)
DETECTIONS = (*PLACE, Column("score", "number", others=("logit",)))
GROUND_TRUTH = (*PLACE, Column("person_id", "count", optional=True))


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes by place: what detections and ground truth have in common.

    Attributes:
        video_ids: shape (n,), text.
        frames: shape (n,), whole numbers.
        boxes: shape (n, 4), x1, y1, x2, y2, from 0 to 1.
        name: what messages call the file.
        rows: shape (n,), the row of the file where each begins; empty where there is no file.
    """

    video_ids: NDArray[np.object_]
    frames: NDArray[np.int64]
    boxes: NDArray[np.float64]
    name: str = field(default="boxes", kw_only=True)
    rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64), kw_only=True)

    def __post_init__(self) -> None:
        """Check shapes and values, which arrays of a caller may have wrong.

        Raises:
            DataError: no boxes, lengths that differ, or boxes that are not shares of a frame.
        """
        count = len(self.video_ids)
        if count == 0:
            raise DataError(f"{self.name}: holds no boxes")
        if len(self.frames) != count or self.boxes.shape != (count, 4):
            raise DataError(f"{self.name}: video_ids, frames and boxes differ in length")
        wrong = ~((self.boxes >= 0) & (self.boxes <= 1)).all(axis=1)
        if wrong.any():
            raise DataError(f"{self.place(wrong.argmax())}: a coordinate is not a number from 0 to 1")

    def __len__(self) -> int:
        return len(self.video_ids)

    def row(self, index: int | np.intp) -> str:
        """The row of the file where box `index`, counted from 0, begins, or else its number."""
        return f"row {self.rows[index]}" if len(self.rows) else f"box {index + 1}"

    def place(self, index: int | np.intp) -> str:
        """The file and row of box `index`, for a message."""
        return f"{self.name}: {self.row(index)}"

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
        """See `Boxes`; scores must be finite.

        Raises:
            DataError: see `Boxes`.
        """
        super().__post_init__()
        if self.scores.ndim != 2 or len(self.scores) != len(self):
            raise DataError(f"{self.name}: scores must have a row for each of the {len(self)} boxes")
        wrong = ~np.isfinite(self.scores).all(axis=1)
        if wrong.any():
            raise DataError(f"{self.place(wrong.argmax())}: a score is not a finite number")


@dataclass(frozen=True, eq=False)
class GroundTruth(Boxes):
    """Boxes with one true action each; a person who does three things stands in three of them.

    Attributes:
        actions: shape (n,), ids of the label map.
    """

    actions: NDArray[np.int64]

    def __post_init__(self) -> None:
        """See `Boxes`.

        Raises:
            DataError: see `Boxes`.
        """
        super().__post_init__()
        if self.actions.shape != (len(self),):
            raise DataError(f"{self.name}: actions must have one id for each of the {len(self)} boxes")

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

    The rows of a box stand together and name each id of the label map once, in any order.

    Raises:
        DataError: see `read_table`; an action id is not in the label map; a box lacks an id or repeats one.
    """
    table = read_table(path, DETECTIONS)
    width = len(labels)
    whole = len(table) // width * width
    ids = table["action_id"][:whole].reshape(-1, width)
    order = np.argsort(ids, axis=1, kind="stable")
    order += width * np.arange(len(order))[:, None]
    fine = (np.take(ids, order) == np.asarray(labels.ids)).all(axis=1)
    for name in ("frame_stamp", *COORDINATES):
        rows = table[name][:whole].reshape(-1, width)
        fine &= (rows == rows[:, :1]).all(axis=1)
    inside = table.starts[(table.starts % width > 0) & (table.starts < whole)]
    fine[inside // width] = False
    if not fine.all() or whole < len(table):
        check_actions(table, "action_id", labels)
        start = width * int(len(fine) if fine.all() else (~fine).argmax())
        raise DataError(_incomplete(table, start, labels))
    return Detections(
        table.texts("video_id", width), table["frame_stamp"][::width], _coordinates(table, width),
        np.take(table["score"], order),
        name=str(path), rows=table.rows[::width],
    )  # fmt: skip


def _coordinates(table: Table, step: int = 1) -> NDArray[np.float64]:
    return np.stack([table[name][::step] for name in COORDINATES], axis=1)


def check_actions(table: Table, column: str, labels: LabelMap) -> None:
    """Look whether every action of `column` is in the label map.

    Raises:
        DataError: one is not; its row is named.
    """
    actions = table[column]
    unknown = labels.positions(actions) < 0
    if unknown.any():
        index = int(unknown.argmax())
        raise DataError(
            f"{table.place(index)}: action id {actions[index]} is none of the {len(labels)} of the label map"
        )


def _incomplete(table: Table, start: int, labels: LabelMap) -> str:
    """What is wrong with the box whose rows begin at `start`: an id too many, or one too few."""
    end = min(start + len(labels), len(table))
    places = [table[name] for name in ("video_id", "frame_stamp", *COORDINATES)]
    box = [values[start] for values in places]
    seen: set[int] = set()
    for index in range(start, end):
        if [values[index] for values in places] != box:
            break
        action = int(table["action_id"][index])
        if action in seen:
            return f"{table.place(index)}: action id {action} stands twice in one box"
        seen.add(action)
    missing = sorted(set(labels.ids) - seen)
    return (
        f"{table.place(start)}: the box that begins here has {len(seen)} of {len(labels)} action ids in the"
        f" rows that follow; it lacks {missing[0]}"
    )
