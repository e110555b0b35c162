"""`microg-bench sweep`: one model under several prompts and numbers of frames, in one go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from microg_bench.cli import options as o
from microg_bench.cli.ask import finish, watched
from microg_bench.cli.score import make_scoring, score_runs
from microg_bench.cli.show import errors_console, output
from microg_bench.errors import MissingExtraError, UsageError
from microg_bench.figures.charts import draw_sweep
from microg_bench.files import write_text
from microg_bench.leaderboard.sweep import sweep_table
from microg_bench.runs.scorecard import Scorecard
from microg_bench.runs.settings import make_options
from microg_bench.runs.sweep import points, start_sweep

TABLE_FILE = "sweep.md"
# What a sweep varies itself, or cannot do.
OPTIONS = {
    name: kind for name, kind in o.ASKING.items() if name not in ("frames", "prompt", "batch")
} | o.SCORING

EPILOG = """Examples:

    microg-bench sweep --model qwen2.5-vl --frames 1,4,8,16 --run sweeps/frames

    microg-bench sweep --model nearest-clip --data sample --prompt default,plain --run sweeps/prompts
"""


def sweep(
    run: Annotated[Path, typer.Option(help="Folder of the sweep; a folder a point goes below it.")],
    frames: Annotated[str | None, typer.Option(help="Numbers of frames: 1,4,8,16.")] = None,
    prompt: Annotated[
        str | None, typer.Option(help="Names of prompts, or .toml files: default,plain.")
    ] = None,
    tasks: Annotated[str | None, typer.Option(help="Comma-separated: caption, vqa.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Spend money without asking first.")] = False,
    **given: Any,
) -> None:
    """Ask one model with every number of frames and every prompt; each clip is decoded once for all.

    The sweep ends in a table and, with the extra plots, in a chart.
    """
    options = make_options(o.read({**given, "tasks": tasks}))
    found = points(options, _numbers(frames), o.split(prompt) or (), run)
    scoring = make_scoring(options)
    outcome = watched(lambda watcher: start_sweep(found, run, watcher), yes)
    paths = [path for point in found for path in point.paths.values()]
    scored = iter(score_runs(paths, scoring, options.data, quiet=True))
    cards = {point.name: [next(scored) for _ in point.paths] for point in found}
    table = sweep_table(cards)
    write_text(run / TABLE_FILE, table)
    output().print("\n".join([table, *map(str, [run / TABLE_FILE, *_draw(cards, run)])]))
    finish(outcome, [card for own in cards.values() for card in own])


def _draw(cards: dict[str, list[Scorecard]], run: Path) -> list[Path]:
    try:
        return draw_sweep(cards, run)
    except MissingExtraError as error:
        errors_console().print(f"no chart: {error}", markup=False, soft_wrap=True)
        return []


def _numbers(text: str | None) -> list[int]:
    """Numbers of frames, taken apart."""
    try:
        return [int(number) for number in o.split(text) or ()]
    except ValueError:
        raise UsageError(f"--frames {text}: give numbers, such as 1,4,8,16") from None


def register(app: typer.Typer) -> None:
    """Add the verb to `app`."""
    app.command(epilog=EPILOG)(o.with_options(sweep, OPTIONS))
