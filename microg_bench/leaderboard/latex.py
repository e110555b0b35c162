"""A table of the paper in LaTeX, with booktabs, and the document that holds all of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from microg_bench.leaderboard.escape import latex
from microg_bench.leaderboard.paper import Cell, Line, PaperTable, letter

_STYLE = {0: "{}", 1: r"\textbf{{{}}}", 2: r"\underline{{{}}}"}
_HEAD = r"""% Compile with pdflatex.
\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{textcomp}
\usepackage{booktabs}
\usepackage[margin=15mm]{geometry}
\begin{document}
"""


def to_latex(table: PaperTable) -> str:
    """A `table` environment; it needs the packages booktabs, textcomp and fontenc with T1."""
    facts = table.facts
    width = len(facts.labels) + len(facts.columns)
    lines = [
        r"\begin{table}[p]",
        r"\centering\small\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{latex(facts.title)}}}",
        rf"\label{{tab:microg-bench-{facts.number}}}",
        rf"\begin{{tabular}}{{{'l' * len(facts.labels)}{'r' * len(facts.columns)}}}",
        r"\toprule",
        *_splits(table),
        _row([*map(latex, facts.headings), *(latex(column.score) for column in facts.columns)]),
    ]
    for name, found in table.groups:
        lines.append(r"\midrule")
        if name:
            lines.append(rf"\multicolumn{{{width}}}{{l}}{{\emph{{{latex(name)}}}}} \\")
        lines += [_line(line) for line in found]
    lines += [r"\bottomrule", r"\end{tabular}", *_below(table), r"\end{table}"]
    return "\n".join(lines) + "\n"


def document(numbers: Sequence[int]) -> str:
    """A document with the tables of these numbers, which compiles as it is beside their files."""
    tables = (rf"\setcounter{{table}}{{{number - 1}}}\input{{table{number}}}" + "\n" for number in numbers)
    return f"{_HEAD}{''.join(tables)}\\end{{document}}\n"


def _splits(table: PaperTable) -> list[str]:
    """A line above the headings that names the splits, where there are several."""
    names = [column.split for column in table.facts.columns]
    if len(set(names)) < 2:
        return []
    cells, rules, place = [""] * len(table.facts.labels), [], len(table.facts.labels)
    for name, found in groupby(names):
        count = len(list(found))
        cells.append(rf"\multicolumn{{{count}}}{{c}}{{{latex(name)}}}")
        rules.append(rf"\cmidrule(lr){{{place + 1}-{place + count}}}")
        place += count
    return [_row(cells), "".join(rules)]


def _below(table: PaperTable) -> list[str]:
    notes = [f"{_raised(letter(place))} {latex(text)}" for place, text in enumerate(table.marks)]
    notes += [latex(note) for note in table.notes]
    if table.signatures:
        notes.append("Signatures: " + ", ".join(_breakable(one) for one in table.signatures))
    if not notes:
        return []
    return [r"\par\smallskip\footnotesize\raggedright", *(note + r".\par" for note in notes)]


def _breakable(signature: str) -> str:
    return r"\textbar\allowbreak{}".join(latex(part) for part in signature.split("|"))


def _line(line: Line) -> str:
    first, *others = line.labels
    if line.origin == "difference":
        first = rf"\quad\emph{{{latex(first)}}}"
    elif line.origin == "ours":
        first = r"\quad " * line.under + f"ours: {latex(first)}" + _raised(line.marks)
    else:
        first = latex(first)
    return _row([first, *map(latex, others), *map(_cell, line.cells)])


def _cell(cell: Cell) -> str:
    text = f"${cell.text}$" if cell.text.startswith(("+", "-")) else latex(cell.text)
    return _STYLE[cell.rank].format(text) + _raised(cell.mark)


def _raised(mark: str) -> str:
    return rf"\textsuperscript{{{mark}}}" if mark else ""


def _row(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"
