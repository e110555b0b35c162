"""A table of counts, as the statistics of a dataset are made of."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

Key = TypeVar("Key", int, str)


@dataclass(frozen=True)
class Tally:
    """`name` is that of its file, `title` what stands above it; rows are as long as `columns`.

    A `detail` is for files and figures, not for the terminal.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    detail: bool = False

    def to_csv(self) -> str:
        """The table with its head."""
        out = io.StringIO(newline="")
        csv.writer(out, lineterminator="\n").writerows([self.columns, *self.rows])
        return out.getvalue()

    def to_json(self) -> dict[str, Any]:
        """The table as it is written to disk."""
        return {"title": self.title, "columns": list(self.columns), "rows": [list(row) for row in self.rows]}


def most(counts: Counter[Key]) -> list[tuple[Key, int]]:
    """The counts, the largest first, equal ones by their key."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def shares(counts: Iterable[tuple[Key, int]]) -> tuple[tuple[Key, int, float], ...]:
    """Each count with its share of all in %, two decimals; all counts together are more than 0."""
    known = list(counts)
    total = sum(count for _, count in known)
    return tuple((key, count, round(100 * count / total, 2)) for key, count in known)
