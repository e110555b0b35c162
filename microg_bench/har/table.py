"""Reads the tables of action recognition, CSV or Parquet, into checked columns; a fault is named by its row.

Rows are counted from 1, in CSV as lines of the file, a header included.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from microg_bench.dataset.annotations import safe_id
from microg_bench.errors import DataError
from microg_bench.har.unpack import MAX_BYTES, read_bytes

if TYPE_CHECKING:
    from polars import DataFrame, DataType, Series

MAX_ROWS = 5_000_000
MAX_COUNT = 2**31
LONGEST_HEADER = 1000  # bytes
Kind = Literal["id", "count", "share", "number", "pixel", "word"]
_TEXT = ("id", "word")
_WORDS: dict[Kind, str] = {
    "count": "a whole number, 0 or more",
    "share": "a number from 0 to 1",
    "number": "a finite number",
    "pixel": "a finite number, 0 or more",
}
_FINITE = float(np.finfo(np.float64).max)
_BOUNDS: dict[Kind, tuple[float, float]] = {
    "count": (0, MAX_COUNT - 1),
    "share": (0, 1),
    "number": (-_FINITE, _FINITE),
    "pixel": (0, _FINITE),
}


@dataclass(frozen=True)
class Column:
    """A column that a table must, or may, have.

    `kind` is what its fields are: a plain file name (`id`; `video_id`, which every layout has), any text
    (`word`), a whole number (`count`), or a finite number, free (`number`), not negative (`pixel`) or from 0
    to 1 (`share`). Only last columns may be optional. A header may call it by one of `others` too.
    """

    name: str
    kind: Kind
    optional: bool = False
    others: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Table:
    """Checked columns, each of shape (n,), n at least 1.

    Attributes:
        path: the file.
        frame: the columns, by the names of their layout.
        first: the number of the first row in the file.
    """

    path: Path
    frame: DataFrame
    first: int

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.frame[name].to_numpy()

    def __len__(self) -> int:
        return self.frame.height

    @property
    def rows(self) -> NDArray[np.int64]:
        """The number of each row in the file, shape (n,)."""
        return self.first + np.arange(len(self))

    def place(self, index: int) -> str:
        """The file and row of the row `index`, counted from 0, for a message."""
        return f"{self.path}: row {self.first + int(index)}"

    def texts(self, name: str, step: int) -> NDArray[Any]:
        """A column of text at each `step`-th row, the first among them; at all rows it would be slow."""
        return self.frame[name].gather_every(step).to_numpy()

    @cached_property
    def starts(self) -> NDArray[np.intp]:
        """Where runs of one `video_id` begin: indices that ascend from 0."""
        ids = self.frame["video_id"]
        changes = (ids[1:] != ids[:-1]).to_numpy()
        return np.concatenate([[0], np.flatnonzero(changes) + 1])


def read_table(path: Path, layout: Sequence[Column]) -> Table:
    """Read and check a table: CSV, plain, `.gz` or `.xz`, or `.parquet`.

    Columns go by name where a CSV file has a first line that names them, or a Parquet file has any of the
    names; else by position.

    Raises:
        DataError: the file is missing, empty, broken or too large, lacks a column, or a field is not what the
            column holds; the row is named.
    """
    import polars  # slow to import, and needed here alone

    if path.suffix == ".parquet":
        return _table(_parquet(path), path, 1, layout)
    content = read_bytes(path)
    if not content or content.isspace():
        raise DataError(f"{path}: is empty")
    line = content[:LONGEST_HEADER].split(b"\n")[0].decode("utf-8-sig", errors="replace")
    fields = [field.strip('" \r') for field in line.split(",")]
    header = not {layout[0].name, *layout[0].others}.isdisjoint(fields)
    first = 2 if header else 1
    names = fields if header else [column.name for column in layout][: len(fields)]
    with suppress(polars.exceptions.PolarsError, DataError):
        return _table(_csv(content, header, _types(names, layout)), path, first, layout)
    content = content.rstrip(b"\r\n")
    try:  # once more, as text: a fault is then told by its row, in the words of the file
        return _table(_csv(content, header), path, first, layout)
    except polars.exceptions.PolarsError as error:
        raise DataError(_why_not_csv(path, content, str(error).splitlines()[0])) from error


def _types(names: Sequence[str], layout: Sequence[Column]) -> list[type[DataType]]:
    """What to read columns of these names as."""
    import polars

    numbers = {
        name for column in layout if column.kind not in _TEXT for name in (column.name, *column.others)
    }
    return [polars.Float64 if name in numbers else polars.String for name in names]


def _csv(content: bytes, header: bool, types: Sequence[type[DataType]] | None = None) -> DataFrame:
    """The table of a CSV file; all of it text, if no `types` are given."""
    import polars

    frame = polars.read_csv(content, has_header=header, schema_overrides=types, infer_schema=False)
    return frame.rechunk()  # so that arrays are views of it


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


def _parquet(path: Path) -> DataFrame:
    import polars

    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path}: larger than {MAX_BYTES >> 20} MiB, which no table of actions is")
        return polars.read_parquet(path, n_rows=MAX_ROWS + 1)
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


def _table(frame: DataFrame, path: Path, first: int, layout: Sequence[Column]) -> Table:
    """The columns of `layout` out of `frame`, checked, as text, int64 or float64.

    Raises:
        DataError: see `read_table`.
    """
    import polars

    if frame.height == 0:
        raise DataError(f"{path}: holds no rows")
    if frame.height > MAX_ROWS:
        raise DataError(f"{path}: holds more than {MAX_ROWS:,} rows, which no table of actions does")
    columns = {}
    for column, said in _pick(frame, layout, path):
        try:
            series = said.cast(polars.String if column.kind in _TEXT else polars.Float64, strict=False)
        except polars.exceptions.PolarsError as error:
            raise DataError(f"{path}: holds a column that has no plain values: {error}") from error
        wrong = ~_allowed(series, column.kind)
        if wrong.any():
            index = int(wrong.argmax())
            raise DataError(f"{path}: row {first + index}: {_fault(column, said[index])}")
        columns[column.name] = series.cast(polars.Int64) if column.kind == "count" else series
    table = Table(path, polars.DataFrame(columns), first)
    _check_ids(table)
    return table


def _check_ids(table: Table) -> None:
    ids = table.frame["video_id"][table.starts].to_list()
    try:
        for video_id in set(ids):
            safe_id(video_id, str(table.path))
    except DataError:
        # In order, to name the first row that is wrong.
        for start, video_id in zip(table.starts, ids, strict=True):
            safe_id(video_id, table.place(int(start)))


def _fault(column: Column, said: object) -> str:
    if said is None:
        return f"lacks {column.name!r}"
    return f"{column.name!r} is {str(said)[:40]!r}, not {_WORDS[column.kind]}"


def _allowed(values: Series, kind: Kind) -> NDArray[np.bool_]:
    if kind in _TEXT:
        return values.is_not_null().to_numpy()
    numbers, (low, high) = values.to_numpy(), _BOUNDS[kind]
    fine: NDArray[np.bool_] = (numbers >= low) & (numbers <= high)
    return fine & (numbers == np.floor(numbers)) if kind == "count" else fine
