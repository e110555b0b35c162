"""Reads the tables of action recognition, CSV or Parquet, into checked columns; a fault is named by its row.

Rows are counted from 1, in CSV as lines of the file, a header included.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from microg_bench.dataset.annotations import safe_id
from microg_bench.errors import DataError
from microg_bench.har.unpack import MAX_BYTES, read_bytes

if TYPE_CHECKING:
    from polars import DataFrame, Series

MAX_ROWS = 5_000_000
MAX_COUNT = 2**31
Kind = Literal["id", "count", "share", "number", "pixel", "word"]
_TEXT = ("id", "word")
_WORDS: dict[Kind, str] = {
    "count": "a whole number, 0 or more",
    "share": "a number from 0 to 1",
    "number": "a finite number",
    "pixel": "a finite number, 0 or more",
}


@dataclass(frozen=True)
class Column:
    """A column that a table must, or may, have.

    `kind` is what its fields are: a plain file name (`id`), any text (`word`), a whole number (`count`), or a
    finite number, free (`number`), not negative (`pixel`) or from 0 to 1 (`share`). Only last columns may be
    optional. `others` are further names that a header may call it by.
    """

    name: str
    kind: Kind
    optional: bool = False
    others: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Table:
    """Checked columns, each of shape (n,), n at least 1; `first` is the number of the first row of data."""

    path: Path
    columns: dict[str, NDArray[Any]]
    first: int

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def place(self, index: int) -> str:
        """The file and row of the row `index`, counted from 0, for a message."""
        return f"{self.path}: row {self.first + int(index)}"


def read_table(path: Path, layout: Sequence[Column]) -> Table:
    """Read and check a table: CSV, plain, `.gz` or `.xz`, or `.parquet`.

    Columns go by name where a CSV file has a first line that names them, or a Parquet file has any of the
    names; else by position.

    Raises:
        DataError: the file is missing, empty, broken or too large, lacks a column, or a field is not what the
            column holds; the row is named.
    """
    frame, first = _parquet(path) if path.suffix == ".parquet" else _csv(path, layout)
    if frame.height == 0:
        raise DataError(f"{path}: holds no rows")
    if frame.height > MAX_ROWS:
        raise DataError(f"{path}: holds more than {MAX_ROWS:,} rows, which no table of actions does")
    return Table(path, _checked(_pick(frame, layout, path), path, first), first)


def _csv(path: Path, layout: Sequence[Column]) -> tuple[DataFrame, int]:
    import polars  # slow to import, and needed here alone

    content = read_bytes(path).rstrip(b"\r\n")
    if not content.strip():
        raise DataError(f"{path}: is empty")
    start = content[:100].decode("utf-8-sig", errors="replace").splitlines()[0]
    header = start.split(",")[0].strip('" ') in (layout[0].name, *layout[0].others)
    try:
        frame = polars.read_csv(io.BytesIO(content), has_header=header, infer_schema=False)
    except polars.exceptions.PolarsError as error:
        raise DataError(_why_not_csv(path, content, str(error).splitlines()[0])) from error
    return frame, 2 if header else 1


def _why_not_csv(path: Path, content: bytes, said: str) -> str:
    """The first line that is not UTF-8 or has another number of fields than the first."""
    width = None
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            fields = next(csv.reader([line.decode()]), [])
        except (UnicodeDecodeError, csv.Error):
            return f"{path}: row {number}: is not UTF-8 text"
        width = width or len(fields)
        if len(fields) != width:
            return f"{path}: row {number}: {len(fields)} fields where the first row has {width}"
    return f"{path}: cannot be read as CSV: {said}"


def _parquet(path: Path) -> tuple[DataFrame, int]:
    import polars

    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path}: larger than {MAX_BYTES >> 20} MiB, which no table of actions is")
        return polars.read_parquet(path, n_rows=MAX_ROWS + 1), 1
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, polars.exceptions.PolarsError) as error:
        raise DataError(f"{path}: cannot be read as Parquet: {str(error).splitlines()[0]}") from error


def _pick(frame: DataFrame, layout: Sequence[Column], path: Path) -> list[tuple[Column, Series]]:
    """The columns of `layout` that the table has, by name or by position."""
    by_name = {
        column.name: next(name for name in (column.name, *column.others) if name in frame.columns)
        for column in layout
        if {column.name, *column.others} & set(frame.columns)
    }
    if by_name:
        missing = [column.name for column in layout if column.name not in by_name and not column.optional]
        if missing:
            raise DataError(
                f"{path}: lacks the column {missing[0]!r} (found: {', '.join(frame.columns)[:200]})"
            )
        return [(column, frame[by_name[column.name]]) for column in layout if column.name in by_name]
    needed = sum(not column.optional for column in layout)
    if not needed <= frame.width <= len(layout):
        expected = str(needed) if needed == len(layout) else f"{needed} or {len(layout)}"
        names = ", ".join(column.name for column in layout)
        raise DataError(f"{path}: {frame.width} columns where {expected} are expected ({names})")
    return list(zip(layout, frame.get_columns(), strict=False))


def _checked(picked: list[tuple[Column, Series]], path: Path, first: int) -> dict[str, NDArray[Any]]:
    """The columns as arrays: text, int64 or float64.

    Raises:
        DataError: naming the first field that is not what its column holds.
    """
    import polars

    try:
        typed = polars.select(
            polars.lit(series.cast(polars.String)).alias(column.name)
            if column.kind in _TEXT
            else polars.lit(series).cast(polars.Float64, strict=False).alias(column.name)
            for column, series in picked
        )
    except polars.exceptions.PolarsError as error:
        raise DataError(f"{path}: holds a column that has no plain values: {error}") from error
    columns = {}
    for column, series in picked:
        values = np.asarray(typed[column.name].to_numpy())
        wrong = (
            typed[column.name].is_null().to_numpy()
            if column.kind in _TEXT
            else ~_allowed(values, column.kind)
        )
        if wrong.any():
            index = int(wrong.argmax())
            raise DataError(f"{path}: row {first + index}: {_fault(column, series[index])}")
        if column.kind == "id":
            for index in typed[column.name].arg_unique().sort():
                safe_id(values[index], f"{path}: row {first + index}")
        columns[column.name] = values.astype(np.int64) if column.kind == "count" else values
    return columns


def _fault(column: Column, said: object) -> str:
    if said is None:
        return f"lacks {column.name!r}"
    return f"{column.name!r} is {str(said)[:40]!r}, not {_WORDS[column.kind]}"


def _allowed(numbers: NDArray[np.float64], kind: Kind) -> NDArray[np.bool_]:
    fine = np.isfinite(numbers)
    if kind != "number":
        fine &= numbers >= 0
    if kind == "share":
        fine &= numbers <= 1
    if kind == "count":
        fine &= (numbers < MAX_COUNT) & (np.floor(numbers) == numbers)
    return fine
