"""`microg-bench score`: score a run again, or a predictions file from elsewhere. Nothing is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from microg_bench.cli import options as o
from microg_bench.cli.show import errors_console, output
from microg_bench.dataset import load
from microg_bench.errors import UsageError
from microg_bench.files import write_json, write_text
from microg_bench.leaderboard.table import markdown
from microg_bench.metrics import MetricOptions
from microg_bench.metrics.explain import explain as explain_metric
from microg_bench.runs.evaluate import Scoring, check_protocol
from microg_bench.runs.scorecard import Scorecard
from microg_bench.runs.scoring import find_runs, score_predictions, score_run
from microg_bench.runs.settings import Options, make_options
from microg_bench.tasks import get_task

TABLE_FILE = "table.md"

EPILOG = """Examples:

    microg-bench score runs/nearest-clip-sample-1a2b3c

    microg-bench score --task vqa --predictions answers.json --data sample --out scorecard.json
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


def score_runs(paths: list[Path], scoring: Scoring, data: str | None = None) -> list[Scorecard]:
    """Score runs one after the other, print their tables and write them into the run folders."""
    cards = []
    for path in paths:
        with errors_console().status(f"scoring {path}"):
            card = score_run(path, scoring, data)
        table = markdown([card])
        write_text(path / TABLE_FILE, table)
        output().print(table)
        cards.append(card)
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
    metrics: o.Metrics = None,
    protocol: o.Protocol = None,
    sentence_model: o.SentenceModel = None,
    bertscore_model: o.BertscoreModel = None,
    bertscore_layers: o.BertscoreLayers = None,
    bertscore_idf: o.BertscoreIdf = None,
    bertscore_rescale: o.BertscoreRescale = None,
    bf16: o.Bf16 = None,
    by_clip: Annotated[
        bool, typer.Option("--by-clip", help="Resample clips for the intervals, not source videos.")
    ] = False,
    explain: Annotated[
        str | None, typer.Option(help="Say what a metric computes, and score nothing.", metavar="METRIC")
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Score on though items are missing or foreign.")
    ] = False,
) -> None:
    """Score a run again without asking anything, or score a predictions file from elsewhere."""
    if explain is not None:
        output().print(explain_metric(explain))
        return
    options = {
        "metrics": o.split(metrics),
        "protocol": protocol,
        "sentence_model": sentence_model,
        "bertscore_model": bertscore_model,
        "bertscore_layers": bertscore_layers,
        "bertscore_idf": bertscore_idf,
        "bertscore_rescale": bertscore_rescale,
        "bf16": bf16,
    }
    scoring = replace(make_scoring(make_options(options)), clusters="clip" if by_clip else "source")
    if run is not None and predictions is None:
        cards = score_runs(find_runs(run), scoring, data)
        if any(card.failures or card.missing for card in cards):
            raise typer.Exit(1)
        return
    if run is not None or predictions is None or task is None:
        raise UsageError("give either a run folder, or --task, --predictions and --data")
    chosen = get_task(task).name
    dataset = load(data)
    with errors_console().status(f"scoring {predictions}"):
        card = score_predictions(chosen, predictions, dataset, scoring, allow_missing)
    if out is not None:
        write_json(out, card.to_json())
    output().print(markdown([card]))


def register(app: typer.Typer) -> None:
    """Add the verb to `app`."""
    app.command(epilog=EPILOG)(score)
