"""`microg-bench data`: check a dataset for faults, count what it holds, or fetch MicroG-4M."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from microg_bench.cli.show import errors_console, output, printable
from microg_bench.dataset import Report
from microg_bench.dataset import check as check_dataset
from microg_bench.dataset.fetch import fetch as fetch_dataset
from microg_bench.dataset.fetch import fetched_folder
from microg_bench.dataset.stats import Stats
from microg_bench.dataset.stats import stats as dataset_stats
from microg_bench.dataset.tally import Tally
from microg_bench.errors import MissingExtraError
from microg_bench.figures.sheet import draw_sheet
from microg_bench.files import write_json, write_text

app = typer.Typer(
    help="Check a dataset, count what it holds, or fetch MicroG-4M.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@app.command(
    epilog="Examples:  `microg-bench data check sample`  ·  `microg-bench data check MicroG-4M --json`"
)
def check(
    data: Annotated[str, typer.Argument(help="sample, microg-4m, a dataset folder or an annotation file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Look for everything that can be wrong with a dataset; exit status 1 if something is."""
    with Progress(console=errors_console(), transient=True) as progress:
        bar = progress.add_task("decoding videos", total=None, visible=False)
        report = check_dataset(
            data,
            on_start=lambda total: progress.update(bar, total=total, visible=total > 0),
            on_step=lambda: progress.advance(bar),
        )
    if as_json:
        output().print(json.dumps(report.model_dump(mode="json"), indent=2))
    else:
        output().print(_text(report))
    raise typer.Exit(1 if report.faults else 0)


def _text(report: Report) -> str:
    lines = [f"{name:<22} {count:,}" for name, count in report.counts.items()]
    spread = ", ".join(f"{clips:,} with {pairs}" for pairs, clips in report.pairs_per_clip.items())
    lines += [f"{'pairs a record':<22} {spread}", f"{'fingerprint':<22} {report.fingerprint}", ""]
    if not report.faults:
        return "\n".join([*lines, "nothing is wrong"])
    for kind, faults in groupby(
        sorted(report.faults, key=lambda fault: fault.kind), key=lambda fault: fault.kind
    ):
        found = list(faults)
        lines.append(f"{kind} ({len(found)})")
        lines += [f"  {fault.item}: {fault.detail}" for fault in found]
    return "\n".join([*lines, "", f"{len(report.faults)} faults"])


@app.command(
    epilog="Examples:  `microg-bench data stats --data microg-4m`  ·  "
    "`microg-bench data stats --data sample --out build/stats`"
)
def stats(
    data: Annotated[
        str | None, typer.Option(help="sample, microg-4m, a dataset folder or an annotation file.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write all tables (CSV, JSON) and the figure sheet (PNG, SVG) into this folder."),
    ] = None,
) -> None:
    """Count what a dataset holds: sources, lengths, question words, duplicates, actions, people.

    The figure sheet needs the extra plots.
    """
    found = dataset_stats(data)
    files = _write_stats(found, out) if out else []
    tables = "\n".join(_tally_text(tally) for tally in found.tallies.values() if not tally.detail)
    output().print(f"{printable(found.title)}\nfingerprint {found.fingerprint}\n\n{tables}")
    if out:
        output().print("\n".join([f"{len(found.tallies)} tables lie in {out}", *map(str, files)]))


def _tally_text(tally: Tally) -> str:
    rows = [[printable(str(value)) for value in row] for row in (tally.columns, *tally.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([tally.title, *(f"  {line}" for line in lines), ""])


def _write_stats(found: Stats, out: Path) -> list[Path]:
    """Write the tables, and the sheet if it can be drawn here; return the files of the sheet."""
    for name, tally in found.tallies.items():
        write_text(out / f"{name}.csv", tally.to_csv())
    write_json(out / "stats.json", found.to_json())
    try:
        return draw_sheet(found, out)
    except MissingExtraError as error:
        errors_console().print(f"no figure sheet: {error}", markup=False, soft_wrap=True)
        return []


@app.command(epilog="Example:  `microg-bench data fetch`")
def fetch(
    out: Annotated[Path | None, typer.Option(help="Folder to fetch to; default: the user's cache.")] = None,
    revision: Annotated[
        str | None, typer.Option(help="Commit on the hub; default: the one fetched before.")
    ] = None,
) -> None:
    """Download MicroG-4M from the Hugging Face hub; start it again to go on after an interruption."""
    target = out or fetched_folder()
    commit = fetch_dataset(target, revision, errors_console().print)
    output().print(f"MicroG-4M at {commit} lies in {target}; `microg-bench data check {target}` checks it")
