"""`microg-bench probe`: does a model look at the clip?"""

from pathlib import Path
from typing import Annotated, Any

import typer

from microg_bench.cli.console import AsJson, drawn, interruptible, note, output, print_report
from microg_bench.cli.options import ASKING, SCORING, with_options
from microg_bench.cli.run import DryRun, Pictures, Yes, finish
from microg_bench.options import OF_PERSONS
from microg_bench.plots.probes import draw_probes
from microg_bench.probes import TABLE_FILE, preview_probes
from microg_bench.probes import probe as ask
from microg_bench.scoring.probes import PROBES
from microg_bench.tables.probes import PROBES_FILE

app = typer.Typer(rich_markup_mode="markdown", add_completion=False)

# What a probe sets itself, or cannot do.
_LEFT_OUT = ("transforms", "batch", "shard", *OF_PERSONS)
OPTIONS = [name for name in (*ASKING, *SCORING) if name not in _LEFT_OUT]

EPILOG = """Examples:

    microg-bench probe --model qwen2.5-vl --data microg-4m --probes rotation,order,no-frames

    microg-bench probe --model blind --data sample --metrics ROUGE-L --run probes/blind

The same command resumes. Each condition is an ordinary run in a folder of its own.
"""


@app.command("probe", epilog=EPILOG)
@with_options(OPTIONS)
def probe(
    probes: Annotated[str, typer.Option(help="Which probes, comma-separated.")] = ",".join(PROBES),
    run: Annotated[
        Path | None,
        typer.Option(help="Folder of the runs.", show_default="runs/MODEL-DATASET-HASH-probes"),
    ] = None,
    pictures: Pictures = True,
    yes: Yes = False,
    as_json: AsJson = False,
    dry_run: DryRun = False,
    **given: Any,
) -> None:
    """Ask a model again with changed frames, and compare its answers with those to the frames as they are.

    Conditions share the engine and the decoding of each clip. The result is a table with a verdict for each,
    a page and, with the extra plots, a chart.
    """
    options = {name: value for name, value in given.items() if value is not None}
    model, tasks = options.pop("model", ""), options.pop("tasks", ("caption", "vqa"))
    data = options.pop("data", None)
    if dry_run:
        output().print(str(preview_probes(model, data, tasks, probes=probes, run=run, **options)))
        return
    with interruptible():
        asked = ask(model, data, tasks, probes=probes, run=run, pictures=pictures, yes=yes, **options)
    files = [asked.folder / TABLE_FILE, asked.folder / PROBES_FILE, asked.page]
    files += drawn(lambda: draw_probes(asked.report, asked.folder))
    print_report(asked.report.to_json(), asked.table(), files, as_json)
    note(*asked.report.warnings)
    finish(asked.results.values())
