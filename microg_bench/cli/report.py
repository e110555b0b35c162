"""`microg-bench report`: the page of a run, to be looked at in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from microg_bench.cli.show import ProgressWatcher, output
from microg_bench.report.folder import check_free, new_folder
from microg_bench.report.frames import draw, recorded, why_none
from microg_bench.report.page import check_together, run_page
from microg_bench.report.part import read_part
from microg_bench.runs.scoring import find_runs

EPILOG = """Examples:

    microg-bench report runs/nearest-clip-sample-1a2b3c

    microg-bench report runs/qwen2.5-vl-microg-4m-1a2b3c/vqa --out pages/qwen
"""


def report(
    run: Annotated[Path, typer.Argument(help="A scored run, or the folder with the runs of both tasks.")],
    out: Annotated[
        Path | None, typer.Option(help="The folder of the page; `report` in the run by default.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Where the dataset lies now: sample, microg-4m, a folder or a file.")
    ] = None,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Show the frames that the model was shown.")
    ] = True,
) -> None:
    """Write a page with everything that a run answered, and the frames that the model was shown."""
    out = out or run / "report"
    check_free(out)
    read = [read_part(path, data) for path in find_runs(run)]
    parts, dataset = [part for part, _ in read], read[0][1]
    check_together(parts)
    frames = parts[0].settings.frames
    note = why_none(frames, dataset, pictures)
    with new_folder(out) as folder, ProgressWatcher() as watcher:
        strips = {}
        if note is None:
            shown = recorded(parts)
            watcher.begin("drawing frames", len(shown), 0)
            strips = draw(dataset, frames, shown, folder.write, watcher.step)
        folder.write("index.html", run_page(parts, strips, note))
    output().print(str(out / "index.html"))


def register(app: typer.Typer) -> None:
    """Add the verb to `app`."""
    app.command(epilog=EPILOG)(report)
