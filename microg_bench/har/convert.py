"""Turns the published annotations, boxes and actions a person, into the layout of AVA, and back.

AVA's layout has one frame a person: a row is a box in the key frame and one action of the person in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from microg_bench.dataset.annotations import source_of
from microg_bench.dataset.layout import VIDEO_ENDINGS
from microg_bench.errors import DataError, DecodeError
from microg_bench.har.boxes import COORDINATES, PLACE, check_actions
from microg_bench.har.labels import LabelMap
from microg_bench.har.split import split_videos
from microg_bench.har.table import Column, Table, read_table
from microg_bench.video import probe

if TYPE_CHECKING:
    from polars import DataFrame

BOXES = (
    Column("video_id", "id"),
    Column("frame_id", "count"),
    Column("person_id", "count"),
    *(Column(name, "pixel") for name in COORDINATES),
)
ACTIONS = (
    Column("video_id", "id"),
    Column("movie_or_real", "word"),
    Column("person_id", "count"),
    Column("action", "count"),
)
KEY_FRAMES = (*PLACE, Column("person_id", "count"))
DECIMALS = 3
YOUTUBE_ID_LENGTH = 11
PERSON = ["video_id", "person_id"]


@dataclass(frozen=True)
class Sizes:
    """Width and height of each video's frames in pixels; `usual` is that of videos that `known` lacks."""

    usual: tuple[int, int] | None = None
    known: Mapping[str, tuple[int, int]] | None = None

    def scale(self, table: Table) -> NDArray[np.float64]:
        """Width, height, width, height of the video of each row, shape (n, 4).

        Raises:
            DataError: the size of a video is not known; the row is named.
        """
        known = self.known or {}
        pairs = [known.get(name, self.usual) for name in table["video_id"]]
        if None in pairs:
            index = pairs.index(None)
            raise DataError(
                f"{table.place(index)}: no video {table['video_id'][index]!r} to take the size from"
            )
        return np.array(pairs, dtype=float)[:, [0, 1, 0, 1]]


def read_sizes(folder: Path) -> Sizes:
    """The frame size of every video below `folder`, from its header.

    Raises:
        DataError: there is no such folder, no video in it, or one that cannot be opened.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in VIDEO_ENDINGS]
    if not files:
        raise DataError(f"{folder}: holds no videos")
    try:
        facts = {path.stem: probe(path) for path in files}
    except DecodeError as error:
        raise DataError(str(error)) from error
    return Sizes(known={name: (one.width, one.height) for name, one in facts.items()})


@dataclass(frozen=True, eq=False)
class Ava:
    """Annotations in AVA's layout.

    Attributes:
        rows: a row a person and action: video_id, frame_stamp, xmin, ymin, xmax, ymax, action_id, person_id.
        persons_without_box: persons of the actions file that no box belongs to.
        actions_without_box: their rows.
    """

    rows: DataFrame
    persons_without_box: int = 0
    actions_without_box: int = 0

    def split(self) -> dict[str, DataFrame]:
        """The rows of `train`, `val` and `test`, by `split_videos`."""
        import polars

        shown = self.rows.group_by("video_id").agg(polars.col("action_id"))
        videos = split_videos({name: set(actions) for name, actions in shown.iter_rows()})
        return {part: self.rows.filter(polars.col("video_id").is_in(names)) for part, names in videos.items()}


def to_ava(boxes: Path, actions: Path, sizes: Sizes, labels: LabelMap) -> Ava:
    """Read `bounding_boxes.csv` and `actions.csv` and choose each person's key frame.

    The key frame is the one nearest the median of the frames in which the person has a box, the first in the
    file where two are. Coordinates are divided by the frame's size and rounded to 3 decimals. Persons without
    an action are left out, those without a box are counted. Repeated rows stay repeated, as published.

    Raises:
        DataError: see `read_table`; a box outside its frame; an action that is not in the label map.
    """
    import polars

    table, labelled = read_table(boxes, BOXES), read_table(actions, ACTIONS)
    check_actions(labelled, "action", labels)
    frame = polars.DataFrame({name: table[name] for name in (*PERSON, "frame_id")}).with_columns(
        polars.Series(name, values) for name, values in zip(COORDINATES, _shares(table, sizes).T, strict=True)
    )
    seen = polars.col("frame_id")
    nearest = seen.get((seen - seen.median()).abs().arg_min()).over(PERSON)
    named = polars.DataFrame({name: labelled[name] for name in (*PERSON, "action")})
    rows = (
        frame.filter(seen == nearest)
        .join(named, on=PERSON, how="inner", maintain_order="left_right")
        .rename({"frame_id": "frame_stamp", "action": "action_id"})
        .select([column.name for column in KEY_FRAMES])
    )
    if rows.is_empty():
        raise DataError(f"{actions}: no person in it has a box in {boxes}")
    bare = named.join(frame, on=PERSON, how="anti")
    return Ava(rows, bare.select(PERSON).n_unique(), bare.height)


def read_ava(paths: Sequence[Path], labels: LabelMap) -> list[Table]:
    """Read files of AVA's layout, with or without a header.

    Raises:
        DataError: see `read_table`; or an action is not in the label map.
    """
    tables = [read_table(path, KEY_FRAMES) for path in paths]
    for table in tables:
        check_actions(table, "action_id", labels)
    return tables


def from_ava(tables: Sequence[Table], sizes: Sizes) -> tuple[DataFrame, DataFrame]:
    """Boxes in pixels, one a person, and actions, in the published columns; the key frame is the only frame.

    Pixels are not rounded, so that `to_ava` gives the same shares again. Footage counts as real where its
    source has the eleven characters of a YouTube id, which is right for all 48 sources of MicroG-4M.

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
                polars.Series("movie_or_real", [_footage(name) for name in table["video_id"]]),
            )
        )
    rows = polars.concat(frames).rename({"frame_stamp": "frame_id", "action_id": "action"})
    boxes = rows.select([column.name for column in BOXES]).unique(maintain_order=True)
    return boxes, rows.select([column.name for column in ACTIONS])


def csv_text(frame: DataFrame, header: bool) -> str:
    """The rows as CSV, numbers in the fewest digits that read back the same."""
    return frame.write_csv(include_header=header)


def _shares(table: Table, sizes: Sizes) -> NDArray[np.float64]:
    pixels, scale = np.stack([table[name] for name in COORDINATES], axis=1), sizes.scale(table)
    outside = (pixels > scale).any(axis=1)
    if outside.any():
        index = int(outside.argmax())
        width, height = scale[index, :2].astype(int)
        raise DataError(f"{table.place(index)}: the box goes beyond its frame of {width}x{height}")
    return np.asarray(np.round(pixels / scale, DECIMALS))


def _footage(video_id: str) -> str:
    return "r" if len(source_of(video_id)) == YOUTUBE_ID_LENGTH else "m"
