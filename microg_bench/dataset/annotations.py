"""Reads the published annotations: a JSON array, or Parquet, of `{video_id, caption, qa_pairs: [{Q, A}]}`.

A record may name its source video too (`source`). The same layout, without captions, holds the answers of a
model; both are read here. The result is the file as it is, repeated ids included; `load` applies the
published rule to it and `check` finds its faults.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from microg_bench.errors import DataError
from microg_bench.records import Question, Record
from microg_bench.storage import read_json
from microg_bench.text import first_line

_CLIP_NUMBER = re.compile(r"(?<=.)_\d+\Z")
# What is no part of an id, though some files have it behind one: white space, the ending of the video file.
ODD_END = re.compile(r"(\s|\.(mp4|mkv|webm|avi|mov)){1,9}\Z", re.IGNORECASE)
_UNSAFE = re.compile(r"[\x00-\x1f/\\#]")  # "#" parts a clip from its question in request ids
MAX_ID_LENGTH = 200
NO_CLIP_NUMBER = "does not end in a clip number, as abc_012 does"
FIELDS = ("video_id", "source", "caption", "qa_pairs")


class Annotation(Record):
    """One record of an annotation file, in its words; texts of questions are stripped.

    `source` is None where the record does not name it.
    """

    video_id: str
    source: str | None = None
    caption: str | None = None
    questions: tuple[Question, ...] = ()


def source_of(video_id: str) -> str:
    """The source video of a clip: `PrqcwH8LhDU_051` → `PrqcwH8LhDU`; without a clip number, the id itself.

    White space around the id, or the ending of a file behind it, changes nothing.
    """
    return _CLIP_NUMBER.sub("", plain_id(video_id)) or video_id


def source_notes(sources: Mapping[str, str]) -> Iterator[str]:
    """What a reader of intervals over source videos must know of clips, given the source of each id."""
    alone = [
        video_id
        for video_id, source in sources.items()
        if source == source_of(video_id) and not _CLIP_NUMBER.search(plain_id(video_id))
    ]
    if alone:
        yield (
            f"{len(alone):,} of {len(sources):,} ids do not end in a clip number, so that each is a source"
            f" video of its own (the first: {alone[0]!r})"
        )
    if 1 < len(sources) == len(set(sources.values())):
        yield "every clip is a source video of its own, so that intervals over source videos are over clips"


def id_fault(video_id: str) -> str | None:
    """What keeps `video_id` from being a source and a clip number (`PrqcwH8LhDU_051`), if anything does."""
    if video_id != video_id.strip() or not video_id.isprintable():
        return "has white space or invisible characters around or in it"
    if end := ODD_END.search(video_id):
        return f"ends in {end[0]!r}, as files do"
    return None if _CLIP_NUMBER.search(video_id) else NO_CLIP_NUMBER


def plain_id(video_id: str) -> str:
    """`video_id` without outer white space and without the ending of a file."""
    return ODD_END.sub("", video_id).strip()


def read_annotations(path: Path) -> list[Annotation]:
    """Read an annotation file, JSON or Parquet by its ending.

    Raises:
        DataError: the file is missing, is not what its ending says, or a record lacks a field (its number,
            counted from 1, is named) or has an id that could leave the dataset's folder.
    """
    return parse_annotations(_parquet(path) if path.suffix == ".parquet" else read_json(path), path)


def parse_annotations(records: Any, path: Path) -> list[Annotation]:
    """The content of an annotation file, already read from `path`; raises as `read_annotations` does."""
    if not isinstance(records, list) or not records:
        raise DataError("expected a non-empty array of records", path=path)
    return [parse_annotation(record, path, f"record {n}") for n, record in enumerate(records, start=1)]


def _parquet(path: Path) -> list[dict[str, Any]]:
    from microg_bench.dataset.parquet import read_parquet  # rarely needed

    return read_parquet(path, FIELDS).to_dicts()


def safe_id(video_id: str, path: Path, item: str) -> str:
    """`video_id` itself, if it can be a file name and nothing more.

    Raises:
        DataError: it is empty, too long, or could name something outside the dataset's folder.
    """
    if not video_id or len(video_id) > MAX_ID_LENGTH or _UNSAFE.search(video_id) or video_id.startswith("."):
        reason = f"{video_id[:60]!r} is not a safe video_id (it must be a plain file name)"
        raise DataError(reason, path=path, item=item)
    return video_id


def safe_source(source: object, path: Path, item: str) -> str:
    """`source` itself, if it is the name of a source video: a line of text without outer white space.

    Raises:
        DataError: it is not.
    """
    name = source if isinstance(source, str) else ""
    if not name or len(name) > MAX_ID_LENGTH or name != name.strip() or not name.isprintable():
        raise DataError("'source' is not a name", path=path, item=item)
    return name


def parse_annotation(record: Any, path: Path, item: str) -> Annotation:
    """One record, already read from `path`, where its place is `item`; raises as `read_annotations` does."""
    if not isinstance(record, Mapping):
        raise DataError(f"expected an object, found {type(record).__name__}", path=path, item=item)
    video_id = safe_id(_text(record, "video_id", path, item), path, item)
    source, caption, pairs = record.get("source"), record.get("caption"), record.get("qa_pairs")
    named = f"{item} ({video_id})"
    if caption is not None and not isinstance(caption, str):
        raise DataError("'caption' is not a text", path=path, item=named)
    if "caption" not in record and pairs is None:
        raise DataError("lacks 'caption' and 'qa_pairs'", path=path, item=named)
    return Annotation(
        video_id=video_id,
        source=None if source is None else safe_source(source, path, named),
        caption=caption,
        questions=tuple(_questions(_decoded(pairs, path, item), path, named)),
    )


def _decoded(pairs: Any, path: Path, item: str) -> Any:
    """Parquet files hold the pairs as a list of structs or, in one column, as JSON text."""
    if not isinstance(pairs, str):
        return pairs
    try:
        return json.loads(pairs)
    except (ValueError, RecursionError) as error:
        raise DataError(f"'qa_pairs' is not JSON: {first_line(error)}", path=path, item=item) from error


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
