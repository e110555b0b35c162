"""`microg-bench plots`: how several runs scored, drawn together."""

from pathlib import Path
from typing import Annotated

import typer

from microg_bench.cli.console import output
from microg_bench.plots.canvas import check_drawing
from microg_bench.plots.charts import draw_charts
from microg_bench.runs.record import find_runs
from microg_bench.tables.gather import read_scored

app = typer.Typer(rich_markup_mode="markdown", add_completion=False)

EPILOG = """Examples:

    microg-bench plots runs/a runs/b --out plots

    microg-bench plots runs --out plots
"""


@app.command(epilog=EPILOG)
def plots(
    runs: Annotated[list[Path], typer.Argument(help="Scored runs, or folders of runs at any depth.")],
    out: Annotated[Path, typer.Option(help="Folder for the files.")],
) -> None:
    """Draw scores with intervals, by source video and question word, how slices differ, and over frames.

    Needs the extra plots. Runs of one task must have asked the same items and be scored in the same way. A
    chart by number of frames is drawn where runs differ in nothing else.
    """
    check_drawing()
    paths = dict.fromkeys(path for run in runs for path in find_runs(run))
    files = draw_charts({str(path): read_scored(path).scorecard for path in paths}, out)
    output().print("\n".join(map(str, files)))
