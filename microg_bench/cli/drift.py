"""`microg-bench drift`: does a model still answer as it did?"""

from pathlib import Path
from typing import Annotated, Any

import typer

from microg_bench.cli.console import AsJson, interruptible, output, print_json
from microg_bench.cli.options import with_options
from microg_bench.cli.run import Yes, finish
from microg_bench.drifts import DRIFT_FILE, OPTIONS, SAMPLE_SIZE
from microg_bench.drifts import drift as ask_again
from microg_bench.privacy import outgoing

app = typer.Typer(rich_markup_mode="markdown", add_completion=False)

EPILOG = """Examples:

    microg-bench drift runs/gpt-4o-microg-4m-1a2b3c --sample 100 --max-cost 1

    microg-bench drift runs/constant-sample-1a2b3c/vqa --run drift

The answers are those of an ordinary run, beside the old one by default; the same command resumes it.
"""


@app.command("drift", epilog=EPILOG)
@with_options(OPTIONS)
def drift(
    run_again: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or one with both tasks.")],
    sample: Annotated[int, typer.Option(help="Requests of each task that are asked.", min=1)] = SAMPLE_SIZE,
    seed: Annotated[int, typer.Option(help="Seed of the sample.")] = 0,
    run: Annotated[
        Path | None,
        typer.Option(help="Folder of the new run.", show_default="RUN-drift-DATE, beside RUN"),
    ] = None,
    yes: Yes = False,
    as_json: AsJson = False,
    **given: Any,
) -> None:
    """Ask a sample of a run's requests again, and compare the answers and their scores.

    Everything that moves an answer is as in the run: model, checkpoint, prompts, frames, generation settings.
    """
    options = {name: value for name, value in given.items() if value is not None}
    with interruptible():
        found = ask_again(run_again, sample, seed=seed, run=run, yes=yes, **options)
    if found and as_json:
        print_json(outgoing(found.report.model_dump(mode="json", by_alias=True)))
    elif found:
        output().print("\n".join([found.table(), str(found.folder / DRIFT_FILE)]))
    finish([found.results])
