"""Reads Parquet files from elsewhere within bounds.

A file of some kilobytes may hold billions of values, for equal ones are stored once, with their number. So
the footer, which tells the sizes of all columns, is read before the columns are.
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
MAX_UNPACKED = 4 * MAX_BYTES  # numbers take more bytes here than as text
MAX_FOOTER = 1024**2
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
    """Refuse a file with too much in the columns called `names`.

    Raises:
        DataError: it holds too much, or is no Parquet file.
    """
    values: Counter[tuple[str, ...]] = Counter()
    unpacked = 0
    for column, count, space in _columns(content, path):
        if column[0] in names:
            values[column] += count
            unpacked += space
    if max(values.values(), default=0) > MAX_VALUES:
        raise DataError(f"a column holds more than {MAX_VALUES:,} values", path=path)
    if unpacked > MAX_UNPACKED:
        raise DataError(f"holds more than {MAX_UNPACKED >> 20} MiB, unpacked", path=path)


def _columns(content: bytes, path: Path) -> list[tuple[tuple[str, ...], int, int]]:
    """Name, number of values and unpacked bytes of each part of a column, by the footer.

    Raises:
        DataError: there is no such footer.
    """
    length = int.from_bytes(content[-8:-4], "little")
    if content[-4:] != MAGIC or length > min(len(content) - 8, MAX_FOOTER):
        raise DataError("is not Parquet: it does not end in a footer", path=path)
    try:
        groups = _Compact(content[-8 - length : -8]).struct()[4]
        found = [[chunk[3][field] for field in (3, 5, 6)] for group in groups for chunk in group[1]]
        return [(tuple(part.decode() for part in name), abs(n), abs(space)) for name, n, space in found]
    except _DAMAGED as error:
        raise DataError("is not Parquet: its footer is damaged", path=path) from error


class _Compact:
    """Values in Thrift's compact protocol, one after the other; a struct is a dictionary by field number.

    Of the types, those that Parquet's footer has. Raises one of `_DAMAGED` where the bytes are no such value.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

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
        found = self._content[self._at : self._at + count]
        if len(found) < count:
            raise ValueError("its footer is damaged")
        self._at += count
        return found
