"""Key frames: frames with boxes about persons, and the actions of each person where they are known."""

import hashlib
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from microg_bench.dataset.labels import LabelMap
from microg_bench.dataset.load import ACTION_NAMES, BOX_NAMES, find_table, find_videos, locate
from microg_bench.dataset.shards import divide, numbers
from microg_bench.dataset.tabular import Table, TableColumn, read_table
from microg_bench.errors import DataError, DecodeError, UsageError
from microg_bench.persons.boxes import COORDINATES, PLACE, GroundTruth
from microg_bench.persons.convert import Ava, read_sizes, to_ava
from microg_bench.text import many
from microg_bench.video.decode import Frames
from microg_bench.video.pool import DecodePool
from microg_bench.video.sampling import FramePositions
from microg_bench.video.source import probe

Split = Literal["train", "val", "test", "all"]
ACTION, PERSON = "action_id", "person_id"
GONE = Path(os.devnull)  # in the place of the video of a clip that the dataset lacks
_SIZE_NEEDED = (
    ": the boxes are in pixels, so that its size is needed; put the clip back, or give boxes in shares in "
    "the place of the annotations (`har convert --size` writes them)"
)
# Boxes that are to be looked at: AVA's layout, of which the columns from the action on may be left out.
BOXES = (
    *(column for column in PLACE if column.name != ACTION),
    TableColumn(ACTION, "count", others=("action",), optional=True, blank=True),
    TableColumn(PERSON, "count", optional=True),
    TableColumn("source", "word", optional=True),
)


@dataclass(frozen=True, eq=False)
class KeyFrame:
    """One frame of a clip with its boxes.

    Attributes:
        video_id: of the clip.
        video: its file; `GONE` where the dataset has none.
        frame: the number of the frame, the first being 1.
        boxes: shape (n, 4), x1, y1, x2, y2 as shares of the frame.
        actions: the ids of the actions of each box, in ascending order; empty where they are not known.
    """

    video_id: str
    video: Path
    frame: int
    boxes: NDArray[np.float64]
    actions: tuple[tuple[int, ...], ...]

    @property
    def key(self) -> tuple[str, int]:
        """Clip and frame."""
        return self.video_id, self.frame

    @property
    def id(self) -> str:
        """What messages and pages call it."""
        return f"{self.video_id}#{self.frame}"


