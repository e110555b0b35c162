"""Reads the tables of action recognition, CSV or Parquet, into checked columns; a fault is named by its row.

Rows are counted from 1, in CSV as lines of the file, a header included.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from microg_bench.dataset.annotations import safe_id
from microg_bench.dataset.parquet import read_parquet, without_panic_messages
from microg_bench.errors import DataError
from microg_bench.storage import read_text
from microg_bench.text import first_line

if TYPE_CHECKING:
    from polars import DataFrame, DataType, Series

MAX_ROWS = 1_000_000  # seventeen times the largest published detections
MAX_TEXT = 64 * 1024**2  # bytes of CSV, unpacked; the largest published detections have 3 million
MAX_FIELDS = 10 * MAX_ROWS
MAX_COUNT = 2**31
LONGEST_LINE = 10_000  # bytes, of the first line
SEPARATORS = ",;\t"
Kind = Literal["id", "count", "share", "number", "pixel", "word"]
_TEXT = ("id", "word")
_EXPECTED: dict[Kind, str] = {
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


BLANK = -1


@dataclass(frozen=True)
class TableColumn:
    """A column that a table must, or may, have.

    `kind` is what its fields are: a plain file name (`id`; `video_id`, which every layout has), any text
    (`word`), a whole number (`count`), or a finite number, free (`number`), not negative (`pixel`) or from 0
    to 1 (`share`). Only last columns may be optional. Where `blank`, a field of a `count` may be empty, which
    `BLANK` stands for. A header may call it by one of `others` too.
    """

    name: str
    kind: Kind
    optional: bool = False
    blank: bool = False
    others: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All names that a header may give it, its own first."""
        return (self.name, *self.others)


@dataclass(frozen=True, eq=False)
class Table:
    """Checked columns, each of shape (n,), n at least 1.

    Attributes:
        path: the file.
        frame: the columns, by the names of their layout.
        rows: the number of each row in the file, shape (n,).
    """

    path: Path
    frame: DataFrame
    rows: NDArray[np.int64]

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.frame[name].to_numpy()

    def __len__(self) -> int:
        return self.frame.height

    def place(self, index: int) -> str:
        """The row `index`, counted from 0, as the item of an error: ``row 3``."""
        return f"row {self.rows[index]}"

    def only(self, kept: NDArray[np.bool_]) -> Table:
        """The rows that are `kept`, shape (n,), at least one."""
        return Table(self.path, self.frame.filter(kept), self.rows[kept])


def read_table(path: Path, layout: Sequence[TableColumn]) -> Table:
    """Read and check a table: CSV, separated by commas, semicolons or tabs, or `.parquet`.

    Columns of a CSV file go by name where its first line has the first name of the layout, else by position;
    those of a Parquet file go by name. For encodings and packed files see `read_text`.

    Raises:
        DataError: the file is missing, empty, broken or too large, lacks a column, or a field is not what the
            column holds; the row is named.
    """
    if path.suffix == ".parquet":
        frame = read_parquet(path, [name for column in layout for name in column.names])
        return _table(frame, _places(frame.columns, layout, path), path, 1)
    text = read_text(path, MAX_TEXT)
    if not text or text.isspace():
        raise DataError("is empty", path=path)
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return _csv_table(text.rstrip(b"\n"), path, layout)


def _csv_table(text: bytes, path: Path, layout: Sequence[TableColumn]) -> Table:
    """The table of CSV text in UTF-8, whose lines end in a line feed."""
    import polars  # slow to import and rarely needed

    line = text[:LONGEST_LINE].partition(b"\n")[0]
    fields, separator = split_header(line)
    if len(line) == LONGEST_LINE or text.count(separator.encode()) > MAX_FIELDS:
        raise DataError("its lines are too long, or too many, for a table of actions", path=path)
    header = not set(layout[0].names).isdisjoint(fields)
    places = _places(fields, layout, path) if header else _places_by_order(len(fields), layout, path)
    types: list[type[DataType]] = [polars.String] * len(fields)
    for column, place in places:
        types[place] = polars.String if column.kind in _TEXT else polars.Float64
    # Polars unpacks what begins like a packed file, to any size; what begins with a mark it takes for text.
    content = codecs.BOM_UTF8 + text

    def parsed(types: Sequence[type[DataType]] | None) -> Table:
        frame = polars.read_csv(
            content,
            has_header=header,
            separator=separator,
            schema_overrides=types,
            infer_schema=False,
            n_rows=MAX_ROWS + 1,
        )
        # In one piece, so that arrays are views of it.
        return _table(frame.rechunk(), places, path, 2 if header else 1)

    broken = polars.exceptions.PolarsError, polars.exceptions.PanicException
    with suppress(*broken, DataError), without_panic_messages():
        return parsed(types)
    # Once more, as text: a fault is then named by its row and quoted as the file has it.
    try:
        with without_panic_messages():
            return parsed(None)
    except broken as error:
        raise _not_csv(text, separator, path, first_line(error)) from error


