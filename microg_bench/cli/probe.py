"""`microg-bench probe`: does a model look at the clip?"""

from pathlib import Path
from typing import Annotated, Any

import typer

from microg_bench.cli.console import interruptible, output
from microg_bench.cli.options import ASKING, SCORING, with_options
from microg_bench.cli.run import Yes, finish
from microg_bench.probes import PROBES, PROBES_FILE, TABLE_FILE, configured, read_probes
from microg_bench.probes import probe as ask
from microg_bench.progress import Progress
from microg_bench.runs.preview import preview

app = typer.Typer(rich_markup_mode="markdown", add_completion=False)

# What a probe sets itself, or cannot do.
OPTIONS = [name for name in (*ASKING, *SCORING) if name not in ("transforms", "batch", "shard")]

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
    yes: Yes = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be asked and what it costs; ask nothing.")
    ] = False,
    **given: Any,
) -> None:
    """Ask a model again with changed frames, and compare its answers with those to the frames as they are.

    Conditions share the engine and the decoding of each clip. The result is a table with a verdict for each.
    """
    options = {name: value for name, value in given.items() if value is not None}
    model, tasks = options.pop("model", ""), options.pop("tasks", ("caption", "vqa"))
    data = options.pop("data", None)
    if dry_run:
        found = configured(model, data, tasks, read_probes(probes), options, Progress())
        output().print("\n\n".join(f"{label}\n{preview(one)}" for label, one in found.items()))
        return
    with interruptible():
        asked = ask(model, data, tasks, probes=probes, run=run, yes=yes, **options)
    files = [str(asked.folder / name) for name in (TABLE_FILE, PROBES_FILE)]
    output().print("\n".join([asked.table(), *files]))
    finish(asked.results.values())
