"""Reads the published annotations: a JSON array, or Parquet, of `{video_id, caption, qa_pairs: [{Q, A}]}`.

The same layout, without captions, holds the answers of a model; both are read here. The result is the file as
it is, repeated ids included; `load` applies the published rule to it and `check` finds its faults.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from microg_bench.errors import DataError
from microg_bench.records import Question, Record
from microg_bench.storage import read_json
from microg_bench.text import first_line

_CLIP_NUMBER = re.compile(r"_\d+$")
# What is no part of an id, though some files have it behind one: white space, the ending of the video file.
ODD_END = re.compile(r"(\s|\.(mp4|mkv|webm|avi|mov))+$", re.IGNORECASE)
_UNSAFE = re.compile(r"[\x00-\x1f/\\#]")  # "#" parts a clip from its question in request ids
MAX_ID_LENGTH = 200


class Annotation(Record):
    """One record of an annotation file, in its words; texts of questions are stripped."""

    video_id: str
    caption: str | None = None
    questions: tuple[Question, ...] = ()


def source_of(video_id: str) -> str:
    """The footage of a clip: `PrqcwH8LhDU_051` → `PrqcwH8LhDU`; without a clip number, the id itself.

    White space or the ending of a file behind the number changes nothing.
    """
    return _CLIP_NUMBER.sub("", ODD_END.sub("", video_id))


def read_annotations(path: Path) -> list[Annotation]:
    """Read an annotation file, JSON or Parquet by its ending.

    Raises:
        DataError: the file is missing, is not what its ending says, or a record lacks a field (its number,
            counted from 1, is named) or has an id that could leave the dataset's folder.
    """
    return parse_annotations(read_parquet(path) if path.suffix == ".parquet" else read_json(path), path)


def parse_annotations(records: Any, path: Path) -> list[Annotation]:
    """The content of an annotation file, already read from `path`; raises as `read_annotations` does."""
    if not isinstance(records, list) or not records:
        raise DataError("expected a non-empty array of records", path=path)
    return [_annotation(record, path, f"record {n}") for n, record in enumerate(records, start=1)]


def read_parquet(path: Path) -> list[dict[str, Any]]:
    """The rows of a Parquet file.

    Raises:
        DataError: the file is missing or not Parquet.
    """
    import polars  # slow to import and rarely needed

    try:
        return polars.read_parquet(path).to_dicts()
    except (OSError, polars.exceptions.PolarsError) as error:
        raise DataError(f"cannot be read as Parquet: {first_line(error)}", path=path) from error


def safe_id(video_id: str, path: Path, item: str) -> str:
    """`video_id` itself, if it can be a file name and nothing more.

    Raises:
        DataError: it is empty, too long, or could name something outside the dataset's folder.
    """
    if not video_id or len(video_id) > MAX_ID_LENGTH or _UNSAFE.search(video_id) or video_id.startswith("."):
        reason = f"{video_id[:60]!r} is not a safe video_id (it must be a plain file name)"
        raise DataError(reason, path=path, item=item)
    return video_id


def _annotation(record: Any, path: Path, item: str) -> Annotation:
    if not isinstance(record, Mapping):
        raise DataError(f"expected an object, found {type(record).__name__}", path=path, item=item)
    video_id = safe_id(_text(record, "video_id", path, item), path, item)
    caption, pairs = record.get("caption"), record.get("qa_pairs")
    named = f"{item} ({video_id})"
    if caption is not None and not isinstance(caption, str):
        raise DataError("'caption' is not a text", path=path, item=named)
    if "caption" not in record and pairs is None:
        raise DataError("lacks 'caption' and 'qa_pairs'", path=path, item=named)
    return Annotation(
        video_id=video_id,
        caption=caption,
        questions=tuple(_questions(_decoded(pairs, path, item), path, named)),
    )


def _decoded(pairs: Any, path: Path, item: str) -> Any:
    """Parquet files hold the pairs as a list of structs or, in one column, as JSON text."""
    if not isinstance(pairs, str):
        return pairs
    try:
        return json.loads(pairs)
    except json.JSONDecodeError as error:
        raise DataError(f"'qa_pairs' is not JSON: {error.msg}", path=path, item=item) from error
    except RecursionError as error:
        raise DataError("'qa_pairs' is nested too deeply", path=path, item=item) from error


def _questions(pairs: Any, path: Path, item: str) -> Iterable[Question]:
    if pairs is None:
        return
    if not isinstance(pairs, list):
        raise DataError("'qa_pairs' is not an array", path=path, item=item)
    for k, pair in enumerate(pairs, start=1):
        spot = f"{item}, question {k}"
        if not isinstance(pair, Mapping):
            raise DataError("expected an object with 'Q' and 'A'", path=path, item=spot)
        yield Question(text=_text(pair, "Q", path, spot).strip(), answer=_text(pair, "A", path, spot))


def _text(record: Mapping[str, Any], field: str, path: Path, item: str) -> str:
    if field not in record:
        raise DataError(f"lacks {field!r}", path=path, item=item)
    value = record[field]
    if not isinstance(value, str):
        raise DataError(f"{field!r} is not a text", path=path, item=item)
    return value