@dataclass(frozen=True, eq=False)
class KeyFrames:
    """The key frames of a split.

    Attributes:
        items: those of a clip follow one another, in the order in which the clips occur first.
        name: what messages call them.
        truth: the rows of their actions as they stand, None where there is none.
        notes: what was left out, a line each.
    """

    items: tuple[KeyFrame, ...]
    name: str
    truth: GroundTruth | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    @property
    def boxes(self) -> int:
        """The number of boxes."""
        return sum(len(item.boxes) for item in self.items)

    def shard(self, shard: str | None) -> tuple[KeyFrame, ...]:
        """The items of a shard, as ``3/8``, which has whole clips; all of them for None."""
        if shard is None:
            return self.items
        counts = Counter(item.video_id for item in self.items)
        number, count = numbers(shard)
        own = set(divide(list(counts), list(counts.values()), count)[number - 1])
        return tuple(item for item in self.items if item.video_id in own)

    def known_truth(self) -> GroundTruth:
        """What detections are scored against.

        Raises:
            DataError: no box has an action.
        """
        if self.truth is None:
            reason = (
                "no box has an action: there is nothing to score against (`har predict` needs no actions)"
            )
            raise DataError(reason, path=self.name)
        return self.truth

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over clips, frames, boxes and actions, in order."""
        digest = hashlib.sha256()
        for item in self.items:
            digest.update(f"{item.video_id}\n{item.frame}\n{item.boxes.tolist()}\n{item.actions}\n".encode())
        return digest.hexdigest()


def load_key_frames(
    data: str | Path | None,
    labels: LabelMap,
    *,
    split: str = "test",
    boxes: Path | None = None,
    gone: bool = False,
) -> KeyFrames:
    """The key frames of a dataset folder: of its annotations by the published split, or those of a file.

    Args:
        data: as `--data` takes it; a folder with videos.
        labels: the actions; boxes with others are counted in the notes.
        split: "train", "val", "test" or "all"; a file of boxes is taken whole.
        boxes: a table of boxes in AVA's layout; without it the annotations of the dataset are used.
        gone: whether clips of the table may be missing; with the annotations, their sizes are needed.

    Raises:
        UsageError: there is no such split.
        DataError: there are no videos, no annotations or no boxes; a video, or a frame's size, is missing.
    """
    if boxes is None:
        return load_splits(data, labels, (split,))[0]
    table, (_, videos) = read_table(boxes, BOXES), _videos(data, gone=gone)
    if gone:
        videos = {**dict.fromkeys(table["video_id"], GONE), **videos}
    return _grouped(table, videos, labels, boxes.name)


def load_splits(data: str | Path | None, labels: LabelMap, splits: Sequence[str]) -> list[KeyFrames]:
    """The key frames of several splits of the annotations, which are read once; see `load_key_frames`."""
    for split in splits:
        if split not in get_args(Split):
            raise UsageError(f"{split!r}: give train, val, test or all", item="--split")
    folder, videos = _videos(data)
    table, actions = (_annotations(folder, names) for names in (BOX_NAMES, ACTION_NAMES))
    ava = to_ava(table, actions, read_sizes(folder, _SIZE_NEEDED), labels, others=True)
    parts = {"all": ava.rows, **ava.split()}
    found = []
    for split in splits:
        rows = parts[split]
        if rows.is_empty():
            reason = (
                f"the split {split} is empty: training takes 70% of the clips, validation 10%; "
                "ten clips fill all"
            )
            raise DataError(reason, path=folder)
        numbered = Table(table, rows, np.arange(1, rows.height + 1))
        one = _grouped(numbered, videos, labels, f"{folder.resolve().name}, {split}")
        found.append(replace(one, notes=(*one.notes, *_left_out(ava))))
    return found


def _videos(data: str | Path | None, *, gone: bool = False) -> tuple[Path, dict[str, Path]]:
    """The folder of a dataset, and its videos by id."""
    folder = locate(data)
    if not folder.is_dir():
        raise DataError("is no dataset folder: action recognition needs its videos", path=folder)
    videos, _, _ = find_videos(folder)
    if not videos and not gone:
        raise DataError("holds no videos", path=folder)
    return folder, videos


def _annotations(folder: Path, names: Sequence[str]) -> Path:
    path, faults = find_table(folder, names)
    if path is None:
        why = next((f"{bad.name} {fault}" for bad, fault in faults.items()), f"holds no {names[0]}")
        raise DataError(f"{why}: the boxes and actions of persons are needed, or --boxes FILE", path=folder)
    return path


def _grouped(table: Table, videos: Mapping[str, Path], labels: LabelMap, name: str) -> KeyFrames:
    """The rows of a table by clip and frame, without boxes that have no area."""
    corners = np.stack([table[column] for column in COORDINATES], axis=1)
    found: dict[tuple[str, int], dict[tuple[float, ...], set[int]]] = {}
    flat, foreign = 0, 0
    people = table[PERSON] if PERSON in table.frame.columns else np.zeros(len(table), np.int64)
    persons: dict[tuple[object, ...], set[int]] = {}
    actions = table[ACTION] if ACTION in table.frame.columns else np.full(len(table), -1)
    known = labels.positions(actions) >= 0
    for row, (video_id, frame, box) in enumerate(
        zip(table["video_id"], table["frame_stamp"], corners.tolist(), strict=True)
    ):
        if video_id not in videos:
            reason = f"there is no video of {video_id!r} in the dataset"
            raise DataError(reason, path=table.path, item=table.place(row))
        if frame < 1:
            raise DataError("the first frame is number 1", path=table.path, item=table.place(row))
        if box[0] > box[2] or box[1] > box[3]:
            raise DataError("the corners of the box are swapped", path=table.path, item=table.place(row))
        if box[0] == box[2] or box[1] == box[3]:
            flat += 1
            continue
        shown = found.setdefault((video_id, int(frame)), {}).setdefault(tuple(box), set())
        persons.setdefault((video_id, int(frame), *box), set()).add(int(people[row]))
        if known[row]:
            shown.add(int(actions[row]))
        elif actions[row] >= 0:
            foreign += 1
    if not found:
        raise DataError("holds no box with an area", path=table.path)
    order = {video_id: k for k, video_id in enumerate(dict.fromkeys(video_id for video_id, _ in found))}
    items = tuple(
        KeyFrame(
            video_id,
            videos[video_id],
            frame,
            np.array(list(boxes)),
            tuple(tuple(sorted(one)) for one in boxes.values()),
        )
        for (video_id, frame), boxes in sorted(found.items(), key=lambda pair: order[pair[0][0]])
    )
    _check_frames(items, table.path)
    shared = sum(len(own) > 1 for own in persons.values())
    truth = None
    if known.any():
        ids, frames = table["video_id"][known], table["frame_stamp"][known]
        truth = GroundTruth(ids, frames, corners[known], actions[known], name=name)
    return KeyFrames(items, name, truth, tuple(_notes(flat, foreign, shared)))


def _check_frames(items: Sequence[KeyFrame], path: Path) -> None:
    """Check that the clips have the frames, as far as the headers of their files tell."""
    counts: dict[Path, int] = {}
    for item in items:
        if item.video not in counts:
            try:
                counts[item.video] = probe(item.video).frames
            except DecodeError:
                counts[item.video] = 0  # its decoding will tell why
        if 0 < counts[item.video] < item.frame:
            reason = f"there is no frame {item.frame}: the clip has {counts[item.video]}"
            raise DataError(reason, path=path, item=item.video_id)


def _left_out(ava: Ava) -> Iterator[str]:
    """What of the annotations is no key frame."""
    if ava.persons_without_action:
        people = many(ava.persons_without_action, "person")
        yield f"{people} with a box but no action of the label map, left out"
    if ava.persons_without_box:
        people, actions = many(ava.persons_without_box, "person"), many(ava.actions_without_box, "action")
        yield f"{actions} of {people} without a box, left out"


def _notes(flat: int, foreign: int, shared: int) -> Iterator[str]:
    if flat:
        yield f"{many(flat, 'row')} of boxes without an area, left out"
    if foreign:
        yield f"{many(foreign, 'action')} not in the label map, left out; the boxes are kept"
    if shared:
        yield f"{many(shared, 'box')} given of several persons, who are looked at as one"


def decoded_clips(
    key_frames: Sequence[KeyFrame], positions: Callable[[KeyFrame], Iterable[int]], pool: DecodePool
) -> Iterator[tuple[list[KeyFrame], Frames | DecodeError]]:
    """The key frames that follow one another in a clip, with their frames, or why there are none.

    Each such clip is decoded once, in the pool, ahead of what is taken.
    """
    waiting: deque[tuple[list[KeyFrame], Future[Frames]]] = deque()
    for video, members in groupby(key_frames, key=lambda one: one.video):
        if len(waiting) == pool.ahead:
            yield _taken(*waiting.popleft())
        group = list(members)
        needed = tuple(sorted({at for one in group for at in positions(one)}))
        waiting.append((group, pool.submit(video, FramePositions(positions=needed))))
    while waiting:
        yield _taken(*waiting.popleft())


def _taken(group: list[KeyFrame], future: Future[Frames]) -> tuple[list[KeyFrame], Frames | DecodeError]:
    try:
        return group, future.result()
    except DecodeError as error:
        return group, error
