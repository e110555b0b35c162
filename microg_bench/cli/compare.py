"""`microg-bench compare`: is one run really better than another, and where?"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from string import ascii_uppercase
from typing import Annotated, Any

import typer
from rich.table import Table

from microg_bench.cli.console import AsJson, columns, output, print_json
from microg_bench.errors import UsageError
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import IntervalEntry
from microg_bench.scoring.compare import (
    Comparison,
    comparable,
    compare,
    most_different,
    other_clips,
    other_inputs,
)
from microg_bench.scoring.intervals import LEVEL, METHOD, RESAMPLES, smallest_p, tries_of
from microg_bench.tasks import TASKS
from microg_bench.text import listed, printable

app = typer.Typer(rich_markup_mode="markdown", add_completion=False)


@app.command("compare", epilog="Example:  `microg-bench compare runs/a runs/b --by S-VQA`")
def compare_runs(
    runs: Annotated[list[Path], typer.Argument(help="Two or more scored runs, or folders with both tasks.")],
    by: Annotated[str, typer.Option(help="Metric by which the most different items are chosen.")] = "ROUGE-L",
    show: Annotated[int, typer.Option(help="How many of the most different items to show.", min=0)] = 5,
    as_json: AsJson = False,
) -> None:
    """Compare runs item by item: differences with 95% interval and p-value, and where they differ most.

    Source videos are resampled, and exchanged for the p-value, as wholes; p is corrected by Holm's method
    over the pairs of runs.
    """
    if len(runs) > len(ascii_uppercase):
        raise UsageError(f"give at most {len(ascii_uppercase)} runs to compare")
    if as_json:
        return print_json(
            [comparison_json(one) for records in comparable(runs).values() for one in compare(records)]
        )
    for task, records in comparable(runs).items():
        found = compare(records)
        letters = dict(zip((record.path for record in records), ascii_uppercase, strict=False))
        lines = [f"{letters[one.path]}  {printable(one.scorecard.title)}  {one.path}" for one in records]
        output().print("\n".join([TASKS[task].title, *lines, ""]))
        output().print(difference_table(found, letters))
        output().print("\n".join([*difference_notes(found, letters), *_remarks(records, letters)]))
        if show and len(records) == 2:
            output().print("\n".join(_contrasts(records, by, show)))
        output().print()


def comparison_json(one: Comparison) -> dict[str, Any]:
    """A comparison of two runs, as JSON."""
    return {
        "task": one.first.settings.task,
        "metric": one.metric,
        "first": str(one.first.path),
        "second": str(one.second.path),
        "difference": one.difference.value,
        "interval": one.difference.interval,
        "p": one.difference.p,
        "p_holm": one.corrected,
        "sources": one.difference.clusters,
    }


def _pair(one: Comparison, letters: dict[Path, str]) -> str:
    return f"{letters[one.first.path]} − {letters[one.second.path]}"


def difference_notes(found: Sequence[Comparison], letters: dict[Path, str]) -> Iterator[str]:
    """What intervals and p-values rest on; all have the same source videos."""
    count = found[0].difference.clusters
    how = IntervalEntry(
        method=METHOD, level=LEVEL, clusters="source", cluster_count=count, resamples=RESAMPLES, seed=0
    )
    differences = {f"{one.metric} {_pair(one, letters)}": one.difference for one in found}
    yield from how.notes({name: one.interval for name, one in differences.items()})
    if count > 1:
        tries = tries_of(len({(one.first.path, one.second.path) for one in found}))
        yield f"p: exchanges of {count} source videos, never below {smallest_p(count, tries):.4f}"


def _remarks(records: Sequence[RunRecord], letters: dict[Path, str]) -> Iterator[str]:
    """What a reader must know of the answers that are compared, and which clips or inputs were others."""
    for record in records:
        yield from (f"{letters[record.path]}: {printable(line)}" for line in record.scorecard.remarks())
    for first, second in combinations(records, 2):
        pair = f"{letters[first.path]} and {letters[second.path]}"
        if clips := other_clips(first, second):
            yield f"{pair} were shown other files of {len(clips):,} clips: {listed(clips)}"
        if requests := other_inputs(first, second):
            of = f"{len(requests):,} requests: {listed(requests)}"
            yield f"{pair} have inputs of other sizes, by the tokens of the prompts of {of}"


def difference_table(found: Sequence[Comparison], letters: dict[Path, str]) -> Table:
    """A row for each pair of runs under each score; `letters` name the runs by their paths."""
    right = ("difference", "95% interval", "p", "p (Holm)")
    table = columns("metric", "pair", *right, right=right)
    for one in found:
        change, pair = one.difference, _pair(one, letters)
        bounds = " to ".join(f"{bound:+z.2f}" for bound in change.interval or ())
        p, corrected = ("" if p is None else f"{p:.4f}" for p in (change.p, one.corrected))
        table.add_row(one.metric, pair, f"{change.value:+z.2f}", bounds, p, corrected)
    return table


def _contrasts(records: Sequence[RunRecord], metric: str, count: int) -> list[str]:
    first, second = records
    lines = [f"\nitems that differ most by {metric}:"]
    for item in most_different(first, second, metric, count):
        lines.append(f"\n{item.id}: A {item.first:.2f}, B {item.second:.2f}")
        lines += [
            f"  {name}: {printable(record.answers[item.id].answer)}"
            for name, record in zip("AB", records, strict=True)
        ]
    return lines
