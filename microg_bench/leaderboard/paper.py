"""The tables of the paper, regenerated: the printed rows, ours beside them, differences, floors, signatures.

A `PaperTable` holds what a table says and in which order; `markup`, `latex` and `export` write it down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import ascii_lowercase
from typing import Literal

from microg_bench.har.report import Report
from microg_bench.leaderboard.action_rows import action_rows
from microg_bench.leaderboard.published import (
    Facts,
    PrintedRow,
    PrintedTable,
    TableFacts,
    read_facts,
    read_printed,
)
from microg_bench.leaderboard.rows import OwnRow, text_rows
from microg_bench.runs.scorecard import Scorecard

GROUPS = {"open": "Open weights", "closed": "Closed models", "floor": "Floors: no model at all", "": "Ours"}
Origin = Literal["printed", "ours", "difference"]
Rank = Literal[0, 1, 2]


@dataclass(frozen=True)
class Cell:
    """A score as shown; `rank` 1 is the best of its column, 2 the second best, `mark` a letter of a note."""

    text: str = ""
    value: float | None = None
    rank: Rank = 0
    mark: str = ""


@dataclass(frozen=True)
class Line:
    """A row of a table. `under` tells that it belongs to the printed row above it."""

    origin: Origin
    access: str
    labels: tuple[str, ...]
    cells: tuple[Cell, ...]
    marks: str = ""
    under: bool = False
    row: OwnRow | None = None


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper as it is shown.

    `groups` are headings, empty where the table has but one group, with their lines. `marks` are what the
    letters mean, in their order.
    """

    facts: TableFacts
    source: str
    groups: tuple[tuple[str, tuple[Line, ...]], ...]
    marks: tuple[str, ...]
    notes: tuple[str, ...]
    signatures: tuple[str, ...]

    @property
    def lines(self) -> tuple[Line, ...]:
        """All lines, in order."""
        return tuple(line for _, lines in self.groups for line in lines)


def letter(place: int) -> str:
    """The letter of a note: a, b and so on to z, then aa, ab."""
    high, low = divmod(place, len(ascii_lowercase))
    return (letter(high - 1) if high else "") + ascii_lowercase[low]


def paper_tables(
    cards: Sequence[Scorecard],
    reports: Sequence[Report],
    printed: bool = True,
    folder: Path | None = None,
) -> list[PaperTable]:
    """The tables of the paper, in their order.

    Args:
        cards: our runs and submissions.
        reports: our scores of detections of actions.
        printed: whether the printed rows are shown; without them, only tables with rows of ours are made.
        folder: where the printed numbers lie; None takes those that ship with the harness.

    Raises:
        DataError: the printed numbers are missing or broken.
    """
    facts = read_facts(folder)
    tables = []
    for one in facts.tables:
        table = read_printed(one, folder)
        rows = action_rows(table, facts, reports) if one.task == "actions" else text_rows(table, facts, cards)
        rows = sorted(rows, key=lambda row: len(row.marks))  # what stands beside the print comes first
        if not printed:
            table, rows = replace(table, rows=()), [replace(row, printed=None) for row in rows]
        if printed or rows:
            tables.append(_table(table, facts, rows))
    return tables


def _table(table: PrintedTable, facts: Facts, rows: Sequence[OwnRow]) -> PaperTable:
    marks = tuple(dict.fromkeys(text for row in rows for text in (*row.marks, *row.faults.values())))
    letters = {text: letter(place) for place, text in enumerate(marks)}
    ranks = _own_ranks(table.facts, rows)
    printed = _printed_lines(table)
    groups: dict[str, list[Line]] = {}
    for place, line in enumerate(printed):
        below = [(row, rank) for row, rank in zip(rows, ranks, strict=True) if row.printed == place]
        lines = groups.setdefault(line.access, [])
        lines.append(line)
        for row, rank in below:
            lines += _own_lines(table, row, rank, letters)
    for row, rank in zip(rows, ranks, strict=True):
        if row.printed is None:
            groups.setdefault(row.access, []).extend(_own_lines(table, row, rank, letters))
    order = [name for name in GROUPS if name in groups]
    named = len(order) > 1 or any(order)
    return PaperTable(
        facts=table.facts,
        source=facts.source if table.rows else "",
        groups=tuple((GROUPS[name] if named else "", tuple(groups[name])) for name in order),
        marks=marks,
        notes=tuple(_notes(facts, table, rows)),
        signatures=tuple(dict.fromkeys(short for row in rows for short, _ in row.signatures.values())),
    )


