"""A table of the paper as CSV and as JSON, for programs."""

import csv
import io
from typing import Any

from microg_bench.tables.paper import Line, PaperTable
from microg_bench.text import one_line

TABLE_SCHEMA = "microg-bench/table/2"


def to_csv(table: PaperTable) -> str:
    """One line a row, as it is shown.

    `origin` is published, ours or difference; `notes` say what sets a row of ours apart.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    names = [column.name for column in table.facts.columns]
    writer.writerow(["origin", "access", *table.facts.labels, *names, "notes"])
    for line in table.lines:
        cells = ["" if cell.value is None else cell.text for cell in line.cells]
        labels, notes = map(_no_formula, line.labels), _no_formula("; ".join(_apart(line)))
        writer.writerow([line.origin, line.access, *labels, *cells, notes])
    return out.getvalue()


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
        content["notes"] = _apart(line)
    return content


def _apart(line: Line) -> list[str]:
    return [] if line.row is None else [*line.row.marks, *line.row.faults.values()]
