"""What `microg-bench har convert` writes and prints: tables by the names of their files, and lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from microg_bench.cli.console import messages
from microg_bench.dataset.labels import LabelMap
from microg_bench.errors import UsageError
from microg_bench.persons.convert import Sizes, from_ava, read_ava, read_sizes, to_ava
from microg_bench.text import many

if TYPE_CHECKING:
    from polars import DataFrame

Converted = tuple["dict[str, DataFrame]", list[str]]


def annotations_to_ava(
    boxes: Path, actions: Path, sizes: Sizes, labels: LabelMap, *, by_source: bool
) -> Converted:
    """Boxes and actions in AVA's layout, whole and by the parts of the split."""
    ava = to_ava(boxes, actions, sizes, labels)
    parts = {f"ava_{part}.csv": rows for part, rows in ava.split(by_source=by_source).items()}
    lines = [
        f"{name:<20}{many(rows.height, 'row')}, {many(rows['video_id'].n_unique(), 'video')}"
        for name, rows in parts.items()
    ]
    left = many(ava.actions_without_box, "action"), many(ava.persons_without_box, "person")
    return {"keyframe_boxes.csv": ava.rows, **parts}, [*lines, f"{' of '.join(left)} without a box"]


def key_frames_back(paths: Sequence[Path], sizes: Sizes, labels: LabelMap) -> Converted:
    """Key frames of AVA's layout as boxes in pixels and actions."""
    pixels, named = from_ava(read_ava(paths, labels), sizes)
    tables = {"bounding_boxes.csv": pixels, "actions.csv": named}
    lines = [f"{name:<20}{many(rows.height, 'row')}" for name, rows in tables.items()]
    if again := named.height - named.n_unique():
        lines.append(f"{many(again, 'row')} of actions repeat earlier ones, and are kept")
    return tables, lines


def frame_sizes(videos: Path | None, size: str | None) -> Sizes:
    """Where the sizes of the frames come from.

    Raises:
        UsageError: neither or both are given, or the size is not WIDTHxHEIGHT.
    """
    if (videos is None) == (size is None):
        raise UsageError("boxes are in pixels: give either --videos FOLDER or --size WIDTHxHEIGHT")
    if videos is not None:
        with messages().status(f"reading the sizes of the videos in {videos}"):
            return read_sizes(videos)
    pattern = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", size or "")
    if pattern is None:
        raise UsageError(f"{size}: give WIDTHxHEIGHT in pixels, e.g. 854x480", item="--size")
    return Sizes(usual=(int(pattern[1]), int(pattern[2])))
