"""Converts the published annotations, boxes and actions of each person, to the layout of AVA, and back.

AVA's layout has one frame per person: a row is a box in the key frame and one action of the person in it. Its
files are divided by the published split.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from microg_bench.dataset.annotations import source_of
from microg_bench.dataset.labels import LAYOUT as ACTIONS
from microg_bench.dataset.labels import LabelMap, check_actions, read_actions
from microg_bench.dataset.load import find_videos
from microg_bench.dataset.tabular import MAX_ROWS, Table, TableColumn, read_table
from microg_bench.errors import DataError, DecodeError
from microg_bench.persons.boxes import COORDINATES, PLACE
from microg_bench.persons.source_split import PARTS, split_sources
from microg_bench.video.source import probe

if TYPE_CHECKING:
    from polars import DataFrame

BOXES = (
    TableColumn("video_id", "id"),
    TableColumn("frame_id", "count"),
    TableColumn("person_id", "count"),
    *(TableColumn(name, "pixel") for name in COORDINATES),
)
KEY_FRAMES = (*PLACE, TableColumn("person_id", "count"))
DECIMALS = 3
PERSON = ["video_id", "person_id"]
# The published split: 70% train, 10% validation, the rest test.
TRAIN, VALIDATION = 0.7, 0.1
SEED = 42
_YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}")


@dataclass(frozen=True)
class Sizes:
    """Width and height of each video's frames in pixels; `usual` is that of videos that `known` lacks.

    `hint` ends the error on a video whose size is not known.
    """

    usual: tuple[int, int] | None = None
    known: Mapping[str, tuple[int, int]] | None = None
    hint: str = ""

    def scale(self, table: Table) -> NDArray[np.float64]:
        """Width, height, width, height of the video of each row, shape (n, 4).

        Raises:
            DataError: the size of a video is not known; the row is named.
        """
        known = self.known or {}
        pairs = [known.get(name, self.usual) for name in table["video_id"]]
        if None in pairs:
            index = pairs.index(None)
            reason = f"no video {table['video_id'][index]!r} to take the size from{self.hint}"
            raise DataError(reason, path=table.path, item=table.place(index))
        return np.array(pairs, dtype=float)[:, [0, 1, 0, 1]]


def read_sizes(folder: Path, hint: str = "") -> Sizes:
    """The frame size of every video below `folder`, from its header; see `Sizes` for the hint.

    Raises:
        DataError: there is no such folder, no video in it, or one that cannot be opened.
    """
    if not folder.is_dir():
        raise DataError("no such folder", path=folder)
    videos, _, _ = find_videos(folder)
    if not videos:
        raise DataError("holds no videos", path=folder)
    known = {}
    for video_id, path in videos.items():
        try:
            facts = probe(path)
        except DecodeError as error:
            raise DataError(error.reason + hint, path=path) from error
        known[video_id] = (facts.width, facts.height)
    return Sizes(known=known, hint=hint)


@dataclass(frozen=True, eq=False)
class Ava:
    """Annotations in AVA's layout.

    Attributes:
        rows: a row per person and action: video_id, frame_stamp, xmin, ymin, xmax, ymax, action_id,
            person_id.
        persons_without_action: persons of the boxes file that no action belongs to.
        persons_without_box: persons of the actions file that no box belongs to.
        actions_without_box: their rows.
    """

    rows: DataFrame
    persons_without_action: int = 0
    persons_without_box: int = 0
    actions_without_box: int = 0

    def split(self, *, by_source: bool = False) -> dict[str, DataFrame]:
        """The rows of `train`, `val` and `test`, by `split_videos` or, with the same shares, `split_sources`.

        Raises:
            DataError: the videos are of too few sources.
        """
        import polars

        shown = self.rows.group_by("video_id").agg(polars.col("action_id"))
        actions = {name: set(own) for name, own in shown.iter_rows()}
        shares = (TRAIN, VALIDATION, 1 - TRAIN - VALIDATION)
        videos = split_sources(actions, shares, SEED) if by_source else split_videos(actions)
        return {part: self.rows.filter(polars.col("video_id").is_in(names)) for part, names in videos.items()}


def to_ava(boxes: Path, actions: Path, sizes: Sizes, labels: LabelMap, *, others: bool = False) -> Ava:
    """Read `bounding_boxes.csv` and `actions.csv` and choose each person's key frame.

    The key frame is the one nearest the median of the frames in which the person has a box, the first in the
    file where two are. Coordinates are divided by the frame's size and rounded to 3 decimals. Persons without
    an action are left out, those without a box are counted. Repeated rows stay repeated, as published.
    Actions that are not in the label map are left out if `others`, else refused.

    Raises:
        DataError: see `read_table` and `read_actions`; a box outside its frame, or too many rows of a person.
    """
    import polars

    table, labelled = read_table(boxes, BOXES), read_actions(actions, labels, others=others)
    frame = polars.DataFrame({name: table[name] for name in (*PERSON, "frame_id")}).with_columns(
        polars.Series(name, values) for name, values in zip(COORDINATES, _shares(table, sizes).T, strict=True)
    )
    seen = polars.col("frame_id")
    nearest = seen.get((seen - seen.median()).abs().arg_min()).over(PERSON)
    named = polars.DataFrame({name: labelled[name] for name in (*PERSON, "action")})
    chosen = frame.filter(seen == nearest)
    counts = [part.group_by(PERSON).agg(polars.len()) for part in (chosen, named)]
    pairs = counts[0].join(counts[1], on=PERSON).select(polars.col("len") * polars.col("len_right"))
    if pairs.to_series().sum() > MAX_ROWS:
        raise DataError(f"its rows of each person times those in {boxes} are too many", path=actions)
    rows = (
        chosen.join(named, on=PERSON, how="inner", maintain_order="left_right")
        .rename({"frame_id": "frame_stamp", "action": "action_id"})
        .select([column.name for column in KEY_FRAMES])
    )
    if rows.is_empty():
        raise DataError(f"no person in it has a box in {boxes}", path=actions)
    without_box = named.join(frame, on=PERSON, how="anti")
    without_action = frame.join(named, on=PERSON, how="anti").select(PERSON).n_unique()
    return Ava(rows, without_action, without_box.select(PERSON).n_unique(), without_box.height)


def split_videos(actions: Mapping[str, Iterable[int]], seed: int = SEED) -> dict[str, list[str]]:
    """Divide videos into `train`, `val` and `test`, each a list of video ids in no order.

    Train first takes videos that together cover all actions, at each step the one that adds most (the first
    by name, where several do). The others are shuffled by NumPy's legacy generator, whose numbers do not
    change between versions, and fill train up to ⌊0.7 n⌋ videos, then validation with ⌊0.1 n⌋; the rest are
    test. On the key frames of MicroG-4M, seed 42 gives the split of the paper, video by video.

    Args:
        actions: the action ids of each video id.
        seed: of the shuffle.
    """
    names = sorted(actions)
    covering = _cover({name: set(actions[name]) for name in names})
    rest = [name for name in names if name not in covering]
    order = np.random.RandomState(seed).permutation(len(rest))
    shuffled = [rest[index] for index in order]
    more = max(int(TRAIN * len(names)) - len(covering), 0)
    held = more + int(VALIDATION * len(names))
    return {"train": covering + shuffled[:more], "val": shuffled[more:held], "test": shuffled[held:]}


def _cover(actions: Mapping[str, set[int]]) -> list[str]:
    """Videos that together show every action, chosen greedily."""
    missing = set().union(*actions.values())
    chosen = []
    while missing:
        best = max(actions, key=lambda name: len(actions[name] & missing))
        chosen.append(best)
        missing -= actions[best]
    return chosen


def read_ava(paths: Sequence[Path], labels: LabelMap) -> list[Table]:
    """Read files of AVA's layout, with or without a header.

    Raises:
        DataError: see `read_table`; or an action is not in the label map.
    """
    tables = [read_table(path, KEY_FRAMES) for path in paths]
    for table in tables:
        check_actions(table, "action_id", labels)
    return tables


def read_parts(folder: Path) -> dict[str, str]:
    """The part of a split that each video is in, by id, from a folder that `har convert` wrote.

    Raises:
        DataError: there is none of its files, see `read_table`, or a video is in two parts; the row is named.
    """
    paths = {part: folder / f"ava_{part}.csv" for part in PARTS}
    if not any(path.is_file() for path in paths.values()):
        raise DataError("holds no ava_train.csv, which `har convert` writes", path=folder)
    found: dict[str, str] = {}
    for part, path in paths.items():
        if not path.is_file() or not path.stat().st_size:  # a part of a small dataset may be empty
            continue
        table = read_table(path, KEY_FRAMES)
        for row, name in enumerate(table["video_id"]):
            if found.setdefault(name, part) != part:
                raise DataError(f"{name} is in {found[name]} as well", path=path, item=table.place(row))
    return found


def from_ava(tables: Sequence[Table], sizes: Sizes) -> tuple[DataFrame, DataFrame]:
    """Boxes in pixels, one per person in its key frame, and actions, both in the published columns.

    Pixels are not rounded, so that `to_ava` gives the same shares again. AVA's layout does not tell real
    footage from movies; `movie_or_real` is set by the names of MicroG-4M (see `_footage`).

    Raises:
        DataError: the size of a video is not known.
    """
    import polars

    frames = []
    for table in tables:
        shares = np.stack([table[name] for name in COORDINATES], axis=1)
        pixels = shares * sizes.scale(table)
        frame = polars.DataFrame({column.name: table[column.name] for column in KEY_FRAMES})
        frames.append(
            frame.with_columns(
                *(polars.Series(name, values) for name, values in zip(COORDINATES, pixels.T, strict=True)),
                polars.Series("movie_or_real", [footage_of(name) for name in table["video_id"]]),
            )
        )
    rows = polars.concat(frames).rename({"frame_stamp": "frame_id", "action_id": "action"})
    boxes = rows.select([column.name for column in BOXES]).unique(maintain_order=True)
    return boxes, rows.select([column.name for column in ACTIONS if column.name in rows.columns])


def _shares(table: Table, sizes: Sizes) -> NDArray[np.float64]:
    pixels, scale = np.stack([table[name] for name in COORDINATES], axis=1), sizes.scale(table)
    outside = (pixels > scale).any(axis=1)
    if outside.any():
        index = int(outside.argmax())
        width, height = scale[index, :2].astype(int)
        reason = f"the box goes beyond its frame of {width}x{height}"
        raise DataError(reason, path=table.path, item=table.place(index))
    return np.asarray(np.round(pixels / scale, DECIMALS))


def footage_of(video_id: str) -> str:
    """``r``, real footage, where the source is named by a YouTube id (11 of A-Z a-z 0-9 _ -), else ``m``.

    This is how MicroG-4M names its 48 sources. In another dataset a movie whose name has 11 such characters
    would be taken for real footage, and real footage that is not named by its YouTube id for a movie.
    """
    return "r" if _YOUTUBE_ID.fullmatch(source_of(video_id)) else "m"
