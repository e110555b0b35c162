"""Detected boxes with their scores of actions, true boxes with their actions, and which match which.

Both are read from the files that AVA-style evaluation reads and writes, or made from arrays. A box is x1, y1,
x2, y2 as shares of the frame's width and height; a frame is a number within its video.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from microg_bench.dataset.annotations import safe_source, source_of
from microg_bench.dataset.labels import LabelMap
from microg_bench.dataset.tabular import Table, TableColumn, read_table
from microg_bench.errors import DataError
from microg_bench.metrics.detection import Flags, Places
from microg_bench.storage import file_sha256, write_text
from microg_bench.text import listed, many

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
GROUND_TRUTH = (
    *PLACE,
    TableColumn("person_id", "count", optional=True),
    TableColumn("source", "word", optional=True),
)
IOU = 0.5
MAX_SCORES = 2**23  # boxes times actions
MAX_PAIRS = 2**23  # of a detected and a true box in one frame


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes by place: what detections and ground truth have in common.

    Attributes:
        video_ids: shape (n,), text.
        frames: shape (n,), whole numbers.
        boxes: shape (n, 4), x1, y1, x2, y2, from 0 to 1.
        name: what messages call the file.
        rows: shape (n,), the row of the file where each begins; empty where there is no file.
        notes: what was left out when the file was read, a line each.

    Raises:
        DataError: no boxes, lengths that differ, boxes that are not shares of a frame, or scores that are not
            finite.
    """

    video_ids: NDArray[np.object_]
    frames: NDArray[np.int64]
    boxes: NDArray[np.float64]
    name: str = field(default="boxes", kw_only=True)
    rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64), kw_only=True)
    notes: tuple[str, ...] = field(default=(), kw_only=True)

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
        scores: shape (n, actions), a raw logit for each action of the label map, in the order of its ids;
            minus infinity where none is given.
        turns: shape (n, actions), whole numbers that ascend in the order in which the scores were given,
            which decides among boxes that claim one true box, and among equal scores; None for box by box.
        sha256: of the file, None where there is none.
        asked: whether a model was asked in words, so that a box without a claim is one without an answer, or
            with one that names nothing.
    """

    scores: NDArray[np.float64]
    turns: NDArray[np.int64] | None = field(default=None, kw_only=True)
    sha256: str | None = field(default=None, kw_only=True)
    asked: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scores.ndim != 2 or len(self.scores) != len(self):
            raise DataError(f"scores must have a row for each of the {len(self)} boxes", path=self.name)
        if self.turns is not None and self.turns.shape != self.scores.shape:
            raise DataError("turns must have the shape of the scores", path=self.name)
        wrong = ~(self.scores < np.inf).all(axis=1)
        if wrong.any():
            reason = "a score is not a finite number"
            raise DataError(reason, path=self.name, item=self.place(wrong.argmax()))

    @cached_property
    def given(self) -> Flags:
        """Whether each score is given, shape (n, actions)."""
        flags: Flags = self.scores > -np.inf
        return flags

    @cached_property
    def visits(self) -> NDArray[np.int64]:
        """Shape (n, actions), ascending in the order in which the published evaluation visits the scores.

        That is frame by frame, in the order in which they occur first; within a frame, as given.
        """
        turns = self.turns
        if turns is None:
            turns = np.broadcast_to(np.arange(len(self))[:, None], self.scores.shape)
        numbers: dict[tuple[str, int], int] = {}
        image = np.array([numbers.setdefault(one, len(numbers)) for one in self.images])
        first = np.full(len(numbers), turns.max())
        np.minimum.at(first, image, np.where(self.given, turns, turns.max()).min(axis=1))
        visits: NDArray[np.int64] = first[image][:, None] * (turns.max() + 1) + turns
        return visits


@dataclass(frozen=True, eq=False)
class GroundTruth(Boxes):
    """Boxes with one true action each; a person who does three things has three of them.

    Attributes:
        actions: shape (n,), ids of the label map.
        sources: the source video of each video whose id does not tell it.
    """

    actions: NDArray[np.int64]
    sources: Mapping[str, str] = field(default_factory=dict, kw_only=True)

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
        for pair in sorted(self.sources.items()):
            digest.update("\n".join(pair).encode())
        return digest.hexdigest()

    def source(self, video_id: str) -> str:
        """The source video of a video."""
        return self.sources.get(video_id) or source_of(video_id)


def read_ground_truth(path: Path, labels: LabelMap) -> GroundTruth:
    """Read a ground-truth file: video_id, frame, x1, y1, x2, y2, action id, optionally person_id and source.

    Rows of actions that the label map does not have are left out, which `notes` tell.

    Raises:
        DataError: see `read_table`; no action is in the label map; or a video has two sources.
    """
    table, notes = _of_label_map(read_table(path, GROUND_TRUTH), labels, "row of the ground truth")
    return GroundTruth(
        table["video_id"], table["frame_stamp"], _coordinates(table), table["action_id"],
        sources=_sources(table), name=str(path), rows=table.rows, notes=notes,
    )  # fmt: skip


def _sources(table: Table) -> dict[str, str]:
    """The given source of each video, where it is another than the id tells."""
    if "source" not in table.frame.columns:
        return {}
    known: dict[str, str] = {}
    for index, (video_id, source) in enumerate(zip(table["video_id"], table["source"], strict=True)):
        if known.setdefault(video_id, source) != source:
            reason = f"video {video_id!r} has another source in an earlier row"
            raise DataError(reason, path=table.path, item=table.place(index))
        safe_source(source, table.path, table.place(index))
    return {video_id: source for video_id, source in known.items() if source != source_of(video_id)}


def read_detections(path: Path, labels: LabelMap) -> Detections:
    """Read a detections file: video_id, frame, x1, y1, x2, y2, action id, raw logit; a row an action.

    The rows may be in any order and need not have a score of each action. Rows of the same place and action
    are boxes of their own. Rows of actions that the label map does not have are left out, which `notes` tell.

    Raises:
        DataError: see `read_table`; no action is in the label map; or there are too many boxes.
    """
    table, notes = _of_label_map(read_table(path, DETECTIONS), labels, "row")
    columns = labels.positions(table["action_id"])
    first, box = _number_boxes(table, columns, len(labels))
    shape = (len(first), len(labels))
    if shape[0] * shape[1] > MAX_SCORES:
        raise DataError(f"{shape[0]:,} boxes of {shape[1]} actions are too many", path=path)
    scores, turns = np.full(shape, -np.inf), np.zeros(shape, np.int64)
    scores[box, columns], turns[box, columns] = table["score"], np.arange(len(table))
    return Detections(
        table.frame["video_id"].gather(first).to_numpy(), table["frame_stamp"][first],
        _coordinates(table)[first], scores,
        turns=turns, sha256=file_sha256(path), name=str(path), rows=table.rows[first], notes=notes,
    )  # fmt: skip


def write_detections(path: Path, detections: Detections, labels: LabelMap) -> None:
    """Write the table that `har score` reads."""
    write_text(path, detections_text(detections, labels))


def detections_text(detections: Detections, labels: LabelMap) -> str:
    """The table that `har score` reads, CSV: a row a box and action, with its logit; no header."""
    import polars

    box, action = np.nonzero(detections.given)
    columns = {
        "video_id": detections.video_ids[box].tolist(),
        "frame": detections.frames[box],
        **dict(zip(COORDINATES, detections.boxes[box].T, strict=True)),
        "action": np.array(labels.ids)[action],
        "logit": detections.scores[box, action],
    }
    return polars.DataFrame(columns).write_csv(include_header=False)


def _number_boxes(table: Table, columns: Places, actions: int) -> tuple[Places, Places]:
    """The first row of each box, ascending, and the number of the box of each row.

    A box is known by its place, and where the file gives an action several times in a place, by their order.
    """
    import polars  # slow to import

    # Rows of one place often follow one another; whole runs are compared, which is faster.
    names = ("video_id", "frame_stamp", *COORDINATES)
    places = table.frame.select(names)
    starts = places.select(polars.any_horizontal(polars.all().ne_missing(polars.all().shift()))).to_series()
    runs = places.filter(starts).with_row_index().select(polars.col("index").min().over(names)).to_series()
    place = runs.to_numpy().astype(np.intp)[starts.cum_sum().to_numpy() - 1]
    again = _repeats(place * actions + columns)
    _, first, box = np.unique(place * (again.max() + 1) + again, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return first[order], np.argsort(order)[box]


def _repeats(keys: Places) -> Places:
    """How many equal keys come before each, shape (n,)."""
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    counts = np.empty_like(order)
    counts[order] = np.arange(len(keys)) - np.repeat(starts, np.diff(starts, append=len(keys)))
    return counts


def _coordinates(table: Table) -> NDArray[np.float64]:
    return np.stack([table[name] for name in COORDINATES], axis=1)


def _of_label_map(table: Table, labels: LabelMap, what: str) -> tuple[Table, tuple[str, ...]]:
    """The rows whose action is in the label map, and a line on the others, each of which is a `what`.

    Raises:
        DataError: there is no such row.
    """
    known = labels.positions(table["action_id"]) >= 0
    if known.all():
        return table, ()
    ids = listed([str(number) for number in np.unique(table["action_id"][~known])])
    if not known.any():
        reason = f"none of its actions ({ids}) is one of the {len(labels)} of the label map"
        raise DataError(reason, path=table.path)
    count = int((~known).sum())
    note = (
        f"{many(count, what)} of actions that are not in the label map, left out"
        f" (ids {ids}; first at {table.place(int((~known).argmax()))})"
    )
    return table.only(known), (note,)


def number_images(detections: Detections, truth: GroundTruth) -> tuple[Places, Places]:
    """The number of the image, a frame of a video, of each detected box and of each true box, from 0.

    Images that the ground truth does not have come after the others.

    Raises:
        DataError: the ground truth has none of the images of the detections.
    """
    numbers: dict[tuple[str, int], int] = {}
    true = [numbers.setdefault(image, len(numbers)) for image in truth.images]
    known = len(numbers)
    detected = [numbers.setdefault(image, len(numbers)) for image in detections.images]
    if min(detected) >= known:
        video, frame = detections.images[0]
        reason = (
            f"none of its frames is in the ground truth ({truth.name}); the first is {video}, frame {frame}"
        )
        raise DataError(reason, path=detections.name)
    return np.array(detected), np.array(true)


def true_positives(
    detections: Detections, truth: GroundTruth, images: tuple[Places, Places], columns: Places
) -> Flags:
    """Whether each box, taken as a detection of each action, is a true positive; shape (boxes, actions).

    The rule of Pascal VOC as AVA's evaluation applies it, to the scores that are given, in their order: a box
    claims the true box of the action that it overlaps most (the first, where several are equal), if that
    overlap is at least 0.5. The first box that claims a true box is a true positive. Boxes without an area
    take no part.

    Args:
        detections: the boxes.
        truth: the true boxes.
        images: from `number_images`.
        columns: shape (true boxes,), the column of each true box's action among those of the scores.

    Raises:
        DataError: there are too many boxes in one frame.
    """
    box, true = _pairs_in_one_image(detections, truth, images)
    in_use = detections.given[box, columns[true]]
    box, true = box[in_use], true[in_use]
    overlap = _iou(detections.boxes[box], truth.boxes[true])
    box_and_action = box * detections.scores.shape[1] + columns[true]
    # Sorted by box and action; within them the greatest overlap is first, of equal ones the first true box.
    order = np.lexsort((true, -overlap, box_and_action))
    claims = order[_first_of_each(box_and_action[order])]
    claims = claims[overlap[claims] >= IOU]
    claims = claims[np.argsort(detections.visits[box[claims], columns[true[claims]]], kind="stable")]
    granted = claims[_first_of_each(true[claims])]
    right = np.zeros(detections.scores.shape, dtype=bool)
    right[box[granted], columns[true[granted]]] = True
    return right


def shown_in_frame(images: tuple[Places, Places], columns: Places, actions: int) -> Flags:
    """Whether each action is shown anywhere in the frame of each detected box; shape (boxes, actions)."""
    detected, true = images
    shown = np.zeros((max(detected.max(), true.max()) + 1, actions), dtype=bool)
    shown[true, columns] = True
    return shown[detected]


def _pairs_in_one_image(
    detections: Detections, truth: GroundTruth, images: tuple[Places, Places]
) -> tuple[Places, Places]:
    """All pairs of a detected and a true box of one image, both with an area, as two arrays of indices."""
    detected, true = images
    in_use = np.flatnonzero(truth.has_area)
    by_image = in_use[np.argsort(true[in_use], kind="stable")]
    start = np.searchsorted(true[by_image], detected, "left")
    count = np.searchsorted(true[by_image], detected, "right") - start
    count[~detections.has_area] = 0
    if count.sum() > MAX_PAIRS:
        reason = f"{count.sum():,} pairs of a detected and a true box of one frame are too many"
        raise DataError(reason, path=detections.name)
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
