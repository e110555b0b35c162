"""Where things lie in a dataset folder: the annotation file, and the videos by id."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from microg_bench.errors import DataError

VIDEO_ENDINGS = (".mp4", ".mkv", ".webm", ".avi", ".mov")
ANNOTATION_NAMES = ("vqa_and_captioning.json", "vqa_and_captioning.parquet")
ANNOTATION_FOLDERS = (
    "",
    "annotation_files",
    "annotation_files/vqa_and_captioning",
    "vqa_and_captioning",
    "parquet_format",
)


@dataclass(frozen=True)
class Layout:
    """The files of a dataset. `videos` maps an id to its file; `doubles` lists further files of an id.

    `actions` is the published table of action labels, which covers more clips than the captions do.
    """

    annotations: Path
    actions: Path | None = None
    videos: dict[str, Path] = field(default_factory=dict)
    doubles: tuple[Path, ...] = ()


def find_layout(data: Path) -> Layout:
    """Look at a dataset folder, or take an annotation file alone.

    Raises:
        DataError: there is no such folder or file, or no (or more than one) annotation file in it.
    """
    if data.is_file():
        return Layout(data)
    if not data.is_dir():
        raise DataError(f"{data}: no such dataset folder or annotation file")
    videos, doubles = _videos(data)
    return Layout(_annotation_file(data), _actions_file(data), videos, tuple(doubles))


def _actions_file(root: Path) -> Path | None:
    places = (root / folder / "actions.csv" for folder in ANNOTATION_FOLDERS)
    return next((path for path in places if path.is_file()), None)


def _annotation_file(root: Path) -> Path:
    for folder in ANNOTATION_FOLDERS:
        for name in ANNOTATION_NAMES:
            if (path := root / folder / name).is_file():
                return path
    folders = [root / folder for folder in ANNOTATION_FOLDERS if (root / folder).is_dir()]
    found = [path for folder in folders for path in sorted(folder.glob("*.json"))]
    if len(found) != 1:
        what = f"{len(found)} JSON files and none" if found else "no annotation file"
        raise DataError(f"{root}: {what} called {' or '.join(ANNOTATION_NAMES)}")
    return found[0]


def _videos(root: Path) -> tuple[dict[str, Path], list[Path]]:
    """All videos below `root` by file name without ending; links to folders are followed, but once."""
    videos: dict[str, Path] = {}
    doubles: list[Path] = []
    seen: set[str] = set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if path.suffix.lower() not in VIDEO_ENDINGS:
                continue
            if path.stem in videos:
                doubles.append(path)
            else:
                videos[path.stem] = path
    return videos, doubles
