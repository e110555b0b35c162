"""`microg-bench har`: score detections of human actions, or convert the action annotations."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from microg_bench.cli.show import errors_console, output, printable
from microg_bench.errors import UsageError
from microg_bench.files import write_json, write_text
from microg_bench.har import Report, evaluate, read_detections, read_ground_truth, read_label_map
from microg_bench.har.convert import Sizes, csv_text, from_ava, read_ava, read_sizes, to_ava
from microg_bench.har.labels import DEFAULT
from microg_bench.har.report import together

app = typer.Typer(
    help="Score detections of human actions, or convert their annotations.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
EPILOG = """Examples:

    microg-bench har score --detections X3D_L.test.csv.xz --groundtruth groundtruth_test.csv.xz

    microg-bench har convert --boxes bounding_boxes.csv --actions actions.csv --videos videos --out ava
"""
WIDTH = 160
LabelMapOption = Annotated[
    Path, typer.Option("--label-map", help="Actions, in AVA's text format.", show_default="MicroG-4M's 50")
]


@app.command(epilog=EPILOG)
def score(
    detections: Annotated[
        list[Path], typer.Option(help="Detections, CSV (.gz, .xz) or Parquet; give it again for more files.")
    ],
    groundtruth: Annotated[Path, typer.Option(help="Ground truth, CSV (.gz, .xz) or Parquet.")],
    more: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="More detections.")] = None,
    label_map: LabelMapOption = DEFAULT,
    out: Annotated[Path | None, typer.Option(help="Write the report, JSON, here.")] = None,
    by_clip: Annotated[
        bool, typer.Option("--by-clip", help="Resample clips for the intervals, not source videos.")
    ] = False,
) -> None:
    """Score detections as the paper does: mAP@0.5, F1, recall and AUROC, macro over actions."""
    labels = read_label_map(label_map)
    truth = read_ground_truth(groundtruth, labels)
    reports = []
    for path in [*detections, *(more or ())]:
        with errors_console().status(f"scoring {printable(path.name)}"):
            found = read_detections(path, labels)
            reports.append(evaluate(found, truth, labels, clusters="clip" if by_clip else "source"))
    if out is not None:
        write_json(out, together(reports))
    tables = _tables()
    for report in reports:
        tables.print(_heading(report), _actions(report), sep="\n")
    for warning in _warnings(reports):
        errors_console().print(f"warning: {printable(warning)}", style="yellow", markup=False, soft_wrap=True)
    tables.print(_summary(reports))


def _tables() -> Console:
    """Where tables go; a pipe or file has no width of its own, so that theirs is set."""
    return Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False, markup=False, emoji=False)


def _heading(report: Report) -> str:
    counts = report.counts
    return (
        f"\n{printable(report.detections)}: {counts['boxes']:,} boxes in {counts['frames']:,} frames of"
        f" {counts['videos']:,} videos"
    )


def _actions(report: Report) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("id", justify="right")
    table.add_column("action")
    for name in ("examples", "AP", "F1", "recall", "AUROC"):
        table.add_column(name, justify="right")
    for row in report.actions:
        scores = [_number(value) for value in (row.AP, row.F1, row.recall, row.AUROC)]
        table.add_row(str(row.id), printable(row.name), f"{row.examples:,}", *scores)
    return table


def _summary(reports: list[Report]) -> Table:
    facts = reports[0].interval
    kind = "source videos" if facts.clusters == "source" else "clips"
    caption = f"in %; 95% intervals: {facts.resamples:,} resamples of {facts.cluster_count:,} {kind}"
    table = Table(box=None, pad_edge=False, caption=caption, caption_justify="left")
    table.add_column("detections")
    for name in (*reports[0].scores, "mAP over ties"):
        table.add_column(name, justify="right")
    for report in reports:
        scores = [f"{_number(one.value)} ({_range(one.interval)})" for one in report.scores.values()]
        table.add_row(printable(report.detections), *scores, _range(report.mAP_over_ties))
    return table


def _warnings(reports: list[Report]) -> list[str]:
    """Each warning once, with the files that it is about, unless it is about all."""
    files: dict[str, list[str]] = {}
    for report in reports:
        for line in report.warnings:
            files.setdefault(line, []).append(report.detections)
    return [
        line if len(names) == len(reports) else f"{', '.join(names)}: {line}" for line, names in files.items()
    ]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _range(bounds: tuple[float, float] | None) -> str:
    return "–" if bounds is None else f"{bounds[0]:.2f} to {bounds[1]:.2f}"


@app.command(epilog=EPILOG)
def convert(
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    boxes: Annotated[Path | None, typer.Option(help="The published bounding_boxes.csv.")] = None,
    actions: Annotated[Path | None, typer.Option(help="The published actions.csv.")] = None,
    keyframes: Annotated[
        list[Path] | None, typer.Option(help="Files of AVA's layout, to be converted back; may be repeated.")
    ] = None,
    videos: Annotated[Path | None, typer.Option(help="Folder of the videos; tells their sizes.")] = None,
    size: Annotated[str | None, typer.Option(help="Size of all videos, e.g. 854x480.")] = None,
    label_map: LabelMapOption = DEFAULT,
) -> None:
    """Convert boxes and actions to AVA's layout with the published split, or key frames back."""
    if (boxes is None) != (actions is None) or (boxes is None) == (not keyframes):
        raise UsageError("give either --boxes and --actions, or --keyframes")
    labels, sizes = read_label_map(label_map), _sizes(videos, size)
    if boxes is None or actions is None:
        pixels, named = from_ava(read_ava(keyframes or [], labels), sizes)
        texts = {"bounding_boxes.csv": csv_text(pixels, True), "actions.csv": csv_text(named, True)}
        lines = [f"bounding_boxes.csv  {pixels.height:,} rows", f"actions.csv         {named.height:,} rows"]
    else:
        ava = to_ava(boxes, actions, sizes, labels)
        parts = ava.split()
        texts = {"keyframe_boxes.csv": csv_text(ava.rows, True)}
        texts |= {f"ava_{part}.csv": csv_text(rows, False) for part, rows in parts.items()}
        lines = [
            f"{f'ava_{part}.csv':<20}{rows.height:,} rows, {rows['video_id'].n_unique():,} videos"
            for part, rows in parts.items()
        ]
        lines.append(
            f"{ava.actions_without_box:,} actions of {ava.persons_without_box:,} persons have no box"
        )
    for name, text in texts.items():
        write_text(out / name, text)
    output().print("\n".join([*lines, f"written to {out}"]))


def _sizes(videos: Path | None, size: str | None) -> Sizes:
    """Where the sizes of the frames come from.

    Raises:
        UsageError: neither or both are given, or the size is not WIDTHxHEIGHT.
    """
    if (videos is None) == (size is None):
        raise UsageError("boxes are in pixels: give either --videos FOLDER or --size WIDTHxHEIGHT")
    if videos is not None:
        with errors_console().status(f"reading the sizes of the videos in {videos}"):
            return read_sizes(videos)
    pattern = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", size or "")
    if pattern is None:
        raise UsageError(f"--size {size}: give WIDTHxHEIGHT in pixels, e.g. 854x480")
    return Sizes(usual=(int(pattern[1]), int(pattern[2])))
