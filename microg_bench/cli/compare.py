"""`microg-bench compare`: is one run really better than another, and where?"""

from __future__ import annotations

from pathlib import Path
from string import ascii_uppercase
from typing import Annotated

import typer
from rich.table import Table

from microg_bench.cli.show import output, printable
from microg_bench.errors import UsageError
from microg_bench.leaderboard.compare import Comparison, Scored, compare, most_different, read_scored
from microg_bench.runs.folder import read_state


def compare_runs(
    runs: Annotated[list[Path], typer.Argument(help="Two or more scored runs of one task.")],
    by: Annotated[str, typer.Option(help="Metric by which the most different items are chosen.")] = "ROUGE-L",
    show: Annotated[int, typer.Option(help="How many of the most different items to show.", min=0)] = 5,
) -> None:
    """Compare runs item by item: differences with 95% interval and p-value, and where they differ most.

    Source videos are resampled, and exchanged for the p-value, as wholes; p is corrected by Holm's method
    over the pairs of runs.
    """
    if not 2 <= len(set(runs)) == len(runs) <= len(ascii_uppercase):
        raise UsageError(f"give two to {len(ascii_uppercase)} different runs to compare")
    scored = [read_scored(path) for path in runs]
    found = compare(scored)
    letters = {run.path: letter for run, letter in zip(scored, ascii_uppercase, strict=False)}
    output().print("\n".join(f"{letters[run.path]}  {run.title}  {run.path}" for run in scored) + "\n")
    output().print(_table(found, letters))
    if show and len(scored) == 2:
        output().print("\n".join(_contrasts(scored[0], scored[1], by, show)))


def _table(found: list[Comparison], letters: dict[Path, str]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("metric", "pair", "difference", "95% interval", "p", "p (Holm)"):
        table.add_column(column, justify="left" if column in ("metric", "pair") else "right")
    for one in found:
        change, pair = one.difference, f"{letters[one.first.path]} − {letters[one.second.path]}"
        bounds = "" if change.low is None else f"{change.low:+.2f} to {change.high:+.2f}"
        p, corrected = ("" if p is None else f"{p:.4f}" for p in (change.p, one.corrected))
        table.add_row(one.metric, pair, f"{change.value:+.2f}", bounds, p, corrected)
    return table


def _contrasts(first: Scored, second: Scored, metric: str, count: int) -> list[str]:
    answers = [read_state(run.path).answers for run in (first, second)]
    lines = [f"\nitems that differ most by {metric}:"]
    for item in most_different(first, second, metric, count):
        lines.append(f"\n{item.id}: A {item.first:.2f}, B {item.second:.2f}")
        lines += [
            f"  {name}: {printable(said[item.id].answer)}" for name, said in zip("AB", answers, strict=True)
        ]
    return lines


def register(app: typer.Typer) -> None:
    """Add the verb to `app`."""
    app.command("compare", epilog="Example:  `microg-bench compare runs/a/vqa runs/b/vqa --by S-VQA`")(
        compare_runs
    )
