"""`microg-bench tables`: the tables of the paper, with our rows beside the published ones."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from microg_bench.cli.console import left_out, noted, output
from microg_bench.cli.har import GroundTruthOption, read_truths
from microg_bench.dataset.load import load
from microg_bench.errors import UsageError
from microg_bench.har.reports import read_scorecards
from microg_bench.storage import write_text
from microg_bench.tables.csv_json import to_csv, to_json
from microg_bench.tables.gather import ROWS_ARE, gather, no_rows
from microg_bench.tables.har_rows import tell_repeated
from microg_bench.tables.judged import JudgedTable, judged_tables
from microg_bench.tables.judged import to_json as judged_json
from microg_bench.tables.judged import to_markdown as judged_markdown
from microg_bench.tables.latex import document, to_latex
from microg_bench.tables.markdown import to_markdown
from microg_bench.tables.on_board import OnBoardTable, on_board_tables
from microg_bench.tables.on_board import to_json as on_board_json
from microg_bench.tables.on_board import to_markdown as on_board_markdown
from microg_bench.tables.paper import PaperTable, paper_tables
from microg_bench.text import many, unknown

app = typer.Typer(rich_markup_mode="markdown", add_completion=False)

FORMATS: dict[str, Callable[[PaperTable], str]] = {
    "md": to_markdown,
    "latex": to_latex,
    "csv": to_csv,
    "json": lambda table: json.dumps(to_json(table), indent=2) + "\n",
}
ENDINGS = {"latex": "tex"}

EPILOG = """Examples:

    microg-bench tables --paper

    microg-bench tables --paper --runs runs --submissions results/submissions --data microg-4m --out paper

    microg-bench har score --detections X3D_L.test.csv --groundtruth test.csv --out x3d.json &&
    microg-bench tables --paper --har x3d.json --format latex
"""


@app.command(epilog=EPILOG)
def tables(
    paper: Annotated[
        bool, typer.Option("--paper", help="Show the published rows, with ours and the differences.")
    ] = False,
    runs: Annotated[
        list[Path] | None, typer.Option(help="Folder with scored runs, at any depth; may be repeated.")
    ] = None,
    submissions: Annotated[
        list[Path] | None, typer.Option(help="Folder with submissions; may be repeated.")
    ] = None,
    har: Annotated[
        list[Path] | None,
        typer.Option(help="Scorecards that `har score --out` wrote; may be repeated.", metavar="FILE"),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Dataset on which submissions are checked and scored again: sample, microg-4m, a path. "
            "Without it their scores are unverified."
        ),
    ] = None,
    groundtruth: GroundTruthOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Write files into this folder, in all formats unless some are named.")
    ] = None,
    format_: Annotated[
        str | None, typer.Option("--format", help="Comma-separated: md, latex, csv, json. Printed: md.")
    ] = None,
) -> None:
    """Regenerate Tables 1 to 4 of the paper.

    Letters mark numbers that are not comparable with the paper, under another protocol or on other references
    for example, and those that a submission claims and nobody has verified; no difference is computed for
    them, and they are never marked as best. Submissions that `submit check` refuses are left out. Judged
    scores and cost on board stand in tables of their own, in Markdown and JSON: the first with judge, rubric
    and agreement, the second one a kind of hardware.
    """
    chosen = _formats(format_, list(FORMATS) if out else ["md"])
    dataset, truths = load(data) if data else None, read_truths(groundtruth)
    records, submitted, errors = gather(runs or [], submissions or [], dataset, truths, noted)
    scored = [card for file in har or [] for card in read_scorecards(file)]
    tell_repeated(scored, submitted, noted)
    cards = [record.scorecard for record in records]
    found = paper_tables(cards, scored, published=paper, submitted=submitted)
    judged, unread = judged_tables(records)
    on_board, unmeasured = on_board_tables(records)
    errors += [*unread, *unmeasured]
    if not found and not errors:
        if why := no_rows(runs or []):
            raise UsageError(f"there is nothing to show: of the runs {why}; {ROWS_ARE}", item="--runs")
        raise UsageError("there is nothing to show: give --runs, --submissions or --har, or --paper")
    apart = {"judged": _judged(judged), "on-board": _on_board(on_board)}
    if out is None:
        shown = [FORMATS[name](table) for name in chosen for table in found]
        shown += [own[name] for own in apart.values() for name in chosen if name in own]
        output().print("\n".join(shown), end="")
    else:
        _write(out, found, apart, chosen)
        output().print(f"wrote {many(len(found) + len(judged) + len(on_board), 'table')} to {out}")
    left_out(errors)
    if errors:
        raise typer.Exit(1)


def _formats(given: str | None, usual: Sequence[str]) -> Sequence[str]:
    names = [name.strip() for name in (given or "").split(",") if name.strip()] or usual
    for name in names:
        if name not in FORMATS:
            raise UsageError(unknown("format", name, FORMATS))
    return names


def _write(
    out: Path,
    found: Sequence[PaperTable],
    apart: Mapping[str, Mapping[str, str]],
    formats: Sequence[str],
) -> None:
    for name in formats:
        ending = ENDINGS.get(name, name)
        for table in found:
            write_text(out / f"table{table.facts.number}.{ending}", FORMATS[name](table))
    if "latex" in formats:
        write_text(out / "tables.tex", document([table.facts.number for table in found]))
    if "md" in formats:
        write_text(out / "tables.md", "\n".join(to_markdown(table) for table in found))
    for what, own in apart.items():
        for name in formats:
            if name in own:
                write_text(out / f"{what}.{name}", own[name])


def _judged(found: Sequence[JudgedTable]) -> dict[str, str]:
    """The tables of judged scores by format; none where there are no tables."""
    return _by_format(map(judged_markdown, found), map(judged_json, found)) if found else {}


def _on_board(found: Sequence[OnBoardTable]) -> dict[str, str]:
    """The tables of cost on board by format; none where there are no tables."""
    return _by_format(map(on_board_markdown, found), map(on_board_json, found)) if found else {}


def _by_format(markdown: Iterable[str], content: Iterable[Any]) -> dict[str, str]:
    return {"md": "\n".join(markdown), "json": json.dumps(list(content), indent=2) + "\n"}
