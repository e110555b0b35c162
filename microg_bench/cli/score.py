"""`microg-bench score`: score a run again, or a predictions file from elsewhere. Nothing is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from microg_bench.cli import options as o
from microg_bench.cli.show import errors_console, output
from microg_bench.dataset import load
from microg_bench.errors import MicrogError, RunError, UsageError
from microg_bench.export.track import TRACKERS, check_tracking
from microg_bench.export.track import track as log_card
from microg_bench.figures.canvas import check_drawing
from microg_bench.figures.charts import draw_charts
from microg_bench.files import write_json, write_text
from microg_bench.leaderboard.table import markdown
from microg_bench.metrics import MetricOptions
from microg_bench.metrics.explain import explain as explain_metric
from microg_bench.runs import scoring as scoring_room
from microg_bench.runs.evaluate import Scoring, check_protocol
from microg_bench.runs.scorecard import Scorecard
from microg_bench.runs.scoring import find_runs, score_predictions
from microg_bench.runs.settings import Options, make_options
from microg_bench.suggest import unknown
from microg_bench.tasks import get_task

TABLE_FILE = "table.md"
PLOTS_FOLDER = "plots"
TOGETHER = 8  # runs scored at once; their tables come together

EPILOG = """Examples:

    microg-bench score runs/nearest-clip-sample-1a2b3c

    microg-bench score runs/nearest-clip-sample-1a2b3c --plots

    microg-bench score --task vqa --predictions answers.json --data sample --out scorecard.json

Every score has a signature of all that moves it; compare scores only where signatures are alike. Tables show
the short form, `CIDEr|p:paper|n:1237|v:0.1.0`: p protocol, n items, v version, and for encoders
m model, l layers, d dtype. scorecard.json has the long form too,
`CIDEr|protocol:paper|tokenizer:none|variant:CIDEr-D|sigma:6|items:1237|version:0.1.0`.
"""


def make_scoring(options: Options) -> Scoring:
    """How to score, from the options of the command line.

    Raises:
        UsageError: an unknown protocol, or an encoder folder that does not exist.
    """
    check_protocol(options.protocol)
    chosen = MetricOptions(
        sentence_model=_folder("sentence-model", options.sentence_model),
        bertscore_model=_folder("bertscore-model", options.bertscore_model),
        bertscore_layers=options.bertscore_layers,
        bertscore_idf=options.bertscore_idf,
        bertscore_rescale=options.bertscore_rescale,
        bf16=options.bf16,
    )
    return Scoring(options.metrics, options.protocol, chosen)


def _folder(name: str, given: str | None) -> Path | None:
    if given is not None and not Path(given).is_dir():
        raise UsageError(f"--{name} {given}: no such folder")
    return None if given is None else Path(given)


def score_runs(
    paths: list[Path], scoring: Scoring, data: str | None = None, quiet: bool = False
) -> list[Scorecard]:
    """Score runs, some at a time, write their tables into the run folders and, unless `quiet`, print them.

    Raises:
        RunError: some cannot be scored, which is told when the others are.
    """
    cards, errors = [], []
    for start in range(0, len(paths), TOGETHER):
        some = paths[start : start + TOGETHER]
        with errors_console().status(f"scoring {', '.join(map(str, some))}"):
            scored = scoring_room.score_runs(some, scoring, data)
        for path, card in scored.items():
            if isinstance(card, MicrogError):
                errors.append(str(card))
                continue
            table = markdown([card])
            write_text(path / TABLE_FILE, table)
            if not quiet:
                output().print(table)
            cards.append(card)
    if errors:
        raise RunError("; ".join(errors))
    return cards


def score(
    run: Annotated[Path | None, typer.Argument(help="A run folder, or a folder of runs.")] = None,
    task: Annotated[str | None, typer.Option(help="Task of the predictions: caption or vqa.")] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Predictions file, in either published layout.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="sample, microg-4m, a dataset folder or an annotation file.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the scorecard of the predictions here.")] = None,
    by_clip: Annotated[
        bool, typer.Option("--by-clip", help="Resample clips for the intervals, not source videos.")
    ] = False,
    explain: Annotated[
        str | None, typer.Option(help="Say what a metric computes, and score nothing.", metavar="METRIC")
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Score on though items are missing or foreign.")
    ] = False,
    plots: Annotated[
        bool,
        typer.Option("--plots", help="Draw the scores, too, into the run's folder; needs the extra plots."),
    ] = False,
    track: Annotated[
        str | None, typer.Option(help="Log the scores, too: to mlflow, at $MLFLOW_TRACKING_URI.")
    ] = None,
    **given: Any,
) -> None:
    """Score a run again without asking anything, or score a predictions file from elsewhere."""
    if explain is not None:
        output().print(explain_metric(explain))
        return
    if track is not None:
        _check_tracker(track)
    if plots:
        check_drawing()
    scoring = replace(make_scoring(make_options(o.read(given))), clusters="clip" if by_clip else "source")
    if run is not None and predictions is None:
        paths = find_runs(run)
        cards = score_runs(paths, scoring, data)
        if plots:
            _draw(paths, cards)
        if track is not None:
            _track(cards)
        if any(card.failures or card.missing for card in cards):
            raise typer.Exit(1)
        return
    if plots:
        raise UsageError("--plots draws into the folder of a run: give a run")
    if run is not None or predictions is None or task is None:
        raise UsageError("give either a run folder, or --task, --predictions and --data")
    chosen = get_task(task).name
    dataset = load(data)
    with errors_console().status(f"scoring {predictions}"):
        card = score_predictions(chosen, predictions, dataset, scoring, allow_missing)
    if out is not None:
        write_json(out, card.to_json())
    output().print(markdown([card]))
    if track is not None:
        _track([card])


def _draw(paths: list[Path], cards: list[Scorecard]) -> None:
    for path, card in zip(paths, cards, strict=True):
        files = draw_charts({str(path): card}, path / PLOTS_FOLDER)
        output().print("\n".join(map(str, files)))


def _check_tracker(name: str) -> None:
    if name not in TRACKERS:
        raise UsageError(unknown("tracker", name, TRACKERS))
    check_tracking()


def _track(cards: list[Scorecard]) -> None:
    for card in cards:
        errors_console().print(f"logged to MLflow as run {log_card(card)}")


def register(app: typer.Typer) -> None:
    """Add the verb to `app`."""
    app.command(epilog=EPILOG)(o.with_options(score, o.SCORING))