def _notes(facts: Facts, table: PrintedTable, rows: Sequence[OwnRow]) -> list[str]:
    told: dict[str, dict[str, None]] = {}
    for row in rows:
        for note in row.notes:
            told.setdefault(note, {})[row.name] = None
    notes = [f"{', '.join(names)}: {note}" for note, names in told.items()]
    if table.facts.task != "actions" and any(not row.marks for row in rows):
        known = "; ".join(facts.datasets.values())
        notes.append(f"Rows of ours without a letter: protocol {facts.protocol}, {known}")
    if table.rows and rows:
        notes.append("Best and second best are marked among the printed rows, and apart from them among ours")
    if table.rows:
        notes.append(f"Printed rows: {facts.source}, Table {table.facts.number}")
    return notes


def _printed_lines(table: PrintedTable) -> list[Line]:
    ranks = _ranks([[float(row.texts[c.name]) for c in table.facts.columns] for row in table.rows])
    return [_printed_line(table.facts, row, rank) for row, rank in zip(table.rows, ranks, strict=True)]


def _printed_line(facts: TableFacts, row: PrintedRow, ranks: Sequence[Rank]) -> Line:
    texts = [row.texts[column.name] for column in facts.columns]
    cells = [Cell(text, float(text), rank) for text, rank in zip(texts, ranks, strict=True)]
    return Line("printed", row.access, row.labels, tuple(cells))


def _own_lines(
    table: PrintedTable, row: OwnRow, ranks: Sequence[Rank], letters: dict[str, str]
) -> list[Line]:
    """The line of a row of ours and, where it reproduces a printed one, the difference."""
    under = row.printed is not None
    cells = [
        _own_cell(row, column.name, rank, letters)
        for column, rank in zip(table.facts.columns, ranks, strict=True)
    ]
    marks = ",".join(letters[text] for text in row.marks)
    lines = [Line("ours", row.access, row.labels, tuple(cells), marks, under, row)]
    if row.printed is not None and any(row.comparable(column.name) for column in table.facts.columns):
        texts = table.rows[row.printed].texts
        changes = tuple(_difference(row, column.name, texts) for column in table.facts.columns)
        labels = ("difference", *[""] * (len(row.labels) - 1))
        lines.append(Line("difference", row.access, labels, changes, under=True))
    return lines


def _own_cell(row: OwnRow, column: str, rank: Rank, letters: dict[str, str]) -> Cell:
    value = row.values.get(column)
    if value is None:
        return Cell("n/a" if column in row.values else "–")
    return Cell(f"{value:.2f}", value, rank, letters[row.faults[column]] if column in row.faults else "")


def _difference(row: OwnRow, column: str, printed: dict[str, str]) -> Cell:
    """What ours is above the printed score; empty where the two may not be compared."""
    value = row.values.get(column)
    if value is None or not row.comparable(column):
        return Cell()
    change = value - float(printed[column])
    return Cell(f"{round(change, 2) + 0.0:+.2f}", change)  # adding zero turns -0.0 into 0.0


def _own_ranks(facts: TableFacts, rows: Sequence[OwnRow]) -> list[list[Rank]]:
    """Ranks among our models; what may not be compared, and floors, take no part."""
    return _ranks(
        [
            [
                row.values.get(column.name) if row.access != "floor" and row.comparable(column.name) else None
                for column in facts.columns
            ]
            for row in rows
        ]
    )


def _ranks(rows: Sequence[Sequence[float | None]]) -> list[list[Rank]]:
    """For each value 1, 2 or 0: best, second best or neither of its column, as shown, with two decimals.

    A value alone in its column is not the best of anything.
    """
    found: list[list[Rank]] = [[0] * len(row) for row in rows]
    for place, column in enumerate(zip(*rows, strict=True)):
        shown = [None if value is None else round(value, 2) for value in column]
        top = sorted({value for value in shown if value is not None}, reverse=True)
        if sum(value is not None for value in shown) < 2:
            continue
        for row, value in enumerate(shown):
            if value is not None and value in top[:2]:
                found[row][place] = 1 if value == top[0] else 2
    return found
