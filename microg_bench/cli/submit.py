"""`microg-bench submit`: pack a run for others, and check what others have packed."""

from pathlib import Path
from typing import Annotated, Any

import typer

from microg_bench.cli.console import messages, note, output
from microg_bench.cli.options import with_options
from microg_bench.dataset.load import load
from microg_bench.options import ScoringOptions
from microg_bench.runs.record import RunRecord, find_runs
from microg_bench.submissions.check import check as check_submissions
from microg_bench.submissions.pack import pack as pack_run
from microg_bench.text import visible

SUBMISSIONS = Path("results/submissions")
ENCODERS = ("sentence_model", "bertscore_model", "bf16", "device")

app = typer.Typer(
    help="Pack a run for the leaderboard, or check what was packed.",
    epilog="Examples:  `microg-bench submit pack runs/my-model-microg-4m-1a2b3c`  ·  "
    "`microg-bench submit check results/submissions/* --data microg-4m`",
    rich_markup_mode="markdown",
    add_completion=False,
    no_args_is_help=True,
)


@app.command(epilog="Example:  `microg-bench submit pack runs/my-model-microg-4m-1a2b3c`")
def pack(
    run: Annotated[Path, typer.Argument(help="A scored run, or a folder of runs.")],
    into: Annotated[Path, typer.Option(help="Where the submission's folder goes.")] = SUBMISSIONS,
) -> None:
    """Write what others need to check a run: its scorecard, answers and settings; nothing private."""
    for path in find_runs(run):
        record = RunRecord.read(path)
        output().print(str(pack_run(record, into)))
        note(*(f"note: {line}" for line in record.scorecard.remarks()))


@app.command(epilog="Example:  `microg-bench submit check results/submissions/* --data microg-4m`")
@with_options(ENCODERS)
def check(
    folders: Annotated[list[Path], typer.Argument(help="Submissions.")],
    data: Annotated[str | None, typer.Option(help="The dataset that they were made on.")] = None,
    **given: Any,
) -> None:
    """Check submissions as hostile input, score their answers again, and say precisely what is wrong."""
    options = ScoringOptions.of(given)
    with messages().status(f"checking {len(folders)} submissions"):
        checked = check_submissions(folders, load(data), options)
    for found in checked:
        output().print(f"{'REFUSED' if found.problems else 'ok     '}  {visible(str(found.folder))}")
        for line in [*found.problems, *(f"note: {one}" for one in found.notes)]:
            output().print(f"         {visible(line)}")
    if any(found.problems for found in checked):
        raise typer.Exit(1)
