"""`microg-bench runs`: list runs, show one, remove some, or join the shards of one."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from microg_bench.cli.console import (
    AsJson,
    aligned,
    interruptible,
    left_out,
    note,
    output,
    print_json,
    warn_of_doubts,
)
from microg_bench.cli.har import BoxesOption, show_detections, show_scores
from microg_bench.cli.options import SCORING, LabelMapOption, with_options
from microg_bench.cli.sweep import draw
from microg_bench.dataset.labels import DEFAULT, read_label_map
from microg_bench.errors import MicrogError
from microg_bench.har.merge import find_predictions, merge_predictions
from microg_bench.merges import configurations, merge_runs
from microg_bench.runs.agreement import disagreement, told_starts
from microg_bench.runs.configure import RUNS_FOLDER
from microg_bench.runs.listing import AnyRecord, RunSummary, details, list_runs, remove_run, summary
from microg_bench.runs.record import RUN_FILE, RunRecord, find_runs
from microg_bench.sweeps import SWEEP_FILE
from microg_bench.tables.markdown import scorecard_table
from microg_bench.text import listed, many, printable, visible

EPILOG = """Examples:

    microg-bench runs list

    microg-bench runs show runs/nearest-clip-sample-1a2b3c/vqa --json

    microg-bench runs rm runs/nearest-clip-sample-1a2b3c

    microg-bench runs merge runs/qwen --out runs/qwen-merged

    microg-bench runs merge runs/qwen/shard-1-of-2 runs/qwen/shard-2-of-2 --out runs/qwen-merged
"""


app = typer.Typer(
    help="List runs, show one, remove some, or join the shards of one.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
)


@app.callback()
def runs() -> None:
    """List runs, show one, remove some, or join the shards of one."""


@app.command("list", epilog=EPILOG)
def list_(
    folder: Annotated[Path, typer.Argument(help="Folder of runs, at any depth.")] = RUNS_FOLDER,
    as_json: AsJson = False,
) -> None:
    """List the runs in a folder: how far each is, when it was started, and its first score."""
    found, errors = list_runs(folder)
    if as_json:
        print_json([one.model_dump(mode="json") for one in found])
    else:
        names = ("run", "state", "answered", "score", "started")
        output().print("\n".join(aligned([names, *(tuple(_cells(one)) for one in found)])))
    left_out(errors)
    if _warn_of_outdated(found) or errors:
        raise typer.Exit(1)


def _warn_of_outdated(found: Iterable[RunSummary]) -> bool:
    """Say of each run whose scorecard is of other answers than its journal's what to do; whether any is."""
    outdated = [one.folder for one in found if one.state == "outdated"]
    for folder in outdated:
        note(f"{folder}: {disagreement(AnyRecord.read(Path(folder)))}", style="red")
    return bool(outdated)


def _cells(one: RunSummary) -> Iterator[str]:
    yield one.folder
    yield one.state
    of = "" if one.requests is None else f" of {one.requests:,}"
    yield f"{one.answered:,}{of}" + (f", {one.failed:,} failed" if one.failed else "")
    yield next((f"{name} {value:.2f}" for name, value in one.scores.items() if value is not None), "")
    yield (one.started or "")[:16].replace("T", " ")


@app.command(epilog=EPILOG)
def show(
    run: Annotated[Path, typer.Argument(help="A run folder, or one that holds runs.")],
    as_json: AsJson = False,
) -> None:
    """Show all that is known of a run but its answers: settings, starts, counts and scores."""
    records = list(map(AnyRecord.read, find_runs(run)))
    if as_json:
        print_json(list(map(details, records)))
    else:
        _show(records)
    if _warn_of_outdated(map(summary, records)):
        raise typer.Exit(1)


def _show(records: Iterable[RunRecord]) -> None:
    for record in records:
        lines = _lines(summary(record).model_dump(mode="json", exclude={"scores", "started", "last_started"}))
        lines += _lines(
            record.settings.model_dump(mode="json", exclude={"task", "title", "dataset", "engine"})
        )
        for number, start in enumerate(told_starts(record), 1):
            lines += [f"start {number}", *_lines(start, "  ")]
        output().print("\n".join(map(printable, lines)))
        if record.is_scored:
            output().print(scorecard_table([record.scorecard]), end="")


def _lines(values: Mapping[str, Any], indent: str = "") -> list[str]:
    """A line for each value that is there: its name and what it is, nested values as JSON."""
    told = ((name, one if isinstance(one, str) else json.dumps(one)) for name, one in values.items())
    return [f"{indent}{name:<18} {text}" for name, text in told if text not in ("null", "{}", "[]")]


@app.command(epilog=EPILOG)
def rm(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or folders that hold runs.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove without a question.")] = False,
) -> None:
    """Remove runs, with their answers, scores and pages. Their answers can only be had by asking again.

    A run that is being written, or that has requests in a batch, stays.
    """
    paths = list(dict.fromkeys(path for folder in runs for path in find_runs(folder)))
    kept = []
    for path in paths:
        try:
            record = AnyRecord.read(path)
            note(f"{path}: {record.settings.title}, {many(len(record.answers), 'answer')}")
        except MicrogError as error:
            note(visible(str(error)), style="red")
            if path not in runs:
                kept.append(path)
                note(f"{path} stays, for it is damaged: name it to remove it, `microg-bench runs rm {path}`")
    removed = [path for path in paths if path not in kept]
    if removed and not yes:
        typer.confirm(f"Remove {many(len(removed), 'run')}?", abort=True, err=True)
    for path in removed:
        remove_run(path)
        output().print(f"removed {path}")
    for above in dict.fromkeys(path.parent for path in removed):
        _tell_of_rest(above)
    if kept:
        raise typer.Exit(1)


def _tell_of_rest(folder: Path) -> None:
    """Name what is left in a folder that holds runs no more."""
    names = sorted(one.name for one in folder.iterdir()) if folder.is_dir() else []
    if names and folder.resolve() != Path.cwd() and not next(folder.rglob(RUN_FILE), None):
        note(f"{folder} holds no run any more, and stays with {listed(names)}")


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
