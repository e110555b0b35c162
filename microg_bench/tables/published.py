"""Reads the published numbers: the tables of the paper, and how its scores were computed."""

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from pydantic import ValidationError

from microg_bench.errors import DataError
from microg_bench.records import Record, TaskName, first_fault
from microg_bench.storage import shipped
from microg_bench.tasks import HAR

PAPER_FILE = "paper.json"
Access = Literal["open", "closed", "baseline", ""]
_NUMBER = re.compile(r"-?\d{1,6}(\.\d{1,6})?")


class Column(Record):
    """A column of scores: its name in the CSV file, and the score, of which split, that belongs there."""

    name: str
    score: str
    split: str = ""

    @property
    def heading(self) -> str:
        """The heading of the column, where columns are not grouped by split."""
        return f"{self.split} {self.score}".strip()


class TableFacts(Record):
    """One table of the paper. `labels` maps columns of the CSV file that name a row to their headings.

    `keyword` is a pattern in the names of detections files that belong to this table and not to the one
    without a keyword.
    """

    number: int
    file: str
    title: str
    task: TaskName
    labels: dict[str, str]
    columns: tuple[Column, ...]
    keyword: str = ""

    @property
    def headings(self) -> tuple[str, ...]:
        """The headings of the columns that name a row."""
        return tuple(self.labels.values())


class Facts(Record):
    """What all tables share.

    `datasets` and `groundtruth` map fingerprints of the published annotations to what they are; `signatures`
    holds, by score, the values that its signature must have; `checkpoints` maps published names to
    checkpoints; `spelled` maps words in names of detections files to the published ones.
    """

    source: str
    protocol: str
    datasets: dict[str, str]
    groundtruth: dict[str, str]
    signatures: dict[str, dict[str, str]]
    checkpoints: dict[str, str]
    spelled: dict[str, str]
    tables: tuple[TableFacts, ...]


@dataclass(frozen=True)
class PublishedRow:
    """A published row: its labels, `access` (open, closed or none) and the text of each score."""

    labels: tuple[str, ...]
    access: Access
    texts: dict[str, str]


@dataclass(frozen=True)
class PublishedTable:
    """A table of the paper with its rows in the published order."""

    facts: TableFacts
    rows: tuple[PublishedRow, ...]


def read_facts(folder: Path | None = None) -> Facts:
    """The content of `paper.json`, in `folder` or as it ships with the package.

    Raises:
        DataError: the file is missing or broken.
    """
    path, content = _read(folder, PAPER_FILE)
    try:
        return Facts.model_validate_json(content)
    except ValidationError as error:
        raise DataError(first_fault(error), path=path) from error


def published_of_texts(facts: Facts) -> dict[TaskName, PublishedTable]:
    """The published table of each task whose answers are texts.

    Raises:
        DataError: see `read_published`.
    """
    return {table.task: read_published(table) for table in facts.tables if table.task != HAR}


def _read(folder: Path | None, name: str) -> tuple[Path, bytes]:
    path = (folder or shipped("results/published")) / name
    try:
        return path, path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from error


def read_published(facts: TableFacts, folder: Path | None = None) -> PublishedTable:
    """The rows of one table.

    Raises:
        DataError: its file is missing or not UTF-8, lacks a column, or holds a score that is no number; the
            line is named.
    """
    path, content = _read(folder, facts.file)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8: {error}", path=path) from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = [_row(facts, line, path, f"line {reader.line_num}") for line in reader]
        given = reader.fieldnames or ()
    except csv.Error as error:
        raise DataError(str(error), path=path, item=f"line {reader.line_num}") from error
    wanted = (*facts.labels, *(column.name for column in facts.columns))
    if missing := [name for name in wanted if name not in given]:
        raise DataError(f"lacks the column {missing[0]!r}", path=path, item="line 1")
    if not rows:
        raise DataError("holds no rows", path=path)
    return PublishedTable(facts, tuple(rows))


def _row(facts: TableFacts, line: dict[str, str | None], path: Path, item: str) -> PublishedRow:
    if None in line or None in line.values():
        raise DataError("has not as many fields as the first line", path=path, item=item)
    texts = {column.name: line.get(column.name) or "" for column in facts.columns if column.name in line}
    for name, text in texts.items():
        if not _NUMBER.fullmatch(text):
            raise DataError(f"{name} is {text!r}, not a number", path=path, item=item)
    access = line.get("access") or ""
    if access not in ("", "open", "closed"):
        raise DataError(f"access is {access!r}, not open or closed", path=path, item=item)
    return PublishedRow(tuple(line.get(name) or "" for name in facts.labels), cast("Access", access), texts)
