"""`microg-bench submit`: pack results for others, and check what others have packed."""

from pathlib import Path
from typing import Annotated, Any

import typer

from microg_bench.cli.console import AsJson, messages, noted, output, print_json
from microg_bench.cli.har import GroundTruthOption, read_truths
from microg_bench.cli.options import with_options
from microg_bench.dataset.load import load
from microg_bench.errors import UsageError
from microg_bench.har.reports import read_scorecards
from microg_bench.har.runs import SETTINGS
from microg_bench.options import ScoringOptions
from microg_bench.runs.record import SCORECARD_FILE, RunRecord, find_runs
from microg_bench.submissions.actions import pack_actions
from microg_bench.submissions.check import check as check_submissions
from microg_bench.submissions.pack import pack as pack_run
from microg_bench.text import many, visible

SUBMISSIONS = Path("results/submissions")
ENCODERS = ("sentence_model", "bertscore_model", "bf16", "device")

EPILOG = """Examples:

    microg-bench submit pack runs/my-model-microg-4m-1a2b3c

    microg-bench submit pack x3d.json --detections X3D_L.test.csv

    microg-bench submit check results/submissions/*/ --data microg-4m --groundtruth groundtruth_test.csv
"""

app = typer.Typer(
    help="Pack results for the leaderboard, or check what was packed.",
    epilog=EPILOG,
    rich_markup_mode="markdown",
    add_completion=False,
    no_args_is_help=True,
)


@app.command(epilog=EPILOG)
def pack(
    result: Annotated[
        Path,
        typer.Argument(
            help="A scored run, or a folder of runs; with --detections, the scorecards of `har score --out`."
        ),
    ],
    detections: Annotated[
        list[Path] | None,
        typer.Option(help="Scored detections of actions; may be repeated.", metavar="FILE"),
    ] = None,
    into: Annotated[Path, typer.Option(help="Where the submission's folder goes.")] = SUBMISSIONS,
) -> None:
    """Write what others need to check a result: scorecard, answers and settings, or detections.

    Nothing private is written.
    """
    if detections:
        if result.is_dir():
            reason = "is a folder; with --detections give the file of their scorecards"
            raise UsageError(f"{result}: {reason}")
        for folder in pack_actions(result, detections, into, noted):
            output().print(str(folder))
            (card,) = read_scorecards(folder / SCORECARD_FILE)
            noted(*card.remarks())
        return
    if (result / SETTINGS).is_file():
        reason = f"is a run of actions: give {SCORECARD_FILE} in it, and --detections with the CSV beside it"
        raise UsageError(f"{result}: {reason}")
    if result.is_file():
        raise UsageError(f"{result}: is a file; give the folder of a run, or --detections too")
    for path in find_runs(result):
        record = RunRecord.read(path)
        output().print(str(pack_run(record, into, noted)))
        noted(*record.scorecard.remarks())


@app.command(epilog=EPILOG)
@with_options(ENCODERS)
def check(
    folders: Annotated[list[Path], typer.Argument(help="Submissions.")],
    data: Annotated[str | None, typer.Option(help="The dataset that runs were made on.")] = None,
    groundtruth: GroundTruthOption = None,
    as_json: AsJson = False,
    **given: Any,
) -> None:
    """Check submissions as hostile input, score them again, and say precisely what is wrong.

    Answers are scored against --data, detections of actions against --groundtruth. Without it their scores
    are not verified: nothing is scored, and no dataset is taken in its place.
    """
    options = ScoringOptions.of(given)
    with messages().status(f"checking {many(len(folders), 'submission')}"):
        checked = check_submissions(folders, load(data) if data else None, options, read_truths(groundtruth))
    if as_json:
        print_json(
            [
                {
                    "folder": str(one.folder),
                    "accepted": not one.problems,
                    "problems": one.problems,
                    "notes": one.notes,
                }
                for one in checked
            ]
        )
    for found in () if as_json else checked:
        output().print(f"{'REFUSED' if found.problems else 'ok     '}  {visible(str(found.folder))}")
        for line in [*found.problems, *(f"note: {one}" for one in found.notes)]:
            output().print(f"         {visible(line)}")
    if any(found.problems for found in checked):
        raise typer.Exit(1)
