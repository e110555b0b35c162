"""`microg-bench submit`: pack a run for others, and check what others have packed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from microg_bench.cli import options as o
from microg_bench.cli.score import make_scoring
from microg_bench.cli.show import errors_console, output, printable
from microg_bench.leaderboard.inspection import inspect
from microg_bench.leaderboard.submission import pack as pack_run
from microg_bench.runs.scoring import find_runs
from microg_bench.runs.settings import make_options

SUBMISSIONS = Path("results/submissions")
ENCODERS = {
    name: kind for name, kind in o.SCORING.items() if name in ("sentence_model", "bertscore_model", "bf16")
}

app = typer.Typer(
    help="Pack a run for the leaderboard, or check what was packed.",
    epilog="Examples:  `microg-bench submit pack runs/my-model-microg-4m-1a2b3c`  ·  "
    "`microg-bench submit check results/submissions/* --data microg-4m`",
    rich_markup_mode="markdown",
    no_args_is_help=True,
)


@app.command(epilog="Example:  `microg-bench submit pack runs/my-model-microg-4m-1a2b3c`")
def pack(
    run: Annotated[Path, typer.Argument(help="A scored run, or a folder of runs.")],
    into: Annotated[Path, typer.Option(help="Where the submission's folder goes.")] = SUBMISSIONS,
) -> None:
    """Write what others need to check a run: its scorecard, its answers, how it was made; nothing private."""
    for path in find_runs(run):
        output().print(str(pack_run(path, into)))


def check(
    folders: Annotated[list[Path], typer.Argument(help="Submissions.")],
    data: Annotated[str | None, typer.Option(help="The dataset that they were made on.")] = None,
    **given: Any,
) -> None:
    """Check submissions as hostile input, score their answers again, and say precisely what is wrong."""
    scoring = make_scoring(make_options(o.read(given)))
    with errors_console().status(f"checking {len(folders)} submissions"):
        inspected = inspect(folders, data, scoring)
    for folder, found in inspected.items():
        output().print(f"{'REFUSED' if found.problems else 'ok     '}  {folder}")
        for line in found.problems:
            output().print(f"         {printable(line)}")
        for line in found.notes:
            output().print(f"         note: {printable(line)}")
    if any(found.problems for found in inspected.values()):
        raise typer.Exit(1)


app.command(epilog="Example:  `microg-bench submit check results/submissions/* --data microg-4m`")(
    o.with_options(check, ENCODERS)
)
