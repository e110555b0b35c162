"""The label map: which action ids exist, and what they are called. MicroG-4M's own ships with the package."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from microg_bench.errors import DataError

MAX_BYTES = 1024**2
DEFAULT = Path(__file__).with_name("label_map.pbtxt")
_ITEM = re.compile(r"\b(?:item|label)\s*\{([^}]*)\}")
_NAME = re.compile(r'\bname\s*:\s*"([^"\n]*)"')
_ID = re.compile(r"\b(?:id|label_id)\s*:\s*(\d{1,6})\b")


@dataclass(frozen=True)
class LabelMap:
    """Action ids in ascending order, with the name of each."""

    ids: tuple[int, ...]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        """Names stand beside their ids, and each id stands once.

        Raises:
            DataError: otherwise.
        """
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
        """Where each id of `actions`, any shape, stands in `ids`; -1 where it does not."""
        ids = np.asarray(self.ids)
        places = np.searchsorted(ids, actions).clip(max=len(ids) - 1)
        return np.where(ids[places] == actions, places, -1)


def read_label_map(path: Path = DEFAULT) -> LabelMap:
    """Read a label map in AVA's text format: items with a `name` and an `id` (or `label_id`).

    Raises:
        DataError: the file is missing or no label map, or an item lacks a field or repeats an id.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path}: larger than {MAX_BYTES >> 20} MiB, which no label map is")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    found: dict[int, str] = {}
    for place, item in enumerate(_ITEM.findall("\n".join(lines)), start=1):
        name, number = _NAME.search(item), _ID.search(item)
        if name is None or number is None:
            raise DataError(f"{path}: item {place} lacks 'name' or 'id'")
        if int(number[1]) in found:
            raise DataError(f"{path}: item {place} has the id {number[1]} of an earlier item")
        found[int(number[1])] = name[1]
    if not found:
        raise DataError(f"{path}: holds no items, so it is no label map")
    ids = tuple(sorted(found))
    return LabelMap(ids, tuple(found[number] for number in ids))
