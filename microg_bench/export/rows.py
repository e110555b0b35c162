"""Predictions as a table, one row an item, whose columns have the same types whatever a run holds."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from microg_bench.leaderboard.submission import without_paths
from microg_bench.metrics import METRICS
from microg_bench.report.part import Asked, Part

COLUMNS: dict[str, pl.DataType] = {
    "model": pl.String(),
    "task": pl.String(),
    "id": pl.String(),
    "video_id": pl.String(),
    "source": pl.String(),
    "question": pl.String(),
    "reference": pl.String(),
    "answer": pl.String(),
    "text": pl.String(),
    "frames": pl.List(pl.Int64()),
    "stop": pl.String(),
    "failure_stage": pl.String(),
    "failure_reason": pl.String(),
}


def table(parts: Sequence[Part]) -> pl.DataFrame:
    """One row an item of each run, in dataset order.

    After `COLUMNS` comes one column of float64 for each metric of any of the runs, ×100; null where an item
    has no such score. `text` is what the model wrote, `answer` what was read in it. A lone surrogate, which
    no UTF-8 text can hold, becomes "?"; every other character stays.
    """
    metrics = [name for name in METRICS if any(name in part.card.scores for part in parts)]
    schema = {**COLUMNS, **dict.fromkeys(metrics, pl.Float64())}
    rows = [_row(part, asked, metrics) for part in parts for asked in part.asked]
    return pl.DataFrame(rows, schema=schema, orient="row")


def to_jsonl(frame: pl.DataFrame) -> bytes:
    """One JSON object a line, every column in each."""
    return frame.write_ndjson().encode()


def to_parquet(frame: pl.DataFrame) -> bytes:
    """A Parquet file."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def _row(part: Part, asked: Asked, metrics: Sequence[str]) -> list[Any]:
    answer, failure = part.state.answers.get(asked.id), part.state.failures.get(asked.id)
    said = answer or failure
    return [
        _utf8(without_paths(part.settings.model)),
        part.settings.task,
        asked.id,
        asked.video_id,
        asked.source,
        _utf8(asked.question),
        _utf8(asked.reference),
        _utf8(answer.answer if answer else None),
        _utf8(said.text if said else None),
        list(answer.frames) if answer else None,
        answer.stop if answer else None,
        failure.stage if failure else None,
        _utf8(failure.reason if failure else None),
        *(_finite(part.scores.get(name, {}).get(asked.id)) for name in metrics),
    ]


def _utf8(text: str | None) -> str | None:
    return None if text is None else text.encode(errors="replace").decode()


def _finite(score: float | None) -> float | None:
    return score if score is not None and math.isfinite(score) else None
