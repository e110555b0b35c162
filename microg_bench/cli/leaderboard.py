"""`microg-bench leaderboard`: the static site of all runs and submissions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from microg_bench.cli.show import ProgressWatcher, errors_console, output, printable
from microg_bench.errors import UsageError
from microg_bench.leaderboard.gather import read_reports, runs_below
from microg_bench.runs.evaluate import Scoring
from microg_bench.site import build as build_site
from microg_bench.site.entries import submissions_in

SUBMISSIONS = Path("results/submissions")

app = typer.Typer(
    help="Build the pages of the leaderboard.", no_args_is_help=True, rich_markup_mode="markdown"
)

EPILOG = """Examples:

    microg-bench leaderboard build --out site

    microg-bench leaderboard build --runs runs --actions results/actions/X3D_L.test.json --out site
"""


@app.callback()
def _leaderboard() -> None:
    """Build the pages of the leaderboard."""


@app.command(epilog=EPILOG)
def build(
    out: Annotated[Path, typer.Option(help="Folder for the site; one that was built before is replaced.")],
    runs: Annotated[
        list[Path] | None, typer.Option(help="Folder with scored runs, at any depth; may be repeated.")
    ] = None,
    submissions: Annotated[
        list[Path] | None,
        typer.Option(
            help=f"Folder with submissions; may be repeated. Without it and --runs: {SUBMISSIONS}, if there."
        ),
    ] = None,
    actions: Annotated[
        list[Path] | None,
        typer.Option(help="What `har score --out` wrote; may be repeated.", metavar="FILE"),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Dataset with the references (and videos) of the pages: sample, microg-4m, a path."
        ),
    ] = None,
    score: Annotated[
        bool,
        typer.Option(
            "--score",
            help="Score submissions again, as `submit check` does: checks their claims, and their pages show "
            "scores of single items and take part in pairwise tests. Needs --data; takes minutes.",
        ),
    ] = False,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Show the frames that the models were shown.")
    ] = True,
) -> None:
    """Write a static site: tables, plots, pairwise significance, and a page for each run.

    It needs no server: open index.html, or put the folder anywhere. A run or submission that cannot be read
    is named and left out, and the command ends with 1.
    """
    if score and not data:
        raise UsageError("--score needs the references: give --data")
    if not (runs or submissions) and SUBMISSIONS.is_dir():
        submissions = [SUBMISSIONS]
    places = [run for folder in runs or [] for run in runs_below(folder)]
    packed = [path for folder in submissions or [] for path in submissions_in(folder)]
    with ProgressWatcher() as watcher:
        rows, errors = build_site(
            out,
            places,
            packed,
            read_reports(actions or []),
            data,
            Scoring() if score else None,
            pictures,
            watcher,
        )
    output().print(f"{out / 'index.html'}: {rows} rows")
    for error in errors:
        errors_console().print(f"left out: {printable(str(error))}", style="red", markup=False)
    if errors:
        raise typer.Exit(1)
