"""A table of the paper in Markdown."""

from __future__ import annotations

from microg_bench.leaderboard.escape import markdown, markdown_code
from microg_bench.leaderboard.paper import Cell, Line, PaperTable, letter

_STYLE = {0: "{}", 1: "**{}**", 2: "<u>{}</u>"}


def to_markdown(table: PaperTable) -> str:
    """The table under a heading, what its letters mean, notes and signatures."""
    facts = table.facts
    columns = [*facts.headings, *(column.heading for column in facts.columns)]
    lines = [
        f"## Table {facts.number}: {markdown(facts.title)}",
        "",
        _row([markdown(name) for name in columns]),
        f"|{'---|' * len(facts.labels)}{'---:|' * len(facts.columns)}",
    ]
    for name, found in table.groups:
        if name:
            lines.append(_row([f"*{markdown(name)}*", *[""] * (len(columns) - 1)]))
        lines += [_line(line) for line in found]
    return "\n".join([*lines, "", *_below(table)]).rstrip() + "\n"


def _below(table: PaperTable) -> list[str]:
    notes = [f"- {_raised(letter(place))} {markdown(text)}" for place, text in enumerate(table.marks)]
    notes += [f"- {markdown(note)}" for note in table.notes]
    if table.signatures:
        notes.append(f"- Signatures: {', '.join(markdown_code(one) for one in table.signatures)}")
    return notes


def _line(line: Line) -> str:
    first, *others = line.labels
    if line.origin == "difference":
        first = f"↳ *{first}*"
    elif line.origin == "ours":
        first = f"{'↳ ' * line.under}ours: {markdown(first)}" + _raised(line.marks)
    else:
        first = markdown(first)
    return _row([first, *map(markdown, others), *map(_cell, line.cells)])


def _cell(cell: Cell) -> str:
    return _STYLE[cell.rank].format(cell.text) + _raised(cell.mark)


def _raised(mark: str) -> str:
    return f"<sup>{mark}</sup>" if mark else ""


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