def split_header(line: bytes) -> tuple[list[str], str]:
    """The fields of the first line of CSV, and their separator: the one that gives most fields."""
    return max(((_fields(line, one), one) for one in SEPARATORS), key=lambda pair: len(pair[0]))


def _fields(line: bytes, separator: str) -> list[str]:
    """The fields of a line of CSV; none where it is not CSV."""
    reader = csv.reader([line.decode(errors="replace")], delimiter=separator)
    try:
        return [field.strip() for field in next(reader, [])]
    except csv.Error:
        return []


def _not_csv(text: bytes, separator: str, path: Path, reason: str) -> DataError:
    """Names the first line that has another number of fields than the first."""
    lines = text.split(b"\n")
    width = len(_fields(lines[0], separator))
    for number, line in enumerate(lines, start=1):
        if (count := len(_fields(line, separator))) != width:
            fields = f"{count} fields where the first row has {width}"
            return DataError(fields, path=path, item=f"row {number}")
    return DataError(f"cannot be read as CSV: {reason}", path=path)


def _places(names: Sequence[str], layout: Sequence[TableColumn], path: Path) -> list[tuple[TableColumn, int]]:
    """The columns of `layout` that a table has, each with its place among `names`."""
    found = []
    for column in layout:
        places = [place for place, name in enumerate(names) if name in column.names]
        if len(places) > 1:
            raise DataError(f"has the column {column.name!r} twice", path=path)
        if not places and not column.optional:
            have = ", ".join(names)[:200]
            raise DataError(f"lacks the column {column.name!r} (found: {have})", path=path)
        found += [(column, place) for place in places]
    return found


def _places_by_order(width: int, layout: Sequence[TableColumn], path: Path) -> list[tuple[TableColumn, int]]:
    needed = sum(not column.optional for column in layout)
    if not needed <= width <= len(layout):
        expected = " or ".join(map(str, range(needed, len(layout) + 1)))
        names = ", ".join(column.name for column in layout)
        raise DataError(f"{width} columns where {expected} are expected ({names})", path=path)
    return list(zip(layout, range(width), strict=False))


def _table(frame: DataFrame, places: Sequence[tuple[TableColumn, int]], path: Path, first: int) -> Table:
    """Columns out of `frame`, each at its place, checked, as text, int64 or float64."""
    import polars

    if frame.height == 0:
        raise DataError("holds no rows", path=path)
    if frame.height > MAX_ROWS:
        raise DataError(f"holds more than {MAX_ROWS:,} rows, which no table of actions does", path=path)
    columns = {}
    for column, place in places:
        given = frame.to_series(place)
        try:
            series = given.cast(polars.String if column.kind in _TEXT else polars.Float64, strict=False)
        except polars.exceptions.PolarsError as error:
            raise DataError(f"holds a column that has no plain values: {error}", path=path) from error
        wrong = ~_allowed(series, column.kind)
        if column.blank:
            wrong &= given.is_not_null().to_numpy()
        if wrong.any():
            index = int(wrong.argmax())
            raise DataError(_fault(column, given[index]), path=path, item=f"row {first + index}")
        if column.kind == "count":
            series = series.fill_null(BLANK).cast(polars.Int64)
        columns[column.name] = series
    table = Table(path, polars.DataFrame(columns), first + np.arange(frame.height))
    _check_ids(table)
    return table


def _check_ids(table: Table) -> None:
    ids = table.frame["video_id"]
    first = ids.arg_unique().sort()
    for index, video_id in zip(first, ids.gather(first), strict=True):
        safe_id(video_id, table.path, table.place(index))


def _fault(column: TableColumn, given: object) -> str:
    if given is None:
        return f"lacks {column.name!r}"
    return f"{column.name!r} is {str(given)[:40]!r}, not {_EXPECTED[column.kind]}"


def _allowed(values: Series, kind: Kind) -> NDArray[np.bool_]:
    if kind in _TEXT:
        return values.is_not_null().to_numpy()
    numbers, (low, high) = values.to_numpy(), _BOUNDS[kind]
    within: NDArray[np.bool_] = (numbers >= low) & (numbers <= high)
    return within & (numbers == np.floor(numbers)) if kind == "count" else within
