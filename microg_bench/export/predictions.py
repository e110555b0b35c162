"""Predictions as a table, one row an item, whose columns have the same types whatever a run holds."""

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from microg_bench.adapters.base import flags
from microg_bench.dataset.load import Dataset
from microg_bench.metrics import METRICS
from microg_bench.privacy import outgoing
from microg_bench.records import Answer, Request
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import FLAGS
from microg_bench.text import well_formed

_TEXTS = ("model", "task", "id", "video_id", "source", "question", "reference", "answer", "text")
COLUMNS: dict[str, pl.DataType] = {
    **dict.fromkeys(_TEXTS, pl.String()),
    "frames": pl.List(pl.Int64()),
    **dict.fromkeys(("finish_reason", "failure_stage", "failure_reason"), pl.String()),
    **dict.fromkeys(FLAGS, pl.Boolean()),
    **dict.fromkeys(("reasoning", "served_model", "served_version"), pl.String()),
}


def frame(runs: Sequence[tuple[RunRecord, Dataset | None]]) -> pl.DataFrame:
    """One row an item of each run, in dataset order; questions and references are null without the dataset.

    After `COLUMNS` comes one column of float64 for each metric that any of the runs has item scores of, ×100;
    null where an item has no such score. `text` is what the model wrote, `answer` what the adapter found in
    it, `reasoning` its thoughts. The flags of an answer (see `scorecard.Counts`) are null where there is
    none. A lone surrogate, which has no UTF-8 form, becomes "?"; every other character stays.
    """
    scores = [record.item_scores() for record, _ in runs]
    metrics = [name for name in METRICS if any(name in own for own in scores)]
    schema = {**COLUMNS, **dict.fromkeys(metrics, pl.Float64())}
    rows = [
        [*row, *(_finite(own.get(name, {}).get(row[2])) for name in metrics)]
        for (record, dataset), own in zip(runs, scores, strict=True)
        for row in _rows(record, dataset)
    ]
    return pl.DataFrame(rows, schema=schema, orient="row")


def to_jsonl(predictions: pl.DataFrame) -> bytes:
    """One JSON object a line, every column in each."""
    return predictions.write_ndjson().encode()


def to_csv(predictions: pl.DataFrame) -> bytes:
    """A table with a header; the frames of an answer are numbers parted by blanks."""
    import polars as pl

    frames = pl.col("frames").cast(pl.List(pl.String)).list.join(" ")
    return predictions.with_columns(frames).write_csv().encode()


def to_parquet(predictions: pl.DataFrame) -> bytes:
    """A Parquet file."""
    buffer = io.BytesIO()
    predictions.write_parquet(buffer)
    return buffer.getvalue()


def _rows(record: RunRecord, dataset: Dataset | None) -> Iterator[list[Any]]:
    items: Mapping[Request, str | None]
    if dataset is None:
        items = dict.fromkeys(record.requests())
    else:
        items = {item.request: item.reference for item in record.items(dataset)}
    model = _utf8(outgoing(record.settings.model))
    for request, reference in items.items():
        answer, failure = record.answers.get(request.id), record.failures.get(request.id)
        said = answer or (failure.response if failure else None)
        yield [
            model,
            request.task,
            request.id,
            request.video_id,
            request.source,
            _utf8(request.question),
            _utf8(reference),
            _utf8(answer.answer if answer else None),
            _utf8(said.text if said else None),
            list(answer.frames) if answer else None,
            said.finish_reason if said else None,
            failure.stage if failure else None,
            _utf8(failure.reason if failure else None),
            *_flags(answer),
            *(map(_utf8, (said.reasoning, said.served_model, said.served_version)) if said else [None] * 3),
        ]


def _flags(answer: Answer | None) -> list[bool | None]:
    if answer is None:
        return [None] * len(FLAGS)
    found = flags(answer.answer, answer.finish_reason)
    return [name in found for name in FLAGS]


def _utf8(text: str | None) -> str | None:
    return None if text is None else well_formed(text, "?")


def _finite(score: float | None) -> float | None:
    return score if score is not None and math.isfinite(score) else None
