"""A table of the paper in LaTeX, with booktabs, and the document that holds all of them."""

from collections.abc import Sequence
from itertools import groupby

from microg_bench.tables.paper import Cell, Line, PaperTable
from microg_bench.text import one_line

_LATEX = {
    **{sign: f"\\{sign}" for sign in "{}&%$#_"},
    **{sign: f"{{{sign}}}" for sign in "[*"},  # after "\\\\", "[" would begin an option, and "*" change it
    **{sign: f"{sign}{{}}" for sign in "-,?!"},  # "--", ",,", "?`" and "!`" would become other signs
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "–": "--",
    "—": "---",
    "…": r"\dots{}",
    "×": r"\texttimes{}",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
}
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
        rf"\caption{{{escape(facts.title)}}}",
        rf"\label{{tab:microg-bench-{facts.number}}}",
        rf"\begin{{tabular}}{{{'l' * len(facts.labels)}{'r' * len(facts.columns)}}}",
        r"\toprule",
        *_splits(table),
        _row([*map(escape, facts.headings), *(escape(column.score) for column in facts.columns)]),
    ]
    for name, found in table.groups:
        lines.append(r"\midrule")
        if name:
            lines.append(rf"\multicolumn{{{width}}}{{l}}{{\emph{{{escape(name)}}}}} \\")
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
        cells.append(rf"\multicolumn{{{count}}}{{c}}{{{escape(name)}}}")
        rules.append(rf"\cmidrule(lr){{{place + 1}-{place + count}}}")
        place += count
    return [_row(cells), "".join(rules)]


def _below(table: PaperTable) -> list[str]:
    notes = [f"{_raised(letter)} {escape(text)}" for text, letter in table.marks.items()]
    notes += [escape(note) for note in table.notes]
    if table.signatures:
        notes.append("Signatures: " + ", ".join(_breakable(one) for one in table.signatures))
    if not notes:
        return []
    return [r"\par\smallskip\footnotesize\raggedright", *(note + r".\par" for note in notes)]


def _breakable(signature: str) -> str:
    return r"\textbar\allowbreak{}".join(escape(part) for part in signature.split("|"))


def _line(line: Line) -> str:
    first, *others = line.labels
    if line.origin == "difference":
        first = rf"\quad\emph{{{escape(first)}}}"
    elif line.origin == "ours":
        first = r"\quad " * line.under + f"ours: {escape(first)}" + _raised(line.marks)
    else:
        first = escape(first)
    return _row([first, *map(escape, others), *map(_cell, line.cells)])


def _cell(cell: Cell) -> str:
    text = f"${cell.text}$" if cell.text.startswith(("+", "-")) else escape(cell.text)
    return _STYLE[cell.rank].format(text) + _raised(cell.mark)


def _raised(mark: str) -> str:
    return rf"\textsuperscript{{{mark}}}" if mark else ""


def _row(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def escape(text: str) -> str:
    r"""`text` as it reads in LaTeX with pdfTeX and the T1 encoding.

    Letters of western alphabets stay; a sign that the fonts lack becomes its number, `[U+5B87]`.
    """
    return "".join(_LATEX.get(sign) or _letter(sign) for sign in one_line(text))


def _letter(sign: str) -> str:
    known = sign.isascii() or ("\u00c0" <= sign <= "\u00ff")
    return sign if known else f"{{[}}U+{ord(sign):04X}]"
