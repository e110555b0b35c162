"""`microg-bench report`: the page of a run, or of several side by side, for a browser."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from microg_bench.cli.console import note, output
from microg_bench.pages.comparison_page import write_comparison_page
from microg_bench.pages.run_page import write_run_page
from microg_bench.pages.videos import VideoFiles
from microg_bench.progress import Progress, RichProgress
from microg_bench.records import TaskName
from microg_bench.runs.agreement import without_statistics
from microg_bench.runs.record import RunRecord, find_runs
from microg_bench.scoring.compare import comparable
from microg_bench.tasks import HAR

app = typer.Typer(rich_markup_mode="markdown", add_completion=False)
EPILOG = """Examples:

    microg-bench report runs/nearest-clip-sample-1a2b3c

    microg-bench report runs/qwen2.5-vl-microg-4m-1a2b3c/vqa --out pages/qwen

    microg-bench report runs/qwen2.5-vl-microg-4m-1a2b3c runs/gemma-3-microg-4m-1a2b3c
"""


@app.command(epilog=EPILOG)
def report(
    runs: Annotated[
        list[Path],
        typer.Argument(help="A scored run, or the folder with the runs of all tasks; several: side by side."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The folder of the page.",
            show_default="`report` in the run, `side-by-side` in the first of several",
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Where the dataset is now: sample, microg-4m, a folder or a file.")
    ] = None,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Show the frames that the model was shown.")
    ] = True,
    videos: Annotated[
        VideoFiles,
        typer.Option(
            help="Have the page play the clips: link them, if they lie below this folder, or copy them."
        ),
    ] = "link",
) -> None:
    """Write a page with everything that a run answered, and the frames that the model was shown.

    Of several runs, the page has the answers of all to each item, those first on which they differ most, and
    the paired comparison of their scores. Runs about persons have a page with their key frames: what is true
    of each person, and what was said.
    """
    records = [RunRecord.read(path) for run in runs for path in find_runs(run)]
    texts = [record for record in records if record.settings.task != HAR]
    for why in filter(None, map(without_statistics, texts if len(runs) == 1 else ())):
        note(why)
    persons = [record for record in records if record.settings.task == HAR]
    place = out or runs[0] / ("report" if len(runs) == 1 else "side-by-side")
    pages = []
    with RichProgress() as progress:
        if texts:
            write = partial(write_run_page, texts)
            if len(runs) > 1:
                common = comparable(runs)
                _tell_of_alone(texts, common)
                write = partial(write_comparison_page, common)
            dataset = texts[0].dataset(data)
            pages.append(write(dataset, place, pictures=pictures, videos=videos, progress=progress))
        if persons:
            beside = place.with_name(f"{place.name}-{HAR}") if texts else place
            pages.append(_write_persons(persons, data, beside, progress))
    output().print("\n".join(map(str, pages)))


def _tell_of_alone(records: Sequence[RunRecord], common: Mapping[TaskName, Sequence[RunRecord]]) -> None:
    """Name the runs that are not shown."""
    for record in records:
        if record.settings.task not in common:
            note(f"{record.path} is not shown: not all have a run of the task {record.settings.task}")


def _write_persons(records: Sequence[RunRecord], data: str | None, out: Path, progress: Progress) -> Path:
    """The page of runs about persons: what is true of each person, and what was said."""
    from microg_bench.pages.actions_page import write_actions_page

    options = records[0].options
    boxes = Path(options["actions"]) if "actions" in options else None
    folders = [record.path for record in records]
    return write_actions_page(folders, data or options.get("data"), boxes=boxes, out=out, progress=progress)
