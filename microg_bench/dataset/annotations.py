"""Reads the published annotations: a JSON array, or Parquet, of `{video_id, caption, qa_pairs: [{Q, A}]}`.

The same layout, without captions, holds the answers of a model; both are read here. What comes out is the
file as it is, repeated ids and all; `load` applies the published rule to it and `check` finds its faults.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from microg_bench.errors import DataError
from microg_bench.records import Question, Record

_CLIP_NUMBER = re.compile(r"_\d+$")
_UNSAFE = re.compile(r"[\x00-\x1f/\\#]")  # "#" parts a clip from its question in request ids
MAX_ID_LENGTH = 200


class Annotation(Record):
    """One record of an annotation file, in its words; texts of questions and answers are stripped."""

    video_id: str
    caption: str | None = None
    questions: tuple[Question, ...] = ()

    @property
    def source(self) -> str:
        """The footage that the clip was cut from: the id without its clip number."""
        return source_of(self.video_id)


def source_of(video_id: str) -> str:
    """`PrqcwH8LhDU_051` → `PrqcwH8LhDU`; an id without a clip number is its own source."""
    return _CLIP_NUMBER.sub("", video_id)


def read_annotations(path: Path) -> list[Annotation]:
    """Read an annotation file, JSON or Parquet by its ending.

    Raises:
        DataError: the file is missing, is not what its ending says, or a record lacks a field (its number,
            counted from 1, is named) or has an id that could leave the dataset's folder.
    """
    return parse_annotations(read_parquet(path) if path.suffix == ".parquet" else read_json(path), path)


def parse_annotations(records: Any, path: Path) -> list[Annotation]:
    """The content of an annotation file, already read from `path`, as annotations.

    Raises:
        DataError: see `read_annotations`.
    """
    if not isinstance(records, list) or not records:
        raise DataError(f"{path}: expected a non-empty array of records")
    return [_annotation(record, f"{path}: record {n}") for n, record in enumerate(records, start=1)]


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        DataError: the file is missing, not UTF-8 or not JSON; the line is named.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: not JSON: {error.msg} in line {error.lineno}") from error
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def read_parquet(path: Path) -> list[dict[str, Any]]:
    """The rows of a Parquet file.

    Raises:
        DataError: the file is missing or not Parquet.
    """
    import polars  # slow to import and rarely needed

    try:
        return polars.read_parquet(path).to_dicts()
    except (OSError, polars.exceptions.PolarsError) as error:
        raise DataError(f"{path}: cannot be read as Parquet: {error}") from error


def _annotation(record: Any, where: str) -> Annotation:
    if not isinstance(record, Mapping):
        raise DataError(f"{where}: expected an object, found {type(record).__name__}")
    video_id = safe_id(_text(record, "video_id", where), where)
    caption = record.get("caption")
    if caption is not None and not isinstance(caption, str):
        raise DataError(f"{where} ({video_id}): 'caption' is not a text")
    pairs = record.get("qa_pairs")
    if "caption" not in record and pairs is None:
        raise DataError(f"{where} ({video_id}): lacks 'caption' and 'qa_pairs'")
    return Annotation(
        video_id=video_id,
        caption=caption,
        questions=tuple(_questions(_decoded(pairs, where), f"{where} ({video_id})")),
    )


def _decoded(pairs: Any, where: str) -> Any:
    """Parquet files hold the pairs as a list of structs or, in one column, as JSON text."""
    if not isinstance(pairs, str):
        return pairs
    try:
        return json.loads(pairs)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: 'qa_pairs' is not JSON: {error.msg}") from error


def _questions(pairs: Any, where: str) -> Iterable[Question]:
    if pairs is None:
        return
    if not isinstance(pairs, list):
        raise DataError(f"{where}: 'qa_pairs' is not an array")
    for k, pair in enumerate(pairs, start=1):
        spot = f"{where}, question {k}"
        if not isinstance(pair, Mapping):
            raise DataError(f"{spot}: expected an object with 'Q' and 'A'")
        yield Question(text=_text(pair, "Q", spot).strip(), answer=_text(pair, "A", spot))


def _text(record: Mapping[str, Any], field: str, where: str) -> str:
    if field not in record:
        raise DataError(f"{where}: lacks {field!r}")
    value = record[field]
    if not isinstance(value, str):
        raise DataError(f"{where}: {field!r} is not a text")
    return value


def safe_id(video_id: str, where: str) -> str:
    """`video_id` itself, if it can be a file name and nothing more.

    Raises:
        DataError: it is empty, too long, or could name something outside the dataset's folder.
    """
    if not video_id or len(video_id) > MAX_ID_LENGTH or _UNSAFE.search(video_id) or video_id.startswith("."):
        raise DataError(f"{where}: {video_id[:60]!r} is not a safe video_id (it must be a plain file name)")
    return video_id
