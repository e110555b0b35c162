"""Reads and writes the small CSV files of a curation."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from microg_bench.errors import DataError
from microg_bench.storage import read_text

_OTHERS = {"semicolons": ";", "tabs": "\t"}  # separators that spreadsheets write


def read_rows(path: Path, needed: Sequence[str], limit: int) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV file by column, each with its number from 1, without the header.

    Args:
        path: the file.
        needed: the columns that it must have.
        limit: the most bytes that it may hold, unpacked.

    Raises:
        DataError: it cannot be read, is no CSV, has other separators than commas, lacks a column, or a row
            has too few fields or too many.
    """
    text = read_text(path, limit).decode()
    _check_separator(text.partition("\n")[0], needed, path)
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        if missing := [name for name in needed if name not in (reader.fieldnames or ())]:
            raise DataError(f"lacks the column {missing[0]!r}", path=path)
        for number, row in enumerate(reader, start=1):
            if None in row or None in row.values():
                reason = "has another number of fields than the header"
                raise DataError(reason, path=path, item=f"row {number}")
            yield number, row
    except csv.Error as error:
        raise DataError(f"is no CSV: {error}", path=path, item=f"line {reader.reader.line_num}") from None


def _check_separator(header: str, needed: Sequence[str], path: Path) -> None:
    """Refuse a file whose header has the needed columns between other separators than commas."""
    for name, separator in _OTHERS.items():
        columns = {column.strip('" \r') for column in header.split(separator)}
        if separator in header and columns.issuperset(needed):
            raise DataError(f"its fields are separated by {name}: save it with commas", path=path)


def table_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table as CSV, with its header."""
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return written.getvalue()
