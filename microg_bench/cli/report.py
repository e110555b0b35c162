"""`microg-bench report`: the page of a run, for a browser."""

from pathlib import Path
from typing import Annotated

import typer

from microg_bench.cli.console import output
from microg_bench.pages.clips import ClipFiles
from microg_bench.pages.run_page import write_run_page
from microg_bench.progress import RichProgress
from microg_bench.runs.record import RunRecord, find_runs

app = typer.Typer(rich_markup_mode="markdown", add_completion=False)
EPILOG = """Examples:

    microg-bench report runs/nearest-clip-sample-1a2b3c

    microg-bench report runs/qwen2.5-vl-microg-4m-1a2b3c/vqa --out pages/qwen
"""


@app.command(epilog=EPILOG)
def report(
    run: Annotated[Path, typer.Argument(help="A scored run, or the folder with the runs of both tasks.")],
    out: Annotated[
        Path | None, typer.Option(help="The folder of the page.", show_default="`report` in the run")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Where the dataset is now: sample, microg-4m, a folder or a file.")
    ] = None,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Show the frames that the model was shown.")
    ] = True,
    clips: Annotated[
        ClipFiles,
        typer.Option(help="Let the page play the clips: linked, if below this folder, or copied beside it."),
    ] = "link",
) -> None:
    """Write a page with everything that a run answered, and the frames that the model was shown."""
    records = [RunRecord.read(path) for path in find_runs(run)]
    dataset = records[0].dataset(data)
    with RichProgress() as progress:
        page = write_run_page(
            records, dataset, out or run / "report", pictures=pictures, clips=clips, progress=progress
        )
    output().print(str(page))
