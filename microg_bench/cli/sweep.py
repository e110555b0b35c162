"""`microg-bench sweep`: one model under several prompts and numbers of frames, in one go."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from microg_bench.cli.console import AsJson, interruptible, note, output, print_json, unscored
from microg_bench.cli.options import ASKING, SCORING, with_options
from microg_bench.cli.run import Yes, finish, runs_json
from microg_bench.errors import MissingExtraError, UsageError
from microg_bench.plots.charts import draw_sweep
from microg_bench.scorecard import Scorecard
from microg_bench.sweeps import SWEEP_FILE
from microg_bench.sweeps import sweep as run_sweep

app = typer.Typer(rich_markup_mode="markdown", add_completion=False)

# What a sweep varies itself, or cannot do.
OPTIONS = [name for name in (*ASKING, *SCORING) if name not in ("frames", "prompt", "batch")]

EPILOG = """Examples:

    microg-bench sweep --model qwen2.5-vl --frames 1,4,8,16 --run sweeps/frames

    microg-bench sweep --model nearest-clip --data sample --prompt default,plain --run sweeps/prompts
"""


@app.command("sweep", epilog=EPILOG)
@with_options(OPTIONS)
def sweep(
    run: Annotated[Path, typer.Option(help="Folder of the sweep; a folder a configuration goes below it.")],
    frames: Annotated[
        str | None, typer.Option(help="Numbers of frames: 1,4,8,16.", show_default="the adapter's")
    ] = None,
    prompt: Annotated[str, typer.Option(help="Names of prompts, or .toml files: default,plain.")] = "default",
    yes: Yes = False,
    as_json: AsJson = False,
    **given: Any,
) -> None:
    """Ask one model with every number of frames and every prompt; each clip is decoded once for all.

    The sweep ends in a table and, with the extra plots, in a chart.
    """
    prompts = [part.strip() for part in prompt.split(",") if part.strip()]
    options = {name: value for name, value in given.items() if value is not None}
    with interruptible():
        found = run_sweep(
            options.pop("model", ""), run=run, frames=_numbers(frames), prompts=prompts, yes=yes, **options
        )
    if as_json:
        print_json({name: runs_json(one) for name, one in found.items()})
    if shard := options.get("shard"):
        note(unscored(shard, run))
    else:
        charts = draw(found.cards(), found.folder)
    if not (shard or as_json):
        output().print("\n".join([found.table(), *map(str, [found.folder / SWEEP_FILE, *charts])]))
    finish(found.values(), scored=not shard)


def draw(cards: Mapping[str, Sequence[Scorecard]], folder: Path) -> list[Path]:
    """The charts of a sweep; a line says why there are none."""
    try:
        return draw_sweep(cards, folder)
    except MissingExtraError as error:
        note(f"no chart: {error}")
        return []


def _numbers(text: str | None) -> list[int]:
    """Numbers of frames, taken apart."""
    try:
        return [int(number) for number in (text or "").split(",") if number.strip()]
    except ValueError:
        raise UsageError(f"{text}: give numbers, such as 1,4,8,16", item="--frames") from None
