"""Reads the tables of action recognition, CSV or Parquet, into checked columns; a fault is named by its row.

Rows are counted from 1, in CSV as lines of the file, a header included.
"""

from __future__ import annotations

import codecs
import csv
import lzma
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from microg_bench.dataset.annotations import safe_id
from microg_bench.errors import DataError
from microg_bench.text import first_line

if TYPE_CHECKING:
    from polars import DataFrame, DataType, Series

MAX_ROWS = 5_000_000
MAX_COUNT = 2**31
LONGEST_HEADER = 1000  # bytes
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


@dataclass(frozen=True)
class TableColumn:
    """A column that a table must, or may, have.

    `kind` is what its fields are: a plain file name (`id`; `video_id`, which every layout has), any text
    (`word`), a whole number (`count`), or a finite number, free (`number`), not negative (`pixel`) or from 0
    to 1 (`share`). Only last columns may be optional. A header may call it by one of `others` too.
    """

    name: str
    kind: Kind
    optional: bool = False
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
        """The row `index`, counted from 0, as the item of an error: ``row 3``."""
        return f"row {self.first + index}"

    def texts(self, name: str, step: int) -> NDArray[Any]:
        """A column of text at each `step`-th row, the first among them; at all rows it would be slow."""
        return self.frame[name].gather_every(step).to_numpy()

    @cached_property
    def starts(self) -> NDArray[np.intp]:
        """Where runs of one `video_id` begin: indices that ascend from 0."""
        ids = self.frame["video_id"]
        changes = (ids[1:] != ids[:-1]).to_numpy()
        return np.concatenate([[0], np.flatnonzero(changes) + 1])


def read_table(path: Path, layout: Sequence[TableColumn]) -> Table:
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
        raise DataError("is empty", path=path)
    line = content[:LONGEST_HEADER].split(b"\n")[0].decode("utf-8-sig", errors="replace")
    fields = [field.strip('" \r') for field in line.split(",")]
    header = not set(layout[0].names).isdisjoint(fields)
    first = 2 if header else 1
    names = fields if header else [column.name for column in layout][: len(fields)]
    numbers = {name for column in layout if column.kind not in _TEXT for name in column.names}
    types = [polars.Float64 if name in numbers else polars.String for name in names]
    with suppress(polars.exceptions.PolarsError, DataError):
        return _table(_csv(content, header, types), path, first, layout)
    # Once more, as text: a fault is then named by its row and quoted as the file has it.
    content = content.rstrip(b"\r\n")
    try:
        return _table(_csv(content, header), path, first, layout)
    except polars.exceptions.PolarsError as error:
        raise _not_csv(path, content, first_line(error)) from error


def _csv(content: bytes, header: bool, types: Sequence[type[DataType]] | None = None) -> DataFrame:
    """The table of a CSV file; all of it text, if no `types` are given."""
    import polars

    # Polars unpacks what begins like a packed file, to any size; what begins with a mark it takes for text.
    marked = content if content.startswith(codecs.BOM_UTF8) else codecs.BOM_UTF8 + content
    frame = polars.read_csv(marked, has_header=header, schema_overrides=types, infer_schema=False)
    return frame.rechunk()  # so that arrays are views of it


def _not_csv(path: Path, content: bytes, reason: str) -> DataError:
    """Names the first line that is not UTF-8 or has another number of fields than the first."""
    width = None
    for number, line in enumerate(content.splitlines(), start=1):
        item = f"row {number}"
        try:
            fields = next(csv.reader([line.decode()]), [])
        except (UnicodeDecodeError, csv.Error):
            return DataError("is not UTF-8 text", path=path, item=item)
        width = width or len(fields)
        if len(fields) != width:
            reason = f"{len(fields)} fields where the first row has {width}"
            return DataError(reason, path=path, item=item)
    return DataError(f"cannot be read as CSV: {reason}", path=path)


def _parquet(path: Path) -> DataFrame:
    import polars

    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"larger than {MAX_BYTES >> 20} MiB, which no table of actions is", path=path)
        return polars.read_parquet(path, n_rows=MAX_ROWS + 1)
    except FileNotFoundError:
        raise DataError("no such file", path=path) from None
    except (OSError, polars.exceptions.PolarsError) as error:
        raise DataError(f"cannot be read as Parquet: {first_line(error)}", path=path) from error


