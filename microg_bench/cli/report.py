"""`microg-bench report`: the page of a run, for a browser."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from microg_bench.cli.console import output
from microg_bench.pages.run_page import write_run_page
from microg_bench.progress import Progress, RichProgress
from microg_bench.runs.record import RunRecord, find_runs
from microg_bench.tasks import HAR

app = typer.Typer(rich_markup_mode="markdown", add_completion=False)
EPILOG = """Examples:

    microg-bench report runs/nearest-clip-sample-1a2b3c

    microg-bench report runs/qwen2.5-vl-microg-4m-1a2b3c/vqa --out pages/qwen
"""


@app.command(epilog=EPILOG)
def report(
    run: Annotated[Path, typer.Argument(help="A scored run, or the folder with the runs of all tasks.")],
    out: Annotated[
        Path | None, typer.Option(help="The folder of the page.", show_default="`report` in the run")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Where the dataset is now: sample, microg-4m, a folder or a file.")
    ] = None,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Show the frames that the model was shown.")
    ] = True,
) -> None:
    """Write a page with everything that a run answered, and the frames that the model was shown.

    A run about persons has a page with their key frames: what is true of each person, and what was said.
    """
    records = [RunRecord.read(path) for path in find_runs(run)]
    texts = [record for record in records if record.settings.task != HAR]
    persons = [record for record in records if record.settings.task == HAR]
    place = out or run / "report"
    pages = []
    with RichProgress() as progress:
        if texts:
            dataset = texts[0].dataset(data)
            pages.append(write_run_page(texts, dataset, place, pictures=pictures, progress=progress))
        if persons:
            beside = place.with_name(f"{place.name}-{HAR}") if texts else place
            pages.append(_write_persons(persons, data, beside, progress))
    output().print("\n".join(map(str, pages)))


def _write_persons(records: Sequence[RunRecord], data: str | None, out: Path, progress: Progress) -> Path:
    """The page of runs about persons: what is true of each person, and what was said."""
    from microg_bench.pages.actions_page import write_actions_page

    options = records[0].options
    boxes = Path(options["actions"]) if "actions" in options else None
    folders = [record.path for record in records]
    return write_actions_page(folders, data or options.get("data"), boxes=boxes, out=out, progress=progress)
