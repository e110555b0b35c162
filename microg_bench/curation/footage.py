"""Finds footage, and reads the manifest that says where it is from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from microg_bench.curation.folder import CLIPS_FOLDER, FACTS_FILE, Footage, Kind
from microg_bench.curation.tables import read_rows
from microg_bench.dataset.annotations import MAX_ID_LENGTH, safe_id
from microg_bench.errors import DataError, UsageError
from microg_bench.text import printable, unknown

ENDINGS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".3gp")
MAX_BYTES = 16 * 1024**2  # of a manifest
KINDS: tuple[Kind, ...] = ("real", "movie")
_OWN = ("origin", "licence", "mission")
_LONGEST_NUMBER = 8  # of a clip, with the line before it


def find_footage(paths: Sequence[Path], out: Path, manifest: Path | None = None) -> dict[Path, Footage]:
    """The footage in files and folders, by file, in the order of names.

    Args:
        paths: videos, and folders that hold them at any depth. In folders, what is hidden is left out, and so
            are curations.
        out: the folder of the curation.
        manifest: a CSV file with a column `name`, the name of a video with or without its ending, and any of
            `kind` (real or movie), `origin`, `licence`, `mission` and others.

    Raises:
        UsageError: there is no such file or folder, or no video in it; or a folder is where the curation
            puts its clips.
        DataError: two videos have one name, or a name is no plain file name; or the manifest cannot be read.
    """
    files = sorted(
        {file.resolve(): file for path in paths for file in _videos(path, out)}.values(), key=_by_name
    )
    known = read_manifest(manifest) if manifest else {}
    found: dict[Path, Footage] = {}
    names: dict[str, Path] = {}
    for file in files:
        name = safe_id(file.stem, file.parent, printable(file.name))
        if len(name) + _LONGEST_NUMBER > MAX_ID_LENGTH or name != name.strip():
            raise DataError("its name is too long, or has blanks around it", path=file)
        if name in names:
            raise DataError(
                f"has the name of {names[name]}: rename one, ids of clips begin with it", path=file
            )
        names[name] = file
        entry = known.get(file.name) or known.get(name) or {}
        status = file.stat()
        kept = {one: entry.get(one, "") for one in _OWN}
        found[file] = Footage(
            name=name,
            file=file.name,
            kind="movie" if entry.get("kind") == "movie" else "real",
            size=status.st_size,
            modified=status.st_mtime_ns,
            more={key: value for key, value in entry.items() if key not in (*_OWN, "name", "kind") and value},
            **kept,
        )
    lost = sorted(set(known) - {entry for one in found.values() for entry in (one.name, one.file)})
    if lost and manifest:
        raise DataError(unknown("footage", lost[0], names), path=manifest)
    return found


def _by_name(file: Path) -> tuple[str, str]:
    return file.stem, str(file)


def _videos(path: Path, out: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UsageError("no such video or folder", path=path)
    place, own = path.resolve(), out.resolve()
    if place == own or place.is_relative_to(own / CLIPS_FOLDER):
        raise UsageError(f"its clips would be footage in {path}: give a folder of its own", item="--out")
    if (path / FACTS_FILE).is_file():
        raise UsageError(f"holds {FACTS_FILE}: it is a curation, not footage", path=path)
    files = _videos_below(path)
    if not files:
        raise UsageError(f"holds no video ({', '.join(ENDINGS)})", path=path)
    return files


def _videos_below(top: Path) -> list[Path]:
    """The videos in a folder at any depth, without those that are hidden and those of curations."""
    found: list[Path] = []
    for place, folders, names in os.walk(top):
        folder = Path(place)
        if FACTS_FILE in names:
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        files = [folder / name for name in names if not name.startswith(".")]
        found += [file for file in files if file.suffix.lower() in ENDINGS and file.is_file()]
    return found


def read_manifest(path: Path) -> dict[str, dict[str, str]]:
    """The rows of a manifest by their `name`.

    Raises:
        DataError: it is no CSV file with a column `name`, a name is there twice, or a kind is not known.
    """
    found: dict[str, dict[str, str]] = {}
    for number, row in read_rows(path, ("name",), MAX_BYTES):
        entry = {key.strip(): value.strip() for key, value in row.items()}
        if entry["name"] in found:
            raise DataError(f"{entry['name']!r} is there twice", path=path, item=f"row {number}")
        if entry.get("kind") not in (*KINDS, "", None):
            reason = f"kind {entry['kind'][:20]!r} is not real or movie"
            raise DataError(reason, path=path, item=f"row {number}")
        found[entry["name"]] = entry
    return found
