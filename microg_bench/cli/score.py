"""`microg-bench score`: score a run again, or a predictions file from elsewhere. Nothing is asked."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from microg_bench import api
from microg_bench.cli.console import AsJson, note, output, print_json, warn_of_doubts
from microg_bench.cli.options import SCORING, with_options
from microg_bench.errors import MicrogError, UsageError
from microg_bench.options import ScoringOptions, flag
from microg_bench.runs.record import find_runs
from microg_bench.scorecard import Scorecard
from microg_bench.storage import write_json
from microg_bench.tables.markdown import scorecard_table

app = typer.Typer(rich_markup_mode="markdown", add_completion=False)

PLOTS_FOLDER = "plots"
# Options of the encoders, by the metrics that have them.
ENCODER_OPTIONS = {
    ("S-BERT", "S-VQA"): ("sentence_model",),
    ("BERTScore",): ("bertscore_model", "bertscore_layers", "bertscore_idf", "bertscore_rescale"),
    ("S-BERT", "S-VQA", "BERTScore"): ("bf16", "device"),
}
MISUSED = 2  # the status of a command line that cannot be carried out as given

EPILOG = """Examples:

    microg-bench score runs/nearest-clip-sample-1a2b3c

    microg-bench score runs/nearest-clip-sample-1a2b3c --plots

    microg-bench score runs/my-model-sample-1a2b3c/vqa --reparse --model my_model.py

    microg-bench score --task vqa --predictions answers.json --data sample --out scorecard.json

Every score has a signature of all that moves it; compare scores only where signatures are alike. Tables show
the short form, `CIDEr|p:paper|n:1237|v:0.2.0`: p protocol, n items, v version, and for encoders
m model, l layers, d dtype. scorecard.json has all parts by name.
"""


@app.command("score", epilog=EPILOG)
@with_options(SCORING)
def score(
    run: Annotated[Path | None, typer.Argument(help="A run folder, or a folder of runs.")] = None,
    task: Annotated[str | None, typer.Option(help="Task of the predictions: caption or vqa.")] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(help="Predictions file: as published, exported, or of lmms-eval or VLMEvalKit."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="sample, microg-4m, a dataset folder or an annotation file.",
            show_default="where the run was started with it",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the scorecard here; that of a run is in its folder, too.")
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Score predictions though items are missing or unknown.")
    ] = False,
    reparse: Annotated[
        bool, typer.Option("--reparse", help="Parse the kept texts of a run again, with its edited adapter.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            help="The adapter to parse with, by its name or .py file.",
            show_default="the run's; a .py file must be given",
        ),
    ] = None,
    plots: Annotated[
        bool, typer.Option("--plots", help="Draw the scores into the run's folder; needs the extra plots.")
    ] = False,
    track: Annotated[
        str | None, typer.Option(help="Log the scores to mlflow, at $MLFLOW_TRACKING_URI.")
    ] = None,
    as_json: AsJson = False,
    **given: Any,
) -> None:
    """Score a run again without asking anything, or score a predictions file from elsewhere."""
    if (run is None) == (predictions is None):
        raise UsageError("give either a run folder, or --task, --predictions and --data")
    options = ScoringOptions.of(given)
    for metrics, names in ENCODER_OPTIONS.items():
        if options.metrics and not set(metrics) & set(options.metrics):
            what = f"these metrics: add {' or '.join(metrics)} to --metrics"
            _refuse(what, {flag(name): given[name] for name in names})
    if run is None:
        _refuse("predictions: give a run", {"--plots": plots, "--reparse": reparse, "--model": model})
    else:
        _refuse("a run: it has its own task and items", {"--task": task, "--allow-missing": allow_missing})
        _refuse(
            "several runs: their scorecards are in their folders", {"--out": out and len(find_runs(run)) > 1}
        )
        _refuse("scores alone: add --reparse", {"--model": model if not reparse else None})
    _check_extras(plots, track)
    found: dict[Path, Scorecard] = {}
    errors: list[MicrogError] = []
    if run is None:
        cards = api.score(predictions or Path(), task, data, allow_missing=allow_missing, **given)
    else:
        found, errors = api.score_runs(run, options, data, reparse=reparse, model=model)
        cards = list(found.values())
    if out is not None and cards:
        write_json(out, cards[0].to_json())
    _print(cards, list(found) if run else [None], as_json)
    warn_of_doubts(
        {str(path): card for path, card in zip(found if run else [predictions], cards, strict=True)}
    )
    if plots:
        files = _draw(found)
        note(*files) if as_json else output().print("\n".join(files))
    if track is not None:
        _log(cards)
    note(*dict.fromkeys(f"error: {error}" for error in errors), style="bold red")
    if errors or not all(card.complete for card in found.values()):
        raise typer.Exit(1)


def _print(cards: Sequence[Scorecard], folders: Sequence[Path | None], as_json: bool) -> None:
    if as_json:
        told = zip(folders, cards, strict=True)
        print_json([{"folder": path and str(path), "scorecard": card.to_json()} for path, card in told])
    else:
        output().print("\n".join(scorecard_table([card]) for card in cards), end="")


def _refuse(what: str, given: Mapping[str, Any]) -> None:
    """Refuse options that do not apply to what is scored.

    Raises:
        typer.Exit: one of them is given.
    """
    for name, value in given.items():
        if value:
            note(f"error: {name}: does not apply to {what}", style="bold red")
            raise typer.Exit(MISUSED)


def _check_extras(plots: bool, track: str | None) -> None:
    """Find out what is missing before anything is scored."""
    if plots:
        from microg_bench.plots.canvas import check_drawing

        check_drawing()
    if track is not None:
        from microg_bench.export.mlflow import check_tracker

        check_tracker(track)


def _draw(cards: Mapping[Path, Scorecard]) -> list[str]:
    """Draw the scores of each run into its folder, and return the files."""
    from microg_bench.plots.charts import draw_charts

    drawn = (draw_charts({str(path): card}, path / PLOTS_FOLDER) for path, card in cards.items())
    return [str(file) for files in drawn for file in files]


def _log(cards: Iterable[Scorecard]) -> None:
    from microg_bench.export.mlflow import track

    for card in cards:
        note(f"logged to MLflow as run {track(card)}")
