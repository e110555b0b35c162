"""Predictions files: the answers of a model, in the two layouts that the paper's authors use.

Captions are an object `{video_id: text}`; answers are an array of records `{video_id, qa_pairs: [{Q, A}]}`
like the annotations. Captions are taken in the latter layout too (`{video_id, caption}`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microg_bench.dataset.annotations import Annotation, parse_annotations
from microg_bench.errors import DataError
from microg_bench.records import TaskName
from microg_bench.storage import read_json
from microg_bench.tasks import Item

Key = tuple[str, str | None]  # video_id and stripped question; None for a caption


@dataclass(frozen=True)
class Predictions:
    """The texts of a predictions file, and how many were replaced by a later one of the same key."""

    texts: dict[Key, str]
    repeated: int = 0


@dataclass(frozen=True)
class Matched:
    """Predictions laid beside the items of a dataset.

    `answers` maps request ids to texts; `missing` names the items without a prediction and `unknown` the
    predictions of no item. `repeated` is that of the predictions.
    """

    answers: dict[str, str]
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    repeated: int


def read_predictions(path: Path, task: TaskName) -> Predictions:
    """The predictions in a file; of a repeated key the last counts, as published.

    Raises:
        DataError: the file is missing, not JSON, or in neither layout; the record is named.
    """
    repeated = 0

    def counted(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal repeated
        found = dict(pairs)
        repeated += len(pairs) - len(found)
        return found

    content = read_json(path, counted)
    if isinstance(content, dict) and task == "caption":
        return Predictions({(key, None): _text(one, path, key) for key, one in content.items()}, repeated)
    if not isinstance(content, list):
        wanted = "an object {video_id: caption}" if task == "caption" else "an array of {video_id, qa_pairs}"
        raise DataError(f"expected {wanted}", path=path)
    pairs = [pair for one in parse_annotations(content, path) for pair in _keyed(one, task)]
    found: dict[Key, str] = dict(pairs)
    return Predictions(found, repeated + len(pairs) - len(found))


def match(predictions: Predictions, items: Sequence[Item]) -> Matched:
    """Lay `predictions` beside `items`."""
    texts = predictions.texts
    wanted = {(item.request.video_id, item.request.question): item.request.id for item in items}
    return Matched(
        answers={wanted[key]: texts[key] for key in wanted if key in texts},
        missing=tuple(name for key, name in wanted.items() if key not in texts),
        unknown=tuple(_label(key) for key in texts if key not in wanted),
        repeated=predictions.repeated,
    )


def _keyed(annotation: Annotation, task: TaskName) -> list[tuple[Key, str]]:
    if task == "caption":
        return [] if annotation.caption is None else [((annotation.video_id, None), annotation.caption)]
    return [((annotation.video_id, question.text), question.answer) for question in annotation.questions]


def _text(value: Any, path: Path, video_id: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"the prediction is not a text but {type(value).__name__}", path=path, item=video_id)
    return value


def _label(key: Key) -> str:
    video_id, question = key
    return video_id if question is None else f"{video_id}: {question}"
