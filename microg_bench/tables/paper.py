"""The tables of the paper, regenerated: published rows, ours beside them, differences, baselines, signatures.

A `PaperTable` holds the content of a table in its order; `markdown`, `latex` and `csv_json` write it down.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from microg_bench.scorecard import Scorecard
from microg_bench.tables.har_rows import action_rows, asked_rows
from microg_bench.tables.published import Facts, PublishedTable, TableFacts, read_facts, read_published
from microg_bench.tables.rows import OwnRow, text_rows
from microg_bench.text import lettered

GROUPS = {"open": "Open weights", "closed": "Closed models", "baseline": "Baselines (no model)", "": "Ours"}
Origin = Literal["published", "ours", "difference"]
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
    """A row of a table. `under` marks one that belongs to the published row above it."""

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

    `groups` are headings, empty where the table has but one group, with their lines. `marks` are the letters
    by what they mean, in their order.
    """

    facts: TableFacts
    source: str
    groups: tuple[tuple[str, tuple[Line, ...]], ...]
    marks: Mapping[str, str]
    notes: tuple[str, ...]
    signatures: tuple[str, ...]

    @property
    def lines(self) -> tuple[Line, ...]:
        """All lines, in order."""
        return tuple(line for _, lines in self.groups for line in lines)


def paper_tables(
    cards: Sequence[Scorecard],
    actions: Sequence[Scorecard],
    published: bool = True,
    folder: Path | None = None,
    submitted: Sequence[Scorecard] = (),
) -> list[PaperTable]:
    """The tables of the paper in their order, from scorecards of our runs and of detections of actions.

    `submitted` are scorecards of actions of submissions that were accepted; see `action_rows`.
    Without `published`, published rows are left out, and so are tables without rows of ours. `folder` holds
    the published numbers; None takes those that ship with the package.

    Raises:
        DataError: the published numbers are missing or broken, or two scorecards of detections of one name
            have different scores.
    """
    facts = read_facts(folder)
    tables = []
    for one in facts.tables:
        table = read_published(one, folder)
        if one.task == "har":
            asked = [card for card in (*cards, *actions) if card.task == one.task and card.settings]
            scored = [card for card in actions if not card.settings]
            rows = action_rows(table, facts, scored, submitted) + asked_rows(table, facts, asked)
        else:
            rows = text_rows(table, facts, cards)
        rows = sorted(rows, key=lambda row: len(row.marks))  # comparable rows come first
        if not published:
            table, rows = replace(table, rows=()), [replace(row, published=None) for row in rows]
        if published or rows:
            tables.append(_table(table, facts, rows))
    return tables


def _table(table: PublishedTable, facts: Facts, rows: Sequence[OwnRow]) -> PaperTable:
    apart = [text for row in rows for text in (*row.marks, *row.faults.values())]
    letters = lettered([*apart, *(note for row in rows for note in row.notes)])
    ranks = _ranks([[_ranked(row, column.name) for column in table.facts.columns] for row in rows])
    groups: dict[str, list[Line]] = {}
    for place, line in enumerate(_published_lines(table)):
        below = [(row, rank) for row, rank in zip(rows, ranks, strict=True) if row.published == place]
        lines = groups.setdefault(line.access, [])
        lines.append(line)
        for row, rank in below:
            lines += _own_lines(table, row, rank, letters)
    for row, rank in zip(rows, ranks, strict=True):
        if row.published is None:
            groups.setdefault(row.access, []).extend(_own_lines(table, row, rank, letters))
    order = [name for name in GROUPS if name in groups]
    named = len(order) > 1 or any(order)
    signed = (one.signature for row in rows for one in row.scores.values() if one.signature)
    return PaperTable(
        facts=table.facts,
        source=facts.source if table.rows else "",
        groups=tuple((GROUPS[name] if named else "", tuple(groups[name])) for name in order),
        marks=letters,
        notes=tuple(_notes(facts, table, rows)),
        signatures=tuple(dict.fromkeys(map(str, signed))),
    )


def _notes(facts: Facts, table: PublishedTable, rows: Sequence[OwnRow]) -> list[str]:
    notes = []
    if table.facts.task != "har" and any(not row.marks for row in rows):
        known = "; ".join(facts.datasets.values())
        rest = "every request answered, unless a letter says otherwise"
        notes.append(f"Rows of ours: protocol {facts.protocol}, {known}, {rest}")
    if table.rows and rows:
        notes.append("Best and second best are marked among the published rows, and separately among ours")
    if table.rows:
        notes.append(f"Published rows: {facts.source}, Table {table.facts.number}")
    return notes


def _published_lines(table: PublishedTable) -> Iterator[Line]:
    texts = [[row.texts[column.name] for column in table.facts.columns] for row in table.rows]
    ranks = _ranks([list(map(float, row)) for row in texts])
    for row, shown, places in zip(table.rows, texts, ranks, strict=True):
        yield Line("published", row.access, row.labels, tuple(map(Cell, shown, map(float, shown), places)))


def _own_lines(
    table: PublishedTable, row: OwnRow, ranks: Sequence[Rank], letters: dict[str, str]
) -> list[Line]:
    """The line of a row of ours and, where it reproduces a published one, the difference."""
    under = row.published is not None
    cells = [
        _own_cell(row, column.name, rank, letters)
        for column, rank in zip(table.facts.columns, ranks, strict=True)
    ]
    marks = ",".join(letters[text] for text in (*row.marks, *row.notes))
    lines = [Line("ours", row.access, row.labels, tuple(cells), marks, under, row)]
    if row.published is not None and any(row.comparable(column.name) for column in table.facts.columns):
        texts = table.rows[row.published].texts
        changes = tuple(_difference(row, column.name, texts) for column in table.facts.columns)
        labels = ("difference", *[""] * (len(row.labels) - 1))
        lines.append(Line("difference", row.access, labels, changes, under=True))
    return lines


def _own_cell(row: OwnRow, column: str, rank: Rank, letters: dict[str, str]) -> Cell:
    value = row.values.get(column)
    if value is None:
        return Cell("n/a" if column in row.values else "–")
    return Cell(f"{value:z.2f}", value, rank, letters[row.faults[column]] if column in row.faults else "")


def _difference(row: OwnRow, column: str, published: dict[str, str]) -> Cell:
    """Our score less the published one; empty where the two are not comparable."""
    value = row.values.get(column)
    if value is None or not row.comparable(column):
        return Cell()
    change = value - float(published[column])
    return Cell(f"{change:+z.2f}", change)


def _ranked(row: OwnRow, column: str) -> float | None:
    """The score that is ranked among ours; baselines, and scores that are not comparable, have no rank."""
    return row.values.get(column) if row.access != "baseline" and row.comparable(column) else None


def _ranks(rows: Sequence[Sequence[float | None]]) -> list[list[Rank]]:
    """For each value 1, 2 or 0: best, second best or neither of its column, as shown, with two decimals.

    A value alone in its column is not the best of anything.
    """
    ranks: list[list[Rank]] = []
    for column in zip(*rows, strict=True):
        shown = [None if value is None else round(value, 2) for value in column]
        known = [value for value in shown if value is not None]
        top = sorted(set(known), reverse=True)[:2] if len(known) > 1 else []
        ranks.append([1 if value in top[:1] else 2 if value in top else 0 for value in shown])
    return list(map(list, zip(*ranks, strict=True)))
