"""Finds footage, and reads the manifest that says where it is from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microg_bench.curation.folder import CLIPS_FOLDER, FACTS_FILE, Footage, Kind, read_facts
from microg_bench.curation.tables import read_rows
from microg_bench.dataset.annotations import MAX_ID_LENGTH, safe_id
from microg_bench.errors import DataError, UsageError
from microg_bench.text import printable, unknown

ENDINGS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".3gp")
MAX_BYTES = 16 * 1024**2  # of a manifest
KINDS: tuple[Kind, ...] = ("real", "movie")
_OWN = ("kind", "origin", "licence", "mission")
_LONGEST_NUMBER = 8  # of a clip, with the line before it


@dataclass(frozen=True)
class FoundFootage:
    """The footage of a start, and what is known of the other footage of its curation.

    Attributes:
        files: the footage of this start by file, in the order of names.
        others: the other footage of the curation by name, as it and the manifest tell of it.
    """

    files: dict[Path, Footage]
    others: dict[str, Footage]


def find_footage(paths: Sequence[Path], out: Path, manifest: Path | None = None) -> FoundFootage:
    """The footage in files and folders.

    What the curation knows of footage is kept where the manifest has no row or no column for it.

    Args:
        paths: videos, and folders that hold them at any depth. In folders, what is hidden is left out, and so
            are curations.
        out: the folder of the curation, which may be new.
        manifest: a CSV file with a column `name`, the name of a video with or without its ending, and any of
            `kind` (real or movie), `origin`, `licence`, `mission` and others.

    Raises:
        UsageError: there is no such file or folder, or no video in it; or a folder is where the curation
            puts its clips.
        DataError: two videos have one name, or a name is no plain file name; the manifest cannot be read,
            has two rows for a video, names one that is not known, or gives another kind to footage that is
            not part of this start.
        RunError: `curation.json` is damaged, or of a later version.
    """
    files = sorted(
        {file.resolve(): file for path in paths for file in _videos(path, out)}.values(), key=_by_name
    )
    facts = read_facts(out)
    known = facts.footage if facts else {}
    rows = _Rows(manifest)
    found: dict[Path, Footage] = {}
    names: dict[str, Path] = {}
    for file in files:
        name = _checked_name(file)
        if name in names:
            raise DataError(
                f"has the name of {names[name]}: rename one, ids of clips begin with it", path=file
            )
        names[name] = file
        status = file.stat()
        one = Footage(name=name, file=file.name, size=status.st_size, modified=status.st_mtime_ns)
        told = known[name].model_dump(include={*_OWN, "more"}) if name in known else {}
        found[file] = rows.told(one.model_copy(update=told))
    others = {name: rows.told(one) for name, one in known.items() if name not in names}
    for name, one in others.items():
        if one.kind != known[name].kind:
            reason = f"kind is {known[name].kind} in {out}: give its video, too, to change that"
            raise DataError(reason, path=manifest, item=name)
    rows.check_all_taken({*names, *others})
    return FoundFootage(found, others)


class _Rows:
    """The rows of a manifest, if there is one, and those that told something."""

    def __init__(self, manifest: Path | None) -> None:
        self._path = manifest
        self._rows = read_manifest(manifest) if manifest else {}
        self._taken: set[str] = set()

    def told(self, footage: Footage) -> Footage:
        """Footage with what its row says; a column that the manifest lacks changes nothing.

        Raises:
            DataError: two rows are of this footage.
        """
        own = [name for name in dict.fromkeys((footage.name, footage.file)) if name in self._rows]
        if not own:
            return footage
        if len(own) > 1:
            raise DataError(f"{own[0]} and {own[1]} are rows of one video", path=self._path)
        self._taken.add(own[0])
        row = {key: value for key, value in self._rows[own[0]].items() if key != "name"}
        told: dict[str, Any] = {key: row.pop(key) for key in _OWN if key in row}
        if "kind" in told:
            told["kind"] = told["kind"] or "real"
        told["more"] = {key: value for key, value in (footage.more | row).items() if value}
        return footage.model_copy(update=told)

    def check_all_taken(self, known: Iterable[str]) -> None:
        """Refuse a row of footage that is not known."""
        if lost := sorted(set(self._rows) - self._taken):
            raise DataError(unknown("footage", lost[0], known), path=self._path)


def _checked_name(file: Path) -> str:
    name = safe_id(file.stem, file.parent, printable(file.name))
    if len(name) + _LONGEST_NUMBER > MAX_ID_LENGTH or name != name.strip():
        raise DataError("its name is too long, or has blanks around it", path=file)
    return name


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
