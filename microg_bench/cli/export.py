"""`microg-bench export`: scored runs for the hub's model cards and for `datasets`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from microg_bench.cli.console import note, output
from microg_bench.dataset.load import Dataset, load
from microg_bench.errors import DataError, UsageError
from microg_bench.export.eval_results import eval_results_file, to_eval_results
from microg_bench.export.model_card import check_one_model, model_card
from microg_bench.runs.record import RunRecord, find_runs
from microg_bench.storage import write_bytes, write_text
from microg_bench.tables.gather import read_scored
from microg_bench.text import unknown

app = typer.Typer(rich_markup_mode="markdown", add_completion=False)

FORMATS = ("model-index", "eval-results", "jsonl", "csv", "parquet")

EPILOG = """Examples:

    microg-bench export runs/qwen2.5-vl-microg-4m-1a2b3c --format model-index --out README.md

    microg-bench export runs/qwen2.5-vl-microg-4m-1a2b3c --format eval-results --out my-model

    microg-bench export runs/qwen2.5-vl-microg-4m-1a2b3c --format parquet --out predictions.parquet
"""


@app.command(epilog=EPILOG)
def export(
    runs: Annotated[
        list[Path], typer.Argument(help="Scored runs or submissions, or folders of them at any depth.")
    ],
    format_: Annotated[
        str,
        typer.Option(
            "--format", help="model-index or eval-results (scores), jsonl, csv or parquet (predictions)."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file, else standard output; a model card that exists keeps its text and metadata. "
            "Of eval-results, the folder of the model's repository."
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Where the dataset is now: sample, microg-4m, a folder or a file.")
    ] = None,
) -> None:
    """Write scores for a model's page on the hub, or predictions as a table with one row an item."""
    if format_ not in FORMATS:
        raise UsageError(unknown("format", format_, FORMATS))
    paths = dict.fromkeys(path for run in runs for path in find_runs(run))
    dataset = load(data) if data else None
    records = [read_scored(path, dataset) for path in paths]
    if format_ == "eval-results":
        return _eval_results(records, out)
    content = _card(records, out) if format_ == "model-index" else _predictions(records, format_, dataset)
    if out is not None:
        write_bytes(out, content)
        output().print(str(out))
    elif format_ == "parquet" and sys.stdout.isatty():
        raise UsageError("a Parquet file is not for a terminal: give --out FILE")
    else:
        sys.stdout.buffer.write(content)


def _eval_results(records: Sequence[RunRecord], out: Path | None) -> None:
    """Write a file for each task below the folder `out`, or print them."""
    cards = [record.scorecard for record in records]
    check_one_model(cards)
    contents = {eval_results_file(card): to_eval_results(card) for card in cards}
    for name, content in contents.items():
        if out is not None:
            write_text(out / name, content)
        output().print(f"{out / name}" if out is not None else f"# {name}\n{content}", end="\n")


def _card(records: Sequence[RunRecord], out: Path | None) -> bytes:
    cards = [record.scorecard for record in records]
    check_one_model(cards)
    for record in records:
        for name, entry in record.scorecard.scores.items():
            if entry.value is None:
                note(f"{record.path}: left out {name}: {entry.unavailable}")
    given = _text(out) if out is not None and out.exists() else ""
    try:
        return model_card(cards, given).encode()
    except DataError as error:
        raise DataError(error.reason, path=out) from error


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from error
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8: {error}", path=path) from error


def _predictions(records: Sequence[RunRecord], format_: str, data: Dataset | None) -> bytes:
    from microg_bench.export.predictions import (  # polars takes a tenth of a second
        frame,
        to_csv,
        to_jsonl,
        to_parquet,
    )

    predictions = frame([(record, _dataset(record, data)) for record in records])
    return {"jsonl": to_jsonl, "csv": to_csv, "parquet": to_parquet}[format_](predictions)


def _dataset(record: RunRecord, data: Dataset | None) -> Dataset | None:
    """The dataset of a run; None where it is not available and no other was named."""
    try:
        return record.dataset(data)
    except DataError as error:
        if data is not None:
            raise
        note(f"questions and references are null: {error}")
        return None
