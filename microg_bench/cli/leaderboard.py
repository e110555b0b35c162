"""`microg-bench leaderboard`: the static site of all runs and submissions."""

from pathlib import Path
from typing import Annotated

import typer

from microg_bench.cli.console import left_out, noted, output
from microg_bench.cli.har import GroundTruthOption, read_truths
from microg_bench.cli.submit import SUBMISSIONS
from microg_bench.dataset.load import load
from microg_bench.errors import UsageError
from microg_bench.har.reports import read_scorecards
from microg_bench.pages.leaderboard import build as build_site
from microg_bench.progress import RichProgress
from microg_bench.tables.gather import ROWS_ARE, gather, no_rows
from microg_bench.tables.har_rows import tell_repeated
from microg_bench.tables.probes import gather_probes
from microg_bench.text import many

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
        list[Path] | None,
        typer.Option(help="Folder with scored runs and probes, at any depth; may be repeated."),
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
            help="Dataset with the references (and videos) of the pages: sample, microg-4m, a path. "
            "Submissions are scored again on it, which takes minutes; without it their scores are "
            "unverified, and they are not compared pair by pair."
        ),
    ] = None,
    groundtruth: GroundTruthOption = None,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Show the frames that the models were shown.")
    ] = True,
) -> None:
    """Write a static site: tables, plots, pairwise significance, and a page for each run.

    It needs no server: open index.html, or put the folder anywhere, as a static Space of the hub too. Runs
    that cannot be read and submissions that `submit check` refuses are named and left out, and the command
    ends with 1.
    """
    if not (runs or submissions) and SUBMISSIONS.is_dir():
        submissions = [SUBMISSIONS]
    dataset = load(data) if data else None
    truths = read_truths(groundtruth)
    records, submitted, unread = gather(runs or [], submissions or [], dataset, truths, noted)
    scored = [card for file in har or [] for card in read_scorecards(file)]
    tell_repeated(scored, submitted, noted)
    probed, unread_probes = gather_probes(runs or [])
    if not (records or submitted or har or probed or unread or unread_probes) and (
        why := no_rows(runs or [])
    ):
        raise UsageError(f"there is nothing to show: of the runs {why}; {ROWS_ARE}", item="--runs")
    with RichProgress() as progress:
        rows, refused = build_site(
            out,
            records,
            scored,
            submitted,
            probed,
            dataset=dataset,
            pictures=pictures,
            progress=progress,
        )
    output().print(f"{out / 'index.html'}: {many(rows, 'row')}")
    faults = [*unread, *unread_probes, *refused]
    left_out(faults)
    if faults:
        raise typer.Exit(1)
