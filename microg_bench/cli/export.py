"""`microg-bench export`: scored runs for the hub's model cards and for `datasets`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from microg_bench.cli.show import errors_console, output, printable
from microg_bench.errors import DataError, UsageError
from microg_bench.export.model_index import check_one_model, model_card
from microg_bench.files import write_bytes
from microg_bench.leaderboard.gather import read_finite
from microg_bench.report.part import Part, make_part, read_part
from microg_bench.runs.folder import read_run, read_state
from microg_bench.runs.scoring import find_runs, read_scorecard
from microg_bench.runs.statistics import read_statistics
from microg_bench.suggest import unknown

FORMATS = ("model-index", "jsonl", "parquet")

EPILOG = """Examples:

    microg-bench export runs/qwen2.5-vl-microg-4m-1a2b3c --format model-index --out README.md

    microg-bench export runs/qwen2.5-vl-microg-4m-1a2b3c --format parquet --out predictions.parquet
"""


def export(
    runs: Annotated[list[Path], typer.Argument(help="Scored runs, or folders with the runs of both tasks.")],
    format_: Annotated[
        str, typer.Option("--format", help="model-index (scores), jsonl or parquet (predictions).")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file; a model card that exists keeps its text and other metadata. Else printed."
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Where the dataset lies now: sample, microg-4m, a folder or a file.")
    ] = None,
) -> None:
    """Write scores as metadata of a model card, or predictions as a table with one row an item."""
    if format_ not in FORMATS:
        raise UsageError(unknown("format", format_, FORMATS))
    paths = list(dict.fromkeys(run for given in runs for run in find_runs(given)))
    content = _card(paths, out) if format_ == "model-index" else _predictions(paths, format_, data)
    if out is not None:
        write_bytes(out, content)
        output().print(str(out))
    elif format_ == "parquet" and sys.stdout.isatty():
        raise UsageError("a Parquet file is not for a terminal: give --out FILE")
    else:
        sys.stdout.buffer.write(content)


def _card(paths: Sequence[Path], out: Path | None) -> bytes:
    cards = [read_finite(path) for path in paths]
    check_one_model(cards)
    for path, card in zip(paths, cards, strict=True):
        for name, entry in card.scores.items():
            if entry.value is None:
                _note(f"{path}: left out {name}: {entry.unavailable}")
    given = _text(out) if out is not None and out.exists() else ""
    try:
        return model_card(cards, given).encode()
    except DataError as error:
        raise DataError(f"{out}: {error}") from error


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8: {error}") from error


def _predictions(paths: Sequence[Path], format_: str, data: str | None) -> bytes:
    from microg_bench.export.rows import table, to_jsonl, to_parquet  # polars takes a tenth of a second

    frame = table([_part(path, data) for path in paths])
    return to_jsonl(frame) if format_ == "jsonl" else to_parquet(frame)


def _part(path: Path, data: str | None) -> Part:
    """The run with its references; without them where its dataset is not at hand and no other was named."""
    try:
        return read_part(path, data)[0]
    except DataError as error:
        if data is not None:
            raise
        _note(f"questions and references stay empty: {error}")
        return make_part(
            path, read_run(path), read_scorecard(path), read_state(path), None, read_statistics(path)
        )


def _note(text: str) -> None:
    errors_console().print(printable(text), markup=False, soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the verb to `app`."""
    app.command(epilog=EPILOG)(export)
