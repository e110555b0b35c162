"""`microg-bench har`: models of action recognition, scores of detections, the action annotations."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from microg_bench.actions import ActionFacts
from microg_bench.cli import conversion, training
from microg_bench.cli.console import (
    WIDTH,
    AsJson,
    columns,
    interruptible,
    messages,
    note,
    noted,
    output,
    print_json,
    unscored,
)
from microg_bench.cli.options import LabelMapOption
from microg_bench.dataset.labels import DEFAULT
from microg_bench.errors import RunError, UsageError
from microg_bench.har import (
    GroundTruth,
    evaluate,
    read_detections,
    read_ground_truth,
    read_label_map,
    read_recipe,
)
from microg_bench.har.recipe import MAX_SEED, MODELS
from microg_bench.har.zoo import read_zoo
from microg_bench.progress import RichProgress
from microg_bench.scorecard import (
    Scorecard,
)
from microg_bench.storage import write_json, write_text
from microg_bench.text import many, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from microg_bench.har.runs import Recognition


def _examples(*commands: str) -> str:
    """What ends the help of a verb."""
    return "\n\n".join(["Examples:", *(f"    microg-bench har {command}" for command in commands)])


app = typer.Typer(
    help="Recognise human actions with the models of the paper, score detections, convert annotations.",
    epilog=_examples(
        "models",
        "train --model SLOWONLY_4x16_R50 --data microg-4m --run trained",
        "run --model SLOWONLY_4x16_R50 --checkpoint trained/best.safetensors --data microg-4m",
        "report actions/SLOWONLY_4x16_R50.fixed.test --data microg-4m",
    ),
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
)
ModelOption = Annotated[str, typer.Option("--model", help="A model that `har models` lists.")]
CheckpointOption = Annotated[
    str,
    typer.Option(
        "--checkpoint", help="Weights: a file, or a name that `har models` lists.", metavar="FILE|NAME"
    ),
]
RecipeOption = Annotated[
    Literal["fixed", "paper"],
    typer.Option("--recipe", help="As it was meant, or as the authors ran it, with its faults."),
]
DataOption = Annotated[
    str | None,
    typer.Option(
        "--data", help="Dataset: sample, microg-4m or a folder.", show_default="as fetched, else sample"
    ),
]
SplitOption = Annotated[
    Literal["train", "val", "test", "all"] | None,
    typer.Option("--split", help="Part of the annotations, as published.", show_default="test"),
]
BoxesOption = Annotated[
    Path | None,
    typer.Option(
        "--boxes", help="Boxes to look at, a table in AVA's layout.", show_default="the annotations"
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard", help="One part of the clips, K/N; `runs merge` joins the parts.", show_default="all in one"
    ),
]
RunOption = Annotated[
    Path | None,
    typer.Option(
        "--run", help="Folder to work in, and to resume.", show_default="actions/MODEL.RECIPE.SPLIT"
    ),
]
DeviceOption = Annotated[
    str | None, typer.Option("--device", help="Torch device.", show_default="a GPU where there is one")
]
BatchOption = Annotated[
    int, typer.Option("--batch", min=1, help="Clips at a time; halved where memory is short.")
]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="Processes that decode.")]
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


@app.command(
    epilog=_examples(
        "score --detections X3D_L.test.csv.xz --groundtruth groundtruth_test.csv.xz",
        "score --detections a.csv b.csv --groundtruth groundtruth_test.csv.xz --out scores.json",
    )
)
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
    as_json: AsJson = False,
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
    if as_json:
        print_json([card.to_json() for card in cards])
        return
    _show(cards)


def _show(cards: Sequence[Scorecard]) -> None:
    tables = _output()
    for card in cards:
        tables.print(_heading(_facts(card)), _actions(_facts(card)), sep="\n")
    note(*(f"warning: {line}" for line in _warnings(cards)), style="yellow")
    tables.print(_summary(cards))


def _output() -> Console:
    console = output()
    if not sys.stdout.isatty():
        console.width = WIDTH  # a pipe or file has no width of its own
    return console


def _facts(card: Scorecard) -> ActionFacts:
    return cast(ActionFacts, card.har)  # `har.evaluate` sets it


def _heading(facts: ActionFacts) -> str:
    counts = facts.counts
    return (
        f"\n{printable(facts.detections)}: {many(counts['boxes'], 'box')} in "
        f"{many(counts['frames'], 'frame')} of {many(counts['videos'], 'video')}"
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


@app.command(
    epilog=_examples(
        "models",
        "models | grep X3D",
    )
)
def models() -> None:
    """List the models: what they are shown, their weights, and the faults of the published rows."""
    right = ("parameters", "frames", "every", "side")
    table = columns("model", *right, "pretrained", "recipe", right=right)
    faulty: dict[str, list[str]] = {}
    for recipe in (read_recipe(model, name) for model in MODELS for name in ("fixed", "paper")):
        given = recipe.input
        numbers = (f"{recipe.parameters / 1e6:.2f} M", given.frames, given.rate, given.short_side)
        table.add_row(recipe.model, *map(str, numbers), recipe.pretrained, recipe.recipe)
        for fault in recipe.faults:
            faulty.setdefault(fault, []).append(recipe.model)
    faults = columns("what was not as meant in published rows", "models")
    for fault, names in sorted(faulty.items(), key=lambda pair: len(pair[1])):
        faults.add_row(fault, ", ".join(names))
    weights = columns("weights", "trained on", "outputs", right=("outputs",))
    for name, entry in read_zoo().items():
        weights.add_row(name, entry.trained_on, str(entry.classes))
    _output().print(table, weights, faults, sep="\n")


@app.command(
    epilog=_examples(
        "predict --model X3D_L --checkpoint best.safetensors --data microg-4m",
        "predict --model X3D_L --checkpoint best.safetensors --boxes boxes.csv --out X3D_L.csv",
    )
)
def predict(
    model: ModelOption,
    checkpoint: CheckpointOption,
    recipe: RecipeOption = "fixed",
    data: DataOption = None,
    split: SplitOption = None,
    boxes: BoxesOption = None,
    shard: ShardOption = None,
    run: RunOption = None,
    out: Annotated[Path | None, typer.Option(help="Write the detections, CSV, here as well.")] = None,
    label_map: LabelMapOption = DEFAULT,
    device: DeviceOption = None,
    batch: BatchOption = 8,
    workers: WorkersOption = 2,
) -> None:
    """Look at the boxes of key frames with a model; write the logits of their actions for `har score`.

    The same command resumes what was interrupted.
    """
    found = _recognise(locals())
    if out is not None and training.is_first():
        write_text(out, found.path.read_text())
    show_detections(found, out)


@app.command(
    "run",
    epilog=_examples(
        "run --model SLOWONLY_4x16_R50 --checkpoint trained/best.safetensors --data microg-4m",
        "run --model SLOWONLY_8x8_R50 --recipe paper --checkpoint ava/SLOW_4x16_R50 --data microg-4m",
    ),
)
def run_(
    model: ModelOption,
    checkpoint: CheckpointOption,
    recipe: RecipeOption = "fixed",
    data: DataOption = None,
    split: SplitOption = None,
    boxes: BoxesOption = None,
    shard: ShardOption = None,
    run: RunOption = None,
    label_map: LabelMapOption = DEFAULT,
    device: DeviceOption = None,
    batch: BatchOption = 8,
    workers: WorkersOption = 2,
) -> None:
    """Predict as `har predict` does, and score; `tables --har` takes the scorecard."""
    found = _recognise(locals(), scored=True)
    if shard is None:
        show_scores(found)
    else:
        note(unscored(shard, found.folder.parent))
        show_detections(found)


@app.command(
    epilog=_examples(
        "train --model SLOWONLY_4x16_R50 --data microg-4m --run trained --dry-run",
        "train --model X3D_S --train-boxes train.csv --val-boxes val.csv --data clips --run trained",
    )
)
def train(
    model: ModelOption,
    run: Annotated[Path, typer.Option(help="Folder to train in, and to resume.")],
    recipe: RecipeOption = "fixed",
    data: DataOption = None,
    train_boxes: Annotated[
        Path | None,
        typer.Option(
            help="Boxes with actions to train on, a table in AVA's layout.",
            show_default="the published split",
        ),
    ] = None,
    val_boxes: Annotated[
        Path | None,
        typer.Option(
            help="The same for evaluation; without it, what --train-boxes gives is not evaluated.",
            show_default="the published split",
        ),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            help="Weights to start from: a file, a name that `har models` lists, or none.",
            show_default="the recipe's",
            metavar="FILE|NAME|none",
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="How many.", show_default="the recipe's")] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Clips that a device is given at a time, of those of a step.",
            show_default="the recipe's",
        ),
    ] = None,
    precision: Annotated[
        Literal["no", "fp16", "bf16"] | None,
        typer.Option(help="Mixed precision.", show_default="the recipe's"),
    ] = None,
    weigh_actions: Annotated[
        bool | None,
        typer.Option(
            "--weigh-actions", help="Let a true action count more the rarer it is.", show_default="off"
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=MAX_SEED, help="Of order, crops and dropout.", show_default="the recipe's"),
    ] = None,
    label_map: LabelMapOption = DEFAULT,
    cpu: Annotated[bool, typer.Option("--cpu", help="Leave GPUs alone.")] = False,
    workers: WorkersOption = 2,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Take one step and tell what all would take; write nothing.")
    ] = False,
) -> None:
    """Train a model on the training split, and keep the weights of the epoch with the best validation mAP.

    The same command resumes what was interrupted. Start it by `accelerate launch -m microg_bench har train`
    to use several GPUs.
    """
    given = {name: value for name, value in locals().items() if name not in ("run", "label_map", "dry_run")}
    training.train(run, read_label_map(label_map), dry_run=dry_run, **given)


def show_detections(found: Recognition, path: Path | None = None) -> None:
    """Say where predictions are."""
    _end(found, f"detections: {path or found.path}")


def show_scores(found: Recognition) -> None:
    """Score predictions, and print and write the scores."""
    path = found.folder / "scorecard.json"
    if training.is_first():
        card = found.scorecard()
        write_json(path, card.to_json())
        _show([card])
    _end(found, f"scorecard: {path}")


def _recognise(given: dict[str, Any], *, scored: bool = False) -> Recognition:
    from microg_bench import har

    labels = read_label_map(given.pop("label_map"))
    given = {name: value for name, value in given.items() if name != "out" and value is not None}
    with interruptible("every key frame"), RichProgress() as progress:
        return har.recognise(**given, labels=labels, progress=progress, scored=scored)


def _end(found: Recognition, said: str) -> None:
    """Say where the results are; what failed ends the process with a non-zero status."""
    if training.is_first():
        noted(*found.key_frames.notes)
        output().print(printable(said))
    if found.failed:
        raise RunError(f"{found.failed:,} of {len(found.key_frames):,} key frames failed", path=found.folder)


@app.command(
    epilog=_examples(
        "convert --boxes bounding_boxes.csv --actions actions.csv --videos videos --out ava",
        "convert --boxes bounding_boxes.csv --actions actions.csv --videos videos --by-source --out apart",
        "convert --keyframes ava/keyframe_boxes.csv --size 854x480 --out boxes",
    )
)
def convert(
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    boxes: Annotated[Path | None, typer.Option(help="The published bounding_boxes.csv.")] = None,
    actions: Annotated[Path | None, typer.Option(help="The published actions.csv.")] = None,
    keyframes: Annotated[
        list[Path] | None, typer.Option(help="Files of AVA's layout, to be converted back; may be repeated.")
    ] = None,
    videos: Annotated[Path | None, typer.Option(help="Folder of the videos; gives their sizes.")] = None,
    size: Annotated[str | None, typer.Option(help="Size of all videos, e.g. 854x480.")] = None,
    by_source: Annotated[
        bool, typer.Option("--by-source", help="Keep the clips of a source video in one part of the split.")
    ] = False,
    label_map: LabelMapOption = DEFAULT,
) -> None:
    """Convert boxes and actions to AVA's layout with the published split, or key frames back."""
    if by_source and keyframes:
        raise UsageError("is for --boxes and --actions", item="--by-source")
    if (boxes is None) != (actions is None) or (boxes is None) == (not keyframes):
        raise UsageError("give either --boxes and --actions, or --keyframes")
    labels, sizes = read_label_map(label_map), conversion.frame_sizes(videos, size)
    if boxes is None or actions is None:
        tables, lines = conversion.key_frames_back(keyframes or [], sizes, labels)
    else:
        tables, lines = conversion.annotations_to_ava(boxes, actions, sizes, labels, by_source=by_source)
    for name, rows in tables.items():
        write_text(out / name, rows.write_csv(include_header=not name.startswith("ava_")))
    output().print("\n".join([*lines, f"written to {out}"]))


@app.command(
    epilog=_examples(
        "report actions/SLOWONLY_4x16_R50.fixed.test --data microg-4m",
        "report trained ava --data microg-4m --out pages/actions",
    )
)
def report(
    runs: Annotated[list[Path], typer.Argument(help="Runs of `har run` on the same key frames.")],
    data: DataOption = None,
    boxes: BoxesOption = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder of the page.", show_default="`report` in the first run")
    ] = None,
    label_map: LabelMapOption = DEFAULT,
) -> None:
    """Write a page with key frames, true and predicted actions, and the errors, of runs side by side."""
    from microg_bench.pages.actions_page import write_actions_page

    labels, out = read_label_map(label_map), out or runs[0] / "report"
    with RichProgress() as progress:
        page = write_actions_page(runs, data, boxes=boxes, labels=labels, out=out, progress=progress)
    output().print(printable(str(page)))
