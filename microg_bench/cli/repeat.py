"""`microg-bench repeat`: how much of a score is the chance of sampling?"""

from pathlib import Path
from typing import Annotated, Any

import typer

from microg_bench.cli.console import AsJson, drawn, interruptible, note, output, print_report
from microg_bench.cli.options import ASKING, SCORING, with_options
from microg_bench.cli.run import DryRun, Pictures, Yes, finish
from microg_bench.options import OF_PERSONS
from microg_bench.plots.repeats import draw_repeats
from microg_bench.repeats import LEAST, MOST, REFUSED, REPEATS_FILE, TABLE_FILE, preview_repeats
from microg_bench.repeats import repeat as ask

app = typer.Typer(rich_markup_mode="markdown", add_completion=False)

OPTIONS = [name for name in (*ASKING, *SCORING) if name not in (*REFUSED, *OF_PERSONS)]

EPILOG = """Examples:

    microg-bench repeat --model qwen2.5-vl --data microg-4m --repeats 5 --temperature 0.7

The same command resumes, also with more repeats. Each repeat is an ordinary run in a folder of its own.
"""


@app.command("repeat", epilog=EPILOG)
@with_options(OPTIONS)
def repeat(
    repeats: Annotated[
        int, typer.Option(min=LEAST, max=MOST, help="How many times; their seeds are 0 and so on.")
    ] = 5,
    run: Annotated[
        Path | None,
        typer.Option(help="Folder of the runs.", show_default="runs/MODEL-DATASET-HASH-repeats"),
    ] = None,
    pictures: Pictures = True,
    yes: Yes = False,
    as_json: AsJson = False,
    dry_run: DryRun = False,
    **given: Any,
) -> None:
    """Ask a model that samples the same requests several times, and tell what its scores vary by.

    The result is a table with each mean score and its interval, and the variance within the model apart from
    that between clips; a page with all answers; and, with the extra plots, a chart. Repeats share the engine
    and the decoding of each clip.
    """
    options = {name: value for name, value in given.items() if value is not None}
    model, tasks = options.pop("model", ""), options.pop("tasks", ("caption", "vqa"))
    data = options.pop("data", None)
    if dry_run:
        output().print(str(preview_repeats(model, data, tasks, repeats=repeats, run=run, **options)))
        return
    with interruptible():
        asked = ask(model, data, tasks, repeats=repeats, run=run, pictures=pictures, yes=yes, **options)
    files = [asked.folder / TABLE_FILE, asked.folder / REPEATS_FILE, asked.page]
    files += drawn(lambda: draw_repeats(asked.report, asked.folder))
    content = asked.report.model_dump(mode="json", by_alias=True)
    print_report(content, asked.table(), files, as_json)
    note(*asked.report.warnings)
    finish(asked.results.values())
