"""`microg-bench tables`: the tables of the paper, with ours beside what is printed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from microg_bench.cli.options import split
from microg_bench.cli.show import errors_console, output, printable
from microg_bench.errors import UsageError
from microg_bench.files import write_text
from microg_bench.leaderboard.export import to_csv, to_json
from microg_bench.leaderboard.gather import read_cards, read_reports, runs_below
from microg_bench.leaderboard.latex import document, to_latex
from microg_bench.leaderboard.markup import to_markdown
from microg_bench.leaderboard.paper import PaperTable, paper_tables
from microg_bench.suggest import unknown

FORMATS: dict[str, Callable[[PaperTable], str]] = {
    "md": to_markdown,
    "latex": to_latex,
    "csv": to_csv,
    "json": lambda table: json.dumps(to_json(table), indent=2) + "\n",
}
ENDINGS = {"latex": "tex"}

EPILOG = """Examples:

    microg-bench tables --paper

    microg-bench tables --paper --runs runs --submissions results/submissions --out paper

    microg-bench har score --detections X3D_L.test.csv --groundtruth test.csv --out x3d.json &&
    microg-bench tables --paper --actions x3d.json --format latex
"""


def tables(
    paper: Annotated[
        bool,
        typer.Option("--paper", help="Show the printed rows, with ours and the differences beside them."),
    ] = False,
    runs: Annotated[
        list[Path] | None, typer.Option(help="Folder with scored runs, at any depth; may be repeated.")
    ] = None,
    submissions: Annotated[
        list[Path] | None, typer.Option(help="Folder with submissions; may be repeated.")
    ] = None,
    actions: Annotated[
        list[Path] | None,
        typer.Option(help="What `har score --out` wrote; may be repeated.", metavar="FILE"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write files into this folder, in all formats unless some are named.")
    ] = None,
    format_: Annotated[
        str | None, typer.Option("--format", help="Comma-separated: md, latex, csv, json. Printed: md.")
    ] = None,
) -> None:
    """Regenerate Tables 1 to 4 of the paper.

    A row of ours under another protocol, or on other references, bears a letter that is explained below the
    table; no difference is taken and no best is marked of it.
    """
    chosen = _formats(format_, list(FORMATS) if out else ["md"])
    folders = [*(runs or []), *(submissions or [])]
    cards, errors = read_cards(run for folder in folders for run in runs_below(folder))
    found = paper_tables(cards, read_reports(actions or []), printed=paper)
    if not found and not errors:
        raise UsageError("there is nothing to show: give --runs, --submissions or --actions, or --paper")
    if out is None:
        output().print("\n".join(FORMATS[name](table) for name in chosen for table in found), end="")
    else:
        _write(out, found, chosen)
    for error in errors:
        errors_console().print(f"left out: {printable(str(error))}", style="red", markup=False)
    if errors:
        raise typer.Exit(1)


def _formats(given: str | None, usual: Sequence[str]) -> Sequence[str]:
    names = split(given) or usual
    for name in names:
        if name not in FORMATS:
            raise UsageError(unknown("format", name, FORMATS))
    return names


def _write(out: Path, found: Sequence[PaperTable], formats: Sequence[str]) -> None:
    for name in formats:
        ending = ENDINGS.get(name, name)
        for table in found:
            write_text(out / f"table{table.facts.number}.{ending}", FORMATS[name](table))
    if "latex" in formats:
        write_text(out / "tables.tex", document([table.facts.number for table in found]))
    if "md" in formats:
        write_text(out / "tables.md", "\n".join(to_markdown(table) for table in found))
    output().print(f"{len(found)} tables lie in {out}")


def register(app: typer.Typer) -> None:
    """Add the verb to `app`."""
    app.command(epilog=EPILOG)(tables)
