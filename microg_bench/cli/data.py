"""`microg-bench data`: check a dataset for faults, count what it holds, or fetch MicroG-4M."""

from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Annotated

import typer

from microg_bench.cli.console import AsJson, aligned, note, output, print_json
from microg_bench.dataset.check import DatasetReport
from microg_bench.dataset.check import check as check_dataset
from microg_bench.dataset.fetch import fetch as fetch_dataset
from microg_bench.dataset.frame_stats import with_frames
from microg_bench.dataset.load import fetched_folder
from microg_bench.dataset.stats import CountTable, Stats
from microg_bench.dataset.stats import stats as dataset_stats
from microg_bench.errors import DecodeError, MissingExtraError, UsageError
from microg_bench.persons.convert import read_parts
from microg_bench.plots.annotation import NO_CLIP, AnnotatedClip, draw_annotated_clip, find_annotated_clip
from microg_bench.plots.sheet import draw_sheet
from microg_bench.progress import RichProgress
from microg_bench.storage import write_json, write_text
from microg_bench.text import many, printable

app = typer.Typer(
    help="Check a dataset, count what it holds, or fetch MicroG-4M.",
    epilog="Examples:  `microg-bench data check sample`  ·  `microg-bench data fetch`",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
)


@app.command(
    epilog="Examples:  `microg-bench data check sample`  ·  `microg-bench data check MicroG-4M --json`"
)
def check(
    data: Annotated[str, typer.Argument(help="sample, microg-4m, a dataset folder or an annotation file.")],
    as_json: AsJson = False,
) -> None:
    """Look for everything that can be wrong with a dataset; exit status 1 if something is."""
    with RichProgress() as progress:
        report = check_dataset(data, progress)
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        output().print(_text(report))
    raise typer.Exit(1 if report.faults else 0)


def _text(report: DatasetReport) -> str:
    lines = [f"{name:<22} {count:,}" for name, count in report.counts.items()]
    spread = ", ".join(f"{clips:,} with {pairs}" for pairs, clips in report.pairs_per_clip.items())
    lines += [f"{'pairs a record':<22} {spread}", f"{'fingerprint':<22} {report.fingerprint}", ""]
    lines += [printable(f"note: {line}") for line in report.notes]
    if not report.faults:
        return "\n".join([*lines, "no faults"])
    kind_of = attrgetter("kind")
    for kind, faults in groupby(sorted(report.faults, key=kind_of), key=kind_of):
        found = [printable(f"  {fault.item}: {fault.detail}") for fault in faults]
        lines += [f"{kind} ({len(found)})", *found]
    return "\n".join([*lines, "", many(len(report.faults), "fault")])


@app.command(
    epilog="Examples:  `microg-bench data stats --data microg-4m`  ·  "
    "`microg-bench data stats --data sample --out build/stats`  ·  "
    "`microg-bench data stats --data microg-4m --frames --split ava`"
)
def stats(
    data: Annotated[
        str | None, typer.Option(help="sample, microg-4m, a dataset folder or an annotation file.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write all tables (CSV, JSON), the figure sheet and an annotated clip (PNG, SVG) here."
        ),
    ] = None,
    clip: Annotated[
        str | None,
        typer.Option(help="Which clip is drawn.", show_default="the first with two persons"),
    ] = None,
    frames: Annotated[
        bool, typer.Option("--frames", help="Compare frames of all clips too, which decodes each.")
    ] = False,
    split: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a split that har convert wrote: list clips that leak between its parts."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Count what a dataset holds: sources, lengths, question words, duplicates, actions, people.

    The figure sheet and the annotated clip need the extra plots, and --frames needs the extra curate.
    """
    if split is not None and not frames:
        raise UsageError("is compared by frames: give --frames too", item="--split")
    if clip is not None and out is None:
        raise UsageError("names the clip that is drawn: give --out too", item="--clip")
    found = dataset_stats(data)
    if frames:
        parts = read_parts(split) if split else None
        with RichProgress() as progress:
            found = with_frames(found, data, parts, progress)
    files = _write_stats(found, find_annotated_clip(data, clip), out, clip) if out else []
    if as_json:
        print_json(found.to_json())
        return
    tables = "\n".join(_table_text(table) for table in found.tables.values() if not table.detail)
    heading = [found.title, f"fingerprint {found.fingerprint}", *(f"note: {line}" for line in found.notes)]
    output().print("\n".join([*map(printable, heading), "", tables]))
    if out:
        output().print("\n".join([f"wrote {many(len(found.tables), 'table')} to {out}", *map(str, files)]))


def _table_text(table: CountTable) -> str:
    lines = aligned([[str(value) for value in row] for row in (table.columns, *table.rows)])
    return "\n".join([table.title, *(f"  {line}" for line in lines), ""])


def _write_stats(found: Stats, annotated: AnnotatedClip | None, out: Path, clip: str | None) -> list[Path]:
    """Write the tables, and the figures as far as they can be drawn here; return the files of these."""
    for name, table in found.tables.items():
        write_text(out / f"{name}.csv", table.to_csv())
    write_json(out / "stats.json", found.to_json())
    figures = {"figure sheet": partial(draw_sheet, found)}
    if annotated is None:
        lacking = f"{clip} lacks a video, a caption, questions, or a person with a box and an action"
        note(f"no annotated clip: {lacking if clip else NO_CLIP}")
    else:
        figures["annotated clip"] = partial(draw_annotated_clip, annotated)
    files = []
    for what, draw in figures.items():
        try:
            files += draw(out)
        except (MissingExtraError, DecodeError) as error:
            note(f"no {what}: {error}")
    return files


@app.command(epilog="Example:  `microg-bench data fetch`")
def fetch(
    out: Annotated[
        Path | None, typer.Option(help="Folder to fetch to.", show_default="the user's cache folder")
    ] = None,
    revision: Annotated[
        str | None,
        typer.Option(help="Commit on the hub.", show_default="the one fetched before, else newest"),
    ] = None,
) -> None:
    """Download MicroG-4M from the Hugging Face hub; start it again to go on after an interruption."""
    target = out or fetched_folder()
    with RichProgress() as progress:
        commit = fetch_dataset(target, revision, progress)
    output().print(f"MicroG-4M at {commit} is in {target}; `microg-bench data check {target}` checks it")
