"""`microg-bench runs`: join the shards of a run."""

from pathlib import Path
from typing import Annotated, Any

import typer

from microg_bench.api import SWEEP_FILE
from microg_bench.cli.console import interruptible, output, warn_of_doubts
from microg_bench.cli.har import BoxesOption, show_detections, show_scores
from microg_bench.cli.options import SCORING, LabelMapOption, with_options
from microg_bench.cli.sweep import draw
from microg_bench.dataset.labels import DEFAULT, read_label_map
from microg_bench.har.merge import find_predictions, merge_predictions
from microg_bench.merges import configurations, merge_runs
from microg_bench.runs.record import RunRecord, find_runs
from microg_bench.tables.markdown import scorecard_table

EPILOG = """Examples:

    microg-bench runs merge runs/qwen --out runs/qwen-merged

    microg-bench runs merge runs/qwen/shard-1-of-2 runs/qwen/shard-2-of-2 --out runs/qwen-merged
"""


app = typer.Typer(
    help="Join the shards of a run.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
)


@app.callback()
def runs() -> None:
    """Join the shards of a run."""


@app.command(epilog=EPILOG)
@with_options(SCORING)
def merge(
    shards: Annotated[list[Path], typer.Argument(help="Folders of shards, or folders that hold them.")],
    out: Annotated[Path, typer.Option(help="Folder to write; there must be none yet.")],
    data: Annotated[
        str | None,
        typer.Option(
            help="sample, microg-4m, a dataset folder or an annotation file.",
            show_default="where the shards were started with it",
        ),
    ] = None,
    boxes: BoxesOption = None,
    label_map: LabelMapOption = DEFAULT,
    **given: Any,
) -> None:
    """Join the shards of a run into one, and score it: it equals the run of one start over all clips.

    Shards of `har predict` and `har run` are joined as well; `--boxes` and `--label-map` are theirs.
    """
    if find_predictions(shards):
        found = merge_predictions(shards, out, data, read_label_map(label_map), boxes)
        return (show_scores if found.key_frames.truth else show_detections)(found)
    with interruptible("every shard"):
        cards = merge_runs(*shards, out=out, data=data, **given)
    output().print("\n".join(scorecard_table([card]) for card in cards), end="")
    paths = find_runs(out)
    output().print("\n".join(map(str, paths)))
    if swept := configurations([RunRecord.read(path) for path in paths], out):
        output().print("\n".join(map(str, [out / SWEEP_FILE, *draw(swept, out)])))
    warn_of_doubts(dict(zip(map(str, paths), cards, strict=True)))
    if not all(card.complete for card in cards):
        raise typer.Exit(1)
