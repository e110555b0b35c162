"""`microg-bench plots`: how several runs scored, drawn together."""

from pathlib import Path
from typing import Annotated

import typer

from microg_bench.cli.console import left_out, output
from microg_bench.errors import DataError, UsageError
from microg_bench.options import METRICS
from microg_bench.plots.canvas import check_drawing
from microg_bench.plots.charts import draw_charts
from microg_bench.plots.pareto import draw_fronts
from microg_bench.runs.record import find_runs
from microg_bench.tables.gather import read_scored
from microg_bench.tables.on_board import on_board_tables
from microg_bench.text import unknown

app = typer.Typer(rich_markup_mode="markdown", add_completion=False)

EPILOG = """Examples:

    microg-bench plots runs/a runs/b --out plots

    microg-bench plots runs --out plots
"""


@app.command(epilog=EPILOG)
def plots(
    runs: Annotated[list[Path], typer.Argument(help="Scored runs, or folders of runs at any depth.")],
    out: Annotated[Path, typer.Option(help="Folder for the files.")],
    metric: Annotated[
        str | None,
        typer.Option(help="Score of the charts of cost on board.", show_default="the first of the task"),
    ] = None,
) -> None:
    """Draw scores with intervals, by source video and question word, how slices differ, and over frames.

    Needs the extra plots. Runs of one task must have asked the same items and be scored in the same way. A
    chart by number of frames is drawn where runs differ in nothing else, and one of scores against cost on
    board for each kind of hardware on which two models were measured.
    """
    check_drawing()
    if metric is not None and metric not in METRICS:
        raise UsageError(unknown("metric", metric, METRICS), item="--metric")
    paths = dict.fromkeys(path for run in runs for path in find_runs(run))
    found = {str(path): read_scored(path) for path in paths}
    if len(found) > 1 and (other := [one for one in found.values() if one.settings.paraphrases]):
        reason = "asks questions in other words, so that its items are others: `paraphrase` draws these runs"
        raise DataError(reason, path=other[0].path)
    files = draw_charts({name: one.scorecard for name, one in found.items()}, out)
    tables, errors = on_board_tables(found.values())
    files += draw_fronts(tables, out, metric)
    output().print("\n".join(map(str, files)))
    left_out(errors)
