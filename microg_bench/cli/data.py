"""`microg-bench data`: check a dataset for faults, or fetch MicroG-4M."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from microg_bench.cli.show import errors_console, output
from microg_bench.dataset import Report
from microg_bench.dataset import check as check_dataset
from microg_bench.dataset.fetch import fetch as fetch_dataset
from microg_bench.dataset.fetch import fetched_folder

app = typer.Typer(
    help="Check a dataset, or fetch MicroG-4M.", no_args_is_help=True, rich_markup_mode="markdown"
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
