"""`microg-bench plots`: how several runs scored, drawn together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from microg_bench.cli.show import output
from microg_bench.figures.canvas import check_drawing
from microg_bench.figures.charts import draw_charts
from microg_bench.leaderboard.gather import read_finite, runs_below

EPILOG = """Examples:

    microg-bench plots runs/a runs/b --out plots

    microg-bench plots runs --out plots
"""


def plots(
    runs: Annotated[list[Path], typer.Argument(help="Scored runs, or folders of runs at any depth.")],
    out: Annotated[Path, typer.Option(help="Folder for the files.")],
) -> None:
    """Draw scores with intervals, by source video and question word, and by number of frames.

    Needs the extra plots. Runs of one task must have asked the same and be scored in the same way. A chart
    by number of frames is drawn where runs differ in nothing else.
    """
    check_drawing()
    paths = dict.fromkeys(path for run in runs for path in runs_below(run))
    files = draw_charts({str(path): read_finite(path) for path in paths}, out)
    output().print("\n".join(map(str, files)))


def register(app: typer.Typer) -> None:
    """Add the verb to `app`."""
    app.command(epilog=EPILOG)(plots)
