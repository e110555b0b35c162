"""Reads files of rows, whatever they are: JSON, JSON Lines, Parquet, CSV or an Excel workbook.

What a file is follows from its content. An empty field of CSV or of a workbook is an empty text, for neither
tells it from none.
"""

from __future__ import annotations

import csv
import io
import json
import re
import warnings
import zipfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from microg_bench.dataset.parquet import MAGIC, parse_parquet
from microg_bench.dataset.tabular import LONGEST_LINE, split_header
from microg_bench.errors import DataError, MicrogError, MissingExtraError
from microg_bench.storage import CHUNK_BYTES, MAX_JSON_BYTES, ZIP, as_text, parse_json, read_bytes
from microg_bench.text import each_key_once, first_line

Place = str | None  # of a row in its file: ``row 3``; None for an object that is the whole file
MAX_ROWS = 500_000  # fifty times the largest published task
MAX_COLUMNS = 200
MAX_TAGS = 2_000_000  # of a workbook; a cell takes some seven
_MAX_MEMBERS = 1_000  # files in a workbook
_WORKBOOK = "xl/workbook.xml"


def read_rows(path: Path, names: Collection[str]) -> Iterator[tuple[Place, Any]]:
    """The rows of a file with their places: mappings by field, but in JSON whatever the array holds.

    Args:
        path: the file.
        names: the columns that are read of a Parquet file.

    Raises:
        DataError: the file is missing, no regular file, empty, of none of the formats, damaged, or too large;
            or an object of JSON has a key twice. The row is named.
        MissingExtraError: it is an Excel workbook, and what reads them is not installed.
    """
    if path.exists() and not path.is_file():
        raise DataError("is not a regular file", path=path)
    content = read_bytes(path, MAX_JSON_BYTES, zipped=True)
    for number, found in enumerate(_rows(content, path, names)):
        if number == MAX_ROWS:
            raise DataError(f"holds more than {MAX_ROWS:,} rows", path=path)
        yield found


def _rows(content: bytes, path: Path, names: Collection[str]) -> Iterator[tuple[Place, Any]]:
    if content.startswith(ZIP):
        return _workbook_rows(content, path)
    if content.startswith(MAGIC):
        frame = parse_parquet(content, path, names)
        return ((f"row {n}", row) for n, row in enumerate(frame.iter_rows(named=True), start=1))
    text = as_text(content, path)
    start = text[:CHUNK_BYTES].lstrip()[:1]
    if not start:
        raise DataError("is empty", path=path)
    if start not in b"[{":
        return _csv_rows(text, path)
    if _has_lines(text):
        return ((place, parse_json(line, path, each_key_once, place)) for place, line in _lines(text))
    found = parse_json(text, path, each_key_once)
    if isinstance(found, list):
        return ((f"record {n}", row) for n, row in enumerate(found, start=1))
    return iter([(None, found)])


def _has_lines(text: bytes) -> bool:
    """Whether JSON text is JSON Lines: an object in its first line, and more below."""
    first, _, rest = text.lstrip().partition(b"\n")
    try:
        return bool(rest.strip()) and isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _lines(text: bytes) -> Iterator[tuple[str, bytes]]:
    """The lines that are not blank; a great many may be blank."""
    number, end = 1, 0
    for found in re.finditer(rb"\S[^\n]*", text):
        number += text.count(b"\n", end, found.start())
        end = found.end()
        yield f"line {number}", found[0]


def _csv_rows(text: bytes, path: Path) -> Iterator[tuple[Place, Any]]:
    line = text[:LONGEST_LINE].splitlines()[0]
    if len(line) == LONGEST_LINE:
        raise DataError("its first line is too long for names of columns", path=path)
    reader = csv.reader(
        io.TextIOWrapper(io.BytesIO(text), "utf-8", newline=""), delimiter=split_header(line)[1], strict=True
    )
    number = 1
    try:
        header = _header(next(reader), path)
        for number, fields in enumerate(reader, start=2):
            if fields and len(fields) != len(header):
                reason = f"{len(fields)} fields where the first row has {len(header)}"
                raise DataError(reason, path=path, item=f"row {number}")
            if fields:
                yield f"row {number}", dict(zip(header, fields, strict=True))
    except csv.Error as error:
        reason = f"cannot be read as CSV: {first_line(error)}"
        raise DataError(reason, path=path, item=f"row {number + 1}") from error


