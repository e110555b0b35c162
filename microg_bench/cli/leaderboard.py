"""`microg-bench leaderboard`: the static site of all runs and submissions."""

from pathlib import Path
from typing import Annotated

import typer

from microg_bench.cli.console import left_out, output
from microg_bench.cli.submit import SUBMISSIONS
from microg_bench.dataset.load import load
from microg_bench.errors import UsageError
from microg_bench.har.reports import read_scorecards
from microg_bench.options import ScoringOptions
from microg_bench.pages.leaderboard import build as build_site
from microg_bench.progress import RichProgress
from microg_bench.submissions.load import find_submissions
from microg_bench.tables.gather import gather

EPILOG = """Examples:

    microg-bench leaderboard build --out site

    microg-bench leaderboard build --runs runs --har results/actions/X3D_L.test.json --out site
"""

app = typer.Typer(
    help="Build the pages of the leaderboard.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
)


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
            help="Folder with submissions; may be repeated.",
            show_default=f"{SUBMISSIONS} without --runs, where it exists",
        ),
    ] = None,
    har: Annotated[
        list[Path] | None,
        typer.Option(help="Scorecards that `har score --out` wrote; may be repeated.", metavar="FILE"),
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
            help="Check submissions and score them again: their pages show scores of single items, and they "
            "take part in pairwise tests. Needs --data; takes minutes.",
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
        raise UsageError("needs the references: give --data", item="--score")
    if not (runs or submissions) and SUBMISSIONS.is_dir():
        submissions = [SUBMISSIONS]
    records, unread = gather(runs or [])
    with RichProgress() as progress:
        rows, refused = build_site(
            out,
            records,
            [path for folder in submissions or [] for path in find_submissions(folder)],
            [card for file in har or [] for card in read_scorecards(file)],
            dataset=load(data) if data else None,
            scoring=ScoringOptions() if score else None,
            pictures=pictures,
            progress=progress,
        )
    output().print(f"{out / 'index.html'}: {rows} rows")
    left_out([*unread, *refused])
    if unread or refused:
        raise typer.Exit(1)
