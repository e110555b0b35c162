"""`microg-bench measure`: what does a model take on the computer that it would run on?"""

from pathlib import Path
from typing import Annotated, Any

import typer

from microg_bench.cli.console import AsJson, interruptible, left_out, output, print_json
from microg_bench.cli.options import with_options
from microg_bench.costs import CLIPS, OPTIONS
from microg_bench.costs import measure as measure_runs
from microg_bench.errors import MicrogError
from microg_bench.runs.cost import COST_FILE
from microg_bench.tables.gather import read_scored
from microg_bench.tables.on_board import on_board_tables, to_markdown

app = typer.Typer(rich_markup_mode="markdown", add_completion=False)

EPILOG = """Examples:

    microg-bench measure runs/qwen2.5-vl-microg-4m-1a2b3c

    microg-bench measure runs/qwen2.5-vl-microg-4m-1a2b3c/vqa --sample 50 --data MicroG-4M
"""


@app.command("measure", epilog=EPILOG)
@with_options(OPTIONS)
def measure(
    run: Annotated[Path, typer.Argument(help="A scored run, or a folder of runs at any depth.")],
    sample: Annotated[
        int, typer.Option(help="Clips that are asked about, after one to warm up.", min=1)
    ] = CLIPS,
    as_json: AsJson = False,
    **given: Any,
) -> None:
    """Measure what a model takes on this machine: time to the first token, tokens a second, memory.

    The requests of a few clips of the run are asked one at a time, as a computer on board would. The answers
    are not kept. Only models whose weights run on this machine can be measured, by vllm or transformers. Of a
    folder the runs that cannot be measured are named and left out; the command ends with 1 where none can.
    """
    options = {name: value for name, value in given.items() if value is not None}
    errors: list[MicrogError] = []
    with interruptible("what was measured before"):
        found = measure_runs(run, sample, left_out=errors.append, **options)
    if as_json:
        print_json({str(path): one.model_dump(mode="json", by_alias=True) for path, one in found.items()})
    elif found:
        tables, unread = on_board_tables(read_scored(path) for path in found)
        files = [str(path / COST_FILE) for path in found]
        output().print("\n".join([*map(to_markdown, tables), *files]))
        errors += unread
    left_out(errors)
    if not found:
        raise typer.Exit(1)