def _table(frame: DataFrame, path: Path, first: int, layout: Sequence[TableColumn]) -> Table:
    """The columns of `layout` out of `frame`, checked, as text, int64 or float64."""
    import polars

    if frame.height == 0:
        raise DataError("holds no rows", path=path)
    if frame.height > MAX_ROWS:
        raise DataError(f"holds more than {MAX_ROWS:,} rows, which no table of actions does", path=path)
    columns = {}
    for column, given in _pick(frame, layout, path):
        try:
            series = given.cast(polars.String if column.kind in _TEXT else polars.Float64, strict=False)
        except polars.exceptions.PolarsError as error:
            raise DataError(f"holds a column that has no plain values: {error}", path=path) from error
        wrong = ~_allowed(series, column.kind)
        if wrong.any():
            index = int(wrong.argmax())
            raise DataError(_fault(column, given[index]), path=path, item=f"row {first + index}")
        columns[column.name] = series.cast(polars.Int64) if column.kind == "count" else series
    table = Table(path, polars.DataFrame(columns), first)
    _check_ids(table)
    return table


def _pick(frame: DataFrame, layout: Sequence[TableColumn], path: Path) -> list[tuple[TableColumn, Series]]:
    """The columns of `layout` that the table has, by name or by position."""
    found = {
        column: next(name for name in column.names if name in frame.columns)
        for column in layout
        if not set(column.names).isdisjoint(frame.columns)
    }
    if found:
        missing = [column.name for column in layout if column not in found and not column.optional]
        if missing:
            have = ", ".join(frame.columns)[:200]
            raise DataError(f"lacks the column {missing[0]!r} (found: {have})", path=path)
        return [(column, frame[name]) for column, name in found.items()]
    needed = sum(not column.optional for column in layout)
    if not needed <= frame.width <= len(layout):
        expected = str(needed) if needed == len(layout) else f"{needed} or {len(layout)}"
        names = ", ".join(column.name for column in layout)
        raise DataError(f"{frame.width} columns where {expected} are expected ({names})", path=path)
    return list(zip(layout, frame.get_columns(), strict=False))


def _check_ids(table: Table) -> None:
    ids, starts = table.frame["video_id"][table.starts].to_list(), table.starts.tolist()
    first_rows = dict(zip(reversed(ids), reversed(starts), strict=True))
    for video_id, start in sorted(first_rows.items(), key=itemgetter(1)):
        safe_id(video_id, table.path, table.place(start))


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


# Sixty times the largest published file; also bounds what a dictionary of xz may take.
MAX_BYTES = 256 * 1024**2
CHUNK_BYTES = 16 * 1024**2


_UNPACKERS: dict[str, Callable[[], Any]] = {
    ".gz": lambda: zlib.decompressobj(wbits=31),
    ".xz": lambda: lzma.LZMADecompressor(memlimit=MAX_BYTES),
}


def read_bytes(path: Path) -> bytes:
    """The content of `path`, unpacked where its name ends in `.gz` or `.xz`.

    Raises:
        DataError: the file is missing, cannot be read, is broken, or holds more than `MAX_BYTES`.
    """
    try:
        with path.open("rb") as file:
            content = _read(file)
    except FileNotFoundError:
        raise DataError("no such file", path=path) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from error
    if (make := _UNPACKERS.get(path.suffix)) is not None and len(content) <= MAX_BYTES:
        content = _unpack(content, make, path)
    if len(content) > MAX_BYTES:
        raise DataError(f"holds more than {MAX_BYTES >> 20} MiB, which no table of actions does", path=path)
    return content


def _read(file: BinaryIO) -> bytes:
    """All that `file` holds, but not more than a byte above the bound; memory for that alone."""
    parts, left = [], MAX_BYTES + 1
    while part := file.read(min(left, CHUNK_BYTES)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _unpack(packed: bytes, make: Callable[[], Any], path: Path) -> bytes:
    """All streams of `packed`, one after the other, but not more than a byte above the bound."""
    parts, left = [], MAX_BYTES + 1
    try:
        while packed and left > 0:
            stream = make()
            part = stream.decompress(packed, left)
            if not stream.eof and len(part) < left:
                raise DataError(f"broken {path.suffix} file: it ends too early", path=path)
            parts.append(part)
            left -= len(part)
            packed = stream.unused_data
    except (zlib.error, lzma.LZMAError) as error:
        raise DataError(f"broken {path.suffix} file: {error}", path=path) from error
    return b"".join(parts)
