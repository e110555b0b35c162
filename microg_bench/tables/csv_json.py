"""A table of the paper as CSV and as JSON, for programs."""

import csv
import io
from typing import Any

from microg_bench.scorecard import Counts
from microg_bench.tables.paper import Line, PaperTable
from microg_bench.tables.rows import OwnRow
from microg_bench.text import one_line

TABLE_SCHEMA = "microg-bench/table/2"


def to_csv(table: PaperTable) -> str:
    """One line a row, as it is shown.

    `origin` is published, ours or difference. A row of ours has the level of thinking, its counts (see
    `scorecard.Counts`), and `notes` on what sets it apart.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    names = [column.name for column in table.facts.columns]
    writer.writerow(
        ["origin", "access", *table.facts.labels, *names, "thinking", *Counts.model_fields, "notes"]
    )
    for line in table.lines:
        cells = ["" if cell.value is None else cell.text for cell in line.cells]
        labels, notes = map(_no_formula, line.labels), _no_formula("; ".join(_apart(line)))
        writer.writerow([line.origin, line.access, *labels, *cells, *_asked(line.row), notes])
    return out.getvalue()


def _asked(row: OwnRow | None) -> list[str]:
    """The level of thinking and the counts of a row; empty where there are none."""
    counts = row.counts if row else None
    numbers = counts.model_dump().values() if counts else [""] * len(Counts.model_fields)
    return [_no_formula((row and row.thinking) or ""), *map(str, numbers)]


def _no_formula(text: str) -> str:
    """`text` in one line; one that a spreadsheet would compute gets an apostrophe before it."""
    plain = one_line(text)
    return f"'{plain}" if plain.startswith(("=", "+", "-", "@")) else plain


def to_json(table: PaperTable) -> dict[str, Any]:
    """The whole table: values in full, ranks, intervals, long signatures, notes."""
    facts = table.facts
    return {
        "schema": TABLE_SCHEMA,
        "number": facts.number,
        "title": facts.title,
        "task": facts.task,
        "source": table.source,
        "labels": dict(facts.labels),
        "columns": [column.name for column in facts.columns],
        "rows": [_row(table, line) for line in table.lines],
        "notes": list(table.notes),
    }


def _row(table: PaperTable, line: Line) -> dict[str, Any]:
    names = [column.name for column in table.facts.columns]
    cells = dict(zip(names, line.cells, strict=True))
    content: dict[str, Any] = {
        "origin": line.origin,
        "access": line.access,
        "labels": dict(zip(table.facts.labels, line.labels, strict=True)),
        "values": {name: cell.value for name, cell in cells.items()},
        "best": [name for name, cell in cells.items() if cell.rank == 1],
        "second": [name for name, cell in cells.items() if cell.rank == 2],
    }
    if line.row is not None:
        scores = line.row.scores.items()
        content["intervals"] = {name: list(one.interval) for name, one in scores if one.interval}
        content["signatures"] = {name: one.signature.long() for name, one in scores if one.signature}
        content["comparable"] = [name for name in names if line.row.comparable(name)]
        content["thinking"] = line.row.thinking
        content["counts"] = line.row.counts.model_dump() if line.row.counts else None
        content["served"] = [one.model_dump() for one in line.row.served]
        content["notes"] = _apart(line)
    return content


def _apart(line: Line) -> list[str]:
    return [] if line.row is None else [*line.row.marks, *line.row.faults.values(), *line.row.notes]
