"""`microg-bench report`: the page of a run, or of several side by side, for a browser."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from microg_bench.cli.console import output
from microg_bench.pages.comparison_page import write_comparison_page
from microg_bench.pages.run_page import write_run_page
from microg_bench.pages.videos import VideoFiles
from microg_bench.progress import RichProgress
from microg_bench.runs.record import RunRecord, find_runs
from microg_bench.scoring.compare import comparable

app = typer.Typer(rich_markup_mode="markdown", add_completion=False)
EPILOG = """Examples:

    microg-bench report runs/nearest-clip-sample-1a2b3c

    microg-bench report runs/qwen2.5-vl-microg-4m-1a2b3c/vqa --out pages/qwen

    microg-bench report runs/qwen2.5-vl-microg-4m-1a2b3c runs/gemma-3-microg-4m-4d5e6f
"""


@app.command(epilog=EPILOG)
def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="A scored run, or the folder with the runs of both tasks; several: side by side."
        ),
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
    the paired comparison of their scores.
    """
    with RichProgress() as progress:
        if len(runs) > 1:
            compared = comparable(runs)
            first, place = next(iter(compared.values()))[0], out or runs[0] / "side-by-side"
            write: Callable[..., Path] = partial(write_comparison_page, compared)
        else:
            records = [RunRecord.read(path) for path in find_runs(runs[0])]
            first, place = records[0], out or runs[0] / "report"
            write = partial(write_run_page, records)
        page = write(first.dataset(data), place, pictures=pictures, videos=videos, progress=progress)
    output().print(str(page))
