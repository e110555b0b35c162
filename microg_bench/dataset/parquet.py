"""Reads Parquet files from elsewhere within bounds.

A file of some kilobytes may hold billions of values, for equal ones are stored once, with their number. So
the footer and the headers of the pages, which tell all sizes, are read before the columns are.
The footer alone does not bound what is unpacked: its sizes may be falsified.
"""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from microg_bench.errors import DataError
from microg_bench.storage import MAX_BYTES, read_bytes
from microg_bench.text import first_line

if TYPE_CHECKING:
    from polars import DataFrame

MAX_VALUES = 5_000_000  # of a column: its rows, or the items of its lists
MAX_UNPACKED = 2 * MAX_BYTES  # numbers take more bytes here than as text
MAX_FOOTER = 1024**2
MAX_PAGES = 10_000  # of a part of a column
MAGIC = b"PAR1"
_STDERR_LOCK = Lock()
_DAMAGED = (AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError)


def read_parquet(path: Path, names: Collection[str]) -> DataFrame:
    """Those columns of a Parquet file that have one of `names`, in the order of the file.

    Raises:
        DataError: the file is missing, is not Parquet, has none of the columns, or is beyond the bounds.
    """
    return parse_parquet(read_bytes(path), path, names)


def parse_parquet(content: bytes, path: Path, names: Collection[str]) -> DataFrame:
    """The content of a Parquet file, already read from `path`; see `read_parquet`."""
    import polars  # slow to import and rarely needed

    try:
        _check_sizes(content, names, path)
        with without_panic_messages():
            columns = polars.read_parquet_schema(io.BytesIO(content))
            wanted = [name for name in columns if name in names]
            if not wanted:
                raise DataError(f"has none of the columns {', '.join(names)}", path=path)
            frame = polars.read_parquet(io.BytesIO(content), columns=wanted)
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError, ValueError) as error:
        raise DataError(f"cannot be read as Parquet: {first_line(error)}", path=path) from error
    # Equal texts of a column share their memory, but not in what is made of them.
    if frame.estimated_size() > MAX_UNPACKED:
        raise DataError(f"holds more than {MAX_UNPACKED >> 20} MiB, unpacked", path=path)
    return frame


@contextmanager
def without_panic_messages() -> Iterator[None]:
    """Keep what Polars prints of damaged files, beside raising it, off the standard error stream."""
    with _STDERR_LOCK, Path(os.devnull).open("wb") as nothing:
        stderr = os.dup(2)
        try:
            os.dup2(nothing.fileno(), 2)
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _check_sizes(content: bytes, names: Collection[str], path: Path) -> None:
    """Refuse a file with too many rows, or with too much in the columns called `names`.

    Raises:
        DataError: it holds too much, tells sizes that contradict one another, or is no Parquet file.
    """
    values: Counter[tuple[str, ...]] = Counter()
    unpacked = 0
    for column, count, space in _columns(content, names, path):
        values[column] += count
        unpacked += space
    if max(values.values(), default=0) > MAX_VALUES:
        raise DataError(f"a column holds more than {MAX_VALUES:,} values", path=path)
    if unpacked > MAX_UNPACKED:
        raise DataError(f"holds more than {MAX_UNPACKED >> 20} MiB, unpacked", path=path)


def _columns(
    content: bytes, names: Collection[str], path: Path
) -> Iterator[tuple[tuple[str, ...], int, int]]:
    """Path, number of values and unpacked bytes of each part of the columns called `names`.

    Raises:
        DataError: there is no such footer, it tells of too many rows, or what it tells contradicts itself.
    """
    length = int.from_bytes(content[-8:-4], "little")
    if content[-4:] != MAGIC or length > min(len(content) - 8, MAX_FOOTER):
        raise DataError("is not Parquet: it does not end in a footer", path=path)
    try:
        footer = _Compact(content[-8 - length : -8]).struct()
        rows = [group[3] for group in footer[4]]
        if min(rows, default=0) < 0 or footer[3] != sum(rows):
            raise DataError("is not Parquet: its row groups have other rows than the file", path=path)
        if footer[3] > MAX_VALUES:
            raise DataError(f"holds more than {MAX_VALUES:,} rows", path=path)
        for group in footer[4]:
            for chunk in group[1]:
                column = tuple(part.decode() for part in chunk[3][3])
                count, space = _pages(content, chunk[3])
                if chunk[3][5] != count or (len(column) == 1 and count != group[3]):
                    name = first_line(".".join(column), 60)
                    raise DataError(f"is not Parquet: column {name} has other values than told", path=path)
                if column[0] in names:
                    yield column, count, max(space, abs(chunk[3][6]))
    except _DAMAGED as error:
        raise DataError("is not Parquet: its footer is damaged", path=path) from error


def _pages(content: bytes, chunk: dict[int, Any]) -> tuple[int, int]:
    """Number of values and unpacked bytes of a part of a column, by the headers of its pages."""
    count = unpacked = 0
    at = min(chunk[9], chunk.get(11) or chunk[9])  # the dictionary comes first, if there is one
    end = at + chunk[7]
    if not 0 <= at <= end <= len(content):
        raise ValueError("lies outside of the file")
    for _ in range(MAX_PAGES):
        if at >= end:
            return count, unpacked
        header = _Compact(content, at)
        page = header.struct()
        unpacked += abs(page[2])
        count += abs(page.get(5, page.get(8, {1: 0}))[1])
        at = header.at + abs(page[3])
    raise ValueError("has too many pages")


class _Compact:
    """Values in Thrift's compact protocol, one after the other; a struct is a dictionary by field number.

    Of the types, those that Parquet's footer has. Raises one of `_DAMAGED` where the bytes are no such value.
    """

    def __init__(self, content: bytes, at: int = 0) -> None:
        self._content = content
        self.at = at

    def struct(self) -> dict[int, Any]:
        fields: dict[int, Any] = {}
        number = 0
        while head := self._take(1)[0]:
            number = number + (head >> 4) if head >> 4 else self._whole()
            # A flag of a struct has its value in its type.
            fields[number] = head & 15 == 1 if head & 15 in (1, 2) else self._value(head & 15)
        return fields

    def _value(self, kind: int) -> Any:
        if kind in (1, 2, 3):
            return self._take(1)[0]
        if kind in (4, 5, 6):
            return self._whole()
        if kind == 7:
            return self._take(8)
        if kind == 8:
            return self._take(self._varint())
        if kind == 9:
            head = self._take(1)[0]
            count = self._varint() if head >> 4 == 15 else head >> 4
            return [self._value(head & 15) for _ in range(count)]
        if kind == 12:
            return self.struct()
        raise ValueError("its footer is damaged")

    def _whole(self) -> int:
        number = self._varint()
        return number >> 1 ^ -(number & 1)

    def _varint(self) -> int:
        number = shift = 0
        while shift < 70:
            byte = self._take(1)[0]
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number
        raise ValueError("its footer is damaged")

    def _take(self, count: int) -> bytes:
        found = self._content[self.at : self.at + count]
        if len(found) < count:
            raise ValueError("its footer is damaged")
        self.at += count
        return found
