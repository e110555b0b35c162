"""`microg-bench har`: score detections of human actions, or convert the action annotations."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from microg_bench.cli.console import columns, messages, note, output
from microg_bench.dataset.labels import DEFAULT
from microg_bench.errors import UsageError
from microg_bench.har import GroundTruth, evaluate, read_detections, read_ground_truth, read_label_map
from microg_bench.har.convert import Sizes, from_ava, read_ava, read_sizes, to_ava
from microg_bench.scorecard import ActionFacts, Scorecard
from microg_bench.storage import write_json, write_text
from microg_bench.text import printable

if TYPE_CHECKING:
    from rich.table import Table

EPILOG = """Examples:

    microg-bench har score --detections X3D_L.test.csv.xz --groundtruth groundtruth_test.csv.xz

    microg-bench har convert --boxes bounding_boxes.csv --actions actions.csv --videos videos --out ava
"""

app = typer.Typer(
    help="Score detections of human actions, or convert their annotations.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
)
WIDTH = 160
LabelMapOption = Annotated[
    Path, typer.Option("--label-map", help="Actions, in AVA's text format.", show_default="MicroG-4M's 50")
]
# Of the verbs that check submissions.
GroundTruthOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--groundtruth",
        help="Ground truth on which submissions of action recognition are scored again; give it again for "
        "another split. Without it their scores are unverified.",
        metavar="FILE",
    ),
]


def read_truths(paths: Sequence[Path] | None) -> list[GroundTruth]:
    """The ground truth in files, for the actions of MicroG-4M."""
    return [read_ground_truth(path, read_label_map()) for path in paths or ()]


@app.command(epilog=EPILOG)
def score(
    detections: Annotated[
        list[Path], typer.Option(help="Detections, CSV (.gz, .xz) or Parquet; give it again for more files.")
    ],
    groundtruth: Annotated[Path, typer.Option(help="Ground truth, CSV (.gz, .xz) or Parquet.")],
    more: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="More detections.")] = None,
    label_map: LabelMapOption = DEFAULT,
    out: Annotated[Path | None, typer.Option(help="Write the scorecards, JSON, here.")] = None,
    clusters: Annotated[
        Literal["source", "clip"], typer.Option(help="What the intervals resample: source videos or clips.")
    ] = "source",
) -> None:
    """Score detections as the paper does: mAP@0.5, F1, recall and AUROC, macro over actions."""
    labels = read_label_map(label_map)
    truth = read_ground_truth(groundtruth, labels)
    cards = []
    for path in [*detections, *(more or ())]:
        with messages().status(f"scoring {printable(path.name)}"):
            cards.append(evaluate(read_detections(path, labels), truth, labels, clusters=clusters))
    if out is not None:
        found = [card.to_json() for card in cards]
        write_json(out, found[0] if len(found) == 1 else found)
    tables = output()
    if not sys.stdout.isatty():
        tables.width = WIDTH  # a pipe or file has no width of its own
    for card in cards:
        tables.print(_heading(_facts(card)), _actions(_facts(card)), sep="\n")
    note(*(f"warning: {line}" for line in _warnings(cards)), style="yellow")
    tables.print(_summary(cards))


def _facts(card: Scorecard) -> ActionFacts:
    return cast(ActionFacts, card.har)  # `har.evaluate` sets it


def _heading(facts: ActionFacts) -> str:
    counts = facts.counts
    return (
        f"\n{printable(facts.detections)}: {counts['boxes']:,} boxes in {counts['frames']:,} frames of"
        f" {counts['videos']:,} videos"
    )


def _actions(facts: ActionFacts) -> Table:
    numbers = ("examples", "AP", "F1", "recall", "AUROC")
    table = columns("id", "action", *numbers, right=("id", *numbers))
    for row in facts.actions:
        scores = [_number(value) for value in (row.AP, row.F1, row.recall, row.AUROC)]
        table.add_row(str(row.id), printable(row.name), f"{row.examples:,}", *scores)
    return table


def _summary(cards: Sequence[Scorecard]) -> Table:
    names = (*cards[0].scores, "mAP over ties")
    table = columns("detections", *names, right=names)
    for card in cards:
        scores = [f"{_number(one.value)} ({_range(one.interval)})" for one in card.scores.values()]
        facts = _facts(card)
        table.add_row(printable(facts.detections), *scores, _range(facts.map_over_ties))
    if interval := cards[0].interval:
        kind = "source videos" if interval.clusters == "source" else "clips"
        table.caption = (
            f"in %; 95% intervals: {interval.resamples:,} resamples of {interval.cluster_count:,} {kind}"
        )
        table.caption_justify = "left"
    return table


def _warnings(cards: Sequence[Scorecard]) -> list[str]:
    """Each warning once, with the files that it is about, unless it is about all."""
    files: dict[str, list[str]] = {}
    for card in cards:
        for line in card.warnings:
            files.setdefault(line, []).append(_facts(card).detections)
    return [
        line if len(names) == len(cards) else f"{', '.join(names)}: {line}" for line, names in files.items()
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
    videos: Annotated[Path | None, typer.Option(help="Folder of the videos; gives their sizes.")] = None,
    size: Annotated[str | None, typer.Option(help="Size of all videos, e.g. 854x480.")] = None,
    label_map: LabelMapOption = DEFAULT,
) -> None:
    """Convert boxes and actions to AVA's layout with the published split, or key frames back."""
    if (boxes is None) != (actions is None) or (boxes is None) == (not keyframes):
        raise UsageError("give either --boxes and --actions, or --keyframes")
    labels, sizes = read_label_map(label_map), _sizes(videos, size)
    if boxes is None or actions is None:
        pixels, named = from_ava(read_ava(keyframes or [], labels), sizes)
        tables = {"bounding_boxes.csv": pixels, "actions.csv": named}
        lines = [f"{name:<20}{rows.height:,} rows" for name, rows in tables.items()]
    else:
        ava = to_ava(boxes, actions, sizes, labels)
        parts = {f"ava_{part}.csv": rows for part, rows in ava.split().items()}
        tables = {"keyframe_boxes.csv": ava.rows, **parts}
        lines = [
            f"{name:<20}{rows.height:,} rows, {rows['video_id'].n_unique():,} videos"
            for name, rows in parts.items()
        ]
        lines.append(
            f"{ava.actions_without_box:,} actions of {ava.persons_without_box:,} persons have no box"
        )
    for name, rows in tables.items():
        write_text(out / name, rows.write_csv(include_header=not name.startswith("ava_")))
    output().print("\n".join([*lines, f"written to {out}"]))


def _sizes(videos: Path | None, size: str | None) -> Sizes:
    """Where the sizes of the frames come from.

    Raises:
        UsageError: neither or both are given, or the size is not WIDTHxHEIGHT.
    """
    if (videos is None) == (size is None):
        raise UsageError("boxes are in pixels: give either --videos FOLDER or --size WIDTHxHEIGHT")
    if videos is not None:
        with messages().status(f"reading the sizes of the videos in {videos}"):
            return read_sizes(videos)
    pattern = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", size or "")
    if pattern is None:
        raise UsageError(f"{size}: give WIDTHxHEIGHT in pixels, e.g. 854x480", item="--size")
    return Sizes(usual=(int(pattern[1]), int(pattern[2])))
