"""The label map, which says what actions there are, and the published action labels of the clips.

MicroG-4M's own label map ships with the package.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from microg_bench.dataset.tabular import Table, TableColumn, read_table
from microg_bench.errors import DataError
from microg_bench.storage import read_text

MAX_BYTES = 1024**2  # of a label map
DEFAULT = Path(__file__).with_name("label_map.pbtxt")
LAYOUT = (
    TableColumn("video_id", "id"),
    TableColumn("movie_or_real", "word"),
    TableColumn("person_id", "count"),
    TableColumn("action", "count"),
    TableColumn("motion", "word", optional=True),
)
FOOTAGE = {"movie": "m", "real": "r"}
MOTION = ("high", "low")
_GROUP = re.compile(r"\bid:\s*(\d+)\s+label_type:\s*(\w+)")
_ITEM = re.compile(r"\b(?:item|label)\s*\{([^}]*)\}")
_NAME = re.compile(r'\bname\s*:\s*"([^"\n]*)"')
_ID = re.compile(r"\b(?:id|label_id)\s*:\s*(\d{1,6})\b")


@dataclass(frozen=True)
class LabelMap:
    """Action ids in ascending order, each once, with the name of each; anything else is a `DataError`."""

    ids: tuple[int, ...]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.ids or len(self.ids) != len(self.names) or list(self.ids) != sorted(set(self.ids)):
            raise DataError("a label map needs ascending ids, each once, and a name for each")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the ids and names."""
        lines = [f"{number} {name}" for number, name in zip(self.ids, self.names, strict=True)]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def positions(self, actions: NDArray[np.int64]) -> NDArray[np.intp]:
        """The index in `ids` of each id of `actions`, any shape; -1 where it is not in the map."""
        ids = np.asarray(self.ids)
        places = np.searchsorted(ids, actions).clip(max=len(ids) - 1)
        return np.where(ids[places] == actions, places, -1)


def read_label_map(path: Path = DEFAULT) -> LabelMap:
    """Read a label map in AVA's text format: items with a `name` and an `id` (or `label_id`).

    Raises:
        DataError: the file is missing or no label map, or an item lacks a field or repeats an id.
    """
    text = read_text(path, MAX_BYTES).decode()
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    found: dict[int, str] = {}
    for place, text in enumerate(_ITEM.findall("\n".join(lines)), start=1):
        name, number = _NAME.search(text), _ID.search(text)
        if name is None or number is None:
            raise DataError("lacks 'name' or 'id'", path=path, item=f"item {place}")
        if int(number[1]) in found:
            raise DataError(f"has the id {number[1]} of an earlier item", path=path, item=f"item {place}")
        found[int(number[1])] = name[1]
    if not found:
        raise DataError("holds no items, so it is no label map", path=path)
    ids = tuple(sorted(found))
    return LabelMap(ids, tuple(found[number] for number in ids))


@cache
def shipped_labels() -> LabelMap:
    """MicroG-4M's own label map, read once."""
    return read_label_map()


def read_groups() -> dict[int, str]:
    """The group of each action of the shipped label map, `PERSON_MOVEMENT` for example."""
    return {int(number): name for number, name in _GROUP.findall(DEFAULT.read_text(encoding="utf-8"))}


def check_actions(table: Table, column: str, labels: LabelMap) -> None:
    """Check that every action of `column` is in the label map.

    Raises:
        DataError: one is not; its row is named.
    """
    actions = table[column]
    missing = labels.positions(actions) < 0
    if missing.any():
        index = int(missing.argmax())
        reason = f"action id {actions[index]} is none of the {len(labels)} of the label map"
        raise DataError(reason, path=table.path, item=table.place(index))


def read_actions(path: Path, labels: LabelMap, *, others: bool = False) -> Table:
    """Read the published `actions.csv`: a row is one action of one person of a clip.

    Rows of actions that are not in the label map are left out if `others`, else refused.

    Raises:
        DataError: see `read_table`; or a row has an action that is not in the label map, a `movie_or_real`
            that is not m or r, or a `motion` that is not high or low.
    """
    table = read_table(path, LAYOUT)
    known = labels.positions(table["action"]) >= 0
    if others and known.any():
        table = table.only(known)
    check_actions(table, "action", labels)
    _check_words(table, "movie_or_real", tuple(FOOTAGE.values()))
    if "motion" in table.frame.columns:
        _check_words(table, "motion", MOTION)
    return table


def _check_words(table: Table, column: str, words: tuple[str, ...]) -> None:
    found = table[column]
    wrong = ~np.isin(found, words)
    if wrong.any():
        index = int(wrong.argmax())
        reason = f"{column} {found[index][:20]!r} is not {' or '.join(words)}"
        raise DataError(reason, path=table.path, item=table.place(index))