def _header(names: Sequence[Any], path: Path) -> list[str]:
    header = ["" if name is None else str(name).strip() for name in names]
    for place, name in enumerate(header):
        if name and name in header[:place]:
            raise DataError(f"has the column {name[:60]!r} twice", path=path)
    return header


def _workbook_rows(content: bytes, path: Path) -> Iterator[tuple[Place, Any]]:
    """The rows of the first sheet, whose first row has the names of the columns."""
    try:
        from openpyxl import load_workbook  # type: ignore[import-untyped]
    except ImportError as error:
        what = f"{path}: an Excel workbook, unless it is saved as .tsv or .json,"
        raise MissingExtraError(what, "excel", str(error)) from error

    warnings.filterwarnings("ignore", module=r"openpyxl\.")  # they are of styles and extensions
    try:
        plain = _plain_workbook(content, path)
        with closing(load_workbook(plain, read_only=True, data_only=True)) as book:
            sheet = book.worksheets[0]
            sheet.reset_dimensions()  # a sheet may hold more than it says
            yield from _sheet_rows(sheet.iter_rows(max_col=MAX_COLUMNS, values_only=True), path)
    except MicrogError:
        raise
    except Exception as error:  # openpyxl raises whatever damage leads to
        raise DataError(f"cannot be read as an Excel workbook: {first_line(error)}", path=path) from error


def _sheet_rows(rows: Iterator[Sequence[Any]], path: Path) -> Iterator[tuple[Place, Any]]:
    from openpyxl.utils.escape import unescape  # type: ignore[import-untyped]

    header = _header(next(rows, ()), path)
    while header and not header[-1]:
        header.pop()
    for number, cells in enumerate(rows, start=2):
        if number > MAX_ROWS:
            raise DataError(f"holds more than {MAX_ROWS:,} rows", path=path)
        if any(cell is not None for cell in cells[len(header) :]):
            reason = f"has more cells than the first row, which has {len(header)}"
            raise DataError(reason, path=path, item=f"row {number}")
        fields = ["" if cell is None else unescape(cell) if isinstance(cell, str) else cell for cell in cells]
        if any(field != "" for field in fields):
            yield f"row {number}", dict(zip(header, fields, strict=False))


def _plain_workbook(content: bytes, path: Path) -> io.BytesIO:
    """The XML files of a workbook, which are all that is read of it, as a zip.

    Raises:
        DataError: it is a zip of other files, or could take much more than its size.
        zipfile.BadZipFile: it is damaged.
    """
    plain = io.BytesIO()
    tags = 0
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(plain, "w") as kept:
        if _WORKBOOK not in archive.namelist():
            raise DataError("is packed (zip): unpack it, or pack it by gzip or xz", path=path)
        members = {one.filename: one for one in archive.infolist()}
        # No more is unpacked of a member than the size that it tells.
        if len(members) > _MAX_MEMBERS or sum(one.file_size for one in members.values()) > MAX_JSON_BYTES:
            raise DataError(f"holds more than {MAX_JSON_BYTES >> 20} MiB, unpacked", path=path)
        for name, one in members.items():
            if not name.endswith((".xml", ".rels")):
                continue
            part = archive.read(one)
            # Entities repeat text, and bytes of UTF-16 would hide them.
            if b"<!DOCTYPE" in part or b"\0" in part:
                raise DataError(f"is no plain workbook: {name[:60]}", path=path)
            tags += part.count(b"<")
            kept.writestr(name, part)
    if tags > MAX_TAGS:
        raise DataError("has too many cells: save it as .tsv or .json", path=path)
    return plain
