"""Reads what the paper prints: its tables as data, and what a score must be to stand beside them."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from microg_bench.errors import DataError
from microg_bench.records import Record, TaskName, first_fault
from microg_bench.resources import shipped

PAPER_FILE = "paper.json"
_NUMBER = re.compile(r"-?\d{1,6}(\.\d{1,6})?")


class Column(Record):
    """A column of scores: its name in the CSV file, and the score, of which split, that belongs there."""

    name: str
    score: str
    split: str = ""

    @property
    def heading(self) -> str:
        """What stands above the column, where columns are not grouped by split."""
        return f"{self.split} {self.score}".strip()


class TableFacts(Record):
    """One table of the paper. `labels` maps columns of the CSV file that name a row to their headings.

    `keyword` is a pattern that the names of detections files hold which are of this table rather than of the
    one without a keyword.
    """

    number: int
    file: str
    title: str
    task: TaskName | Literal["actions"]
    labels: dict[str, str]
    columns: tuple[Column, ...]
    keyword: str = ""

    @property
    def headings(self) -> tuple[str, ...]:
        """What stands above the columns that name a row."""
        return tuple(self.labels.values())


class Facts(Record):
    """What holds of all tables.

    `datasets` and `groundtruth` map fingerprints of the published annotations to what they are; `signatures`
    lists, by score, what its long signature must hold; `checkpoints` tells what stands behind a printed name.
    """

    source: str
    protocol: str
    datasets: dict[str, str]
    groundtruth: dict[str, str]
    signatures: dict[str, tuple[str, ...]]
    checkpoints: dict[str, str]
    spelled: dict[str, str]
    tables: tuple[TableFacts, ...]


@dataclass(frozen=True)
class PrintedRow:
    """A row as printed: what names it, `access` (open, closed or none) and the text of each score."""

    labels: tuple[str, ...]
    access: str
    texts: dict[str, str]


@dataclass(frozen=True)
class PrintedTable:
    """A table of the paper with its rows in the printed order."""

    facts: TableFacts
    rows: tuple[PrintedRow, ...]


def read_facts(folder: Path | None = None) -> Facts:
    """What `paper.json` says.

    Args:
        folder: where the published results lie; None takes those that ship with the harness.

    Raises:
        DataError: the file is missing or broken.
    """
    path = (folder or shipped("results/published")) / PAPER_FILE
    try:
        return Facts.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise DataError(f"{path}: {first_fault(error)}") from error


def read_printed(facts: TableFacts, folder: Path | None = None) -> PrintedTable:
    """The rows of one table.

    Raises:
        DataError: its file is missing or not UTF-8, lacks a column, or holds a score that is no number; the
            line is named.
    """
    path = (folder or shipped("results/published")) / facts.file
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = [_row(facts, line, f"{path}: line {reader.line_num}") for line in reader]
        given = reader.fieldnames or ()
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: {error}") from error
    wanted = [*facts.labels, *(column.name for column in facts.columns)]
    if missing := [name for name in wanted if name not in given]:
        raise DataError(f"{path}: line 1: lacks the column {missing[0]!r}")
    if not rows:
        raise DataError(f"{path}: holds no rows")
    return PrintedTable(facts, tuple(rows))


def _row(facts: TableFacts, line: dict[str, str | None], where: str) -> PrintedRow:
    if None in line or None in line.values():
        raise DataError(f"{where}: has not as many fields as the first line")
    texts = {column.name: line.get(column.name) or "" for column in facts.columns if column.name in line}
    for name, text in texts.items():
        if not _NUMBER.fullmatch(text):
            raise DataError(f"{where}: {name} is {text!r}, not a number as printed")
    access = line.get("access") or ""
    if access not in ("", "open", "closed"):
        raise DataError(f"{where}: access is {access!r}, not open or closed")
    return PrintedRow(tuple(line.get(name) or "" for name in facts.labels), access, texts)
