"""Predictions files: the answers of a model, in the two layouts that the paper's authors use.

Captions are an object `{video_id: text}`; answers are an array of records `{video_id, qa_pairs: [{Q, A}]}`
like the annotations. Captions are taken in the latter layout too (`{video_id, caption}`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microg_bench.dataset.annotations import Annotation, parse_annotations
from microg_bench.errors import DataError
from microg_bench.records import TaskName
from microg_bench.storage import read_json
from microg_bench.tasks import Item


@dataclass(frozen=True)
class Matched:
    """Predictions laid beside the items of a dataset.

    `answers` maps request ids to texts; `missing` names the items without a prediction and `unknown` the
    predictions of no item.
    """

    answers: dict[str, str]
    missing: tuple[str, ...]
    unknown: tuple[str, ...]


def read_predictions(path: Path, task: TaskName) -> dict[tuple[str, str | None], str]:
    """Predictions by (video_id, stripped question); of a repeated key the last counts, as published.

    Raises:
        DataError: the file is missing, not JSON, or in neither layout; the record is named.
    """
    content = read_json(path)
    if isinstance(content, dict) and task == "caption":
        return {(video_id, None): _text(text, path, video_id) for video_id, text in content.items()}
    if not isinstance(content, list):
        wanted = "an object {video_id: caption}" if task == "caption" else "an array of {video_id, qa_pairs}"
        raise DataError(f"expected {wanted}", path=path)
    found: dict[tuple[str, str | None], str] = {}
    for annotation in parse_annotations(content, path):
        found.update(_keyed(annotation, task))
    return found


def match(predictions: Mapping[tuple[str, str | None], str], items: Sequence[Item]) -> Matched:
    """Lay `predictions` beside `items`."""
    wanted = {(item.request.video_id, item.request.question): item.request.id for item in items}
    return Matched(
        answers={wanted[key]: predictions[key] for key in wanted if key in predictions},
        missing=tuple(name for key, name in wanted.items() if key not in predictions),
        unknown=tuple(_label(key) for key in predictions if key not in wanted),
    )


def _keyed(annotation: Annotation, task: TaskName) -> dict[tuple[str, str | None], str]:
    if task == "caption":
        return {} if annotation.caption is None else {(annotation.video_id, None): annotation.caption}
    return {(annotation.video_id, question.text): question.answer for question in annotation.questions}


def _text(value: Any, path: Path, video_id: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"the prediction is not a text but {type(value).__name__}", path=path, item=video_id)
    return value


def _label(key: tuple[str, str | None]) -> str:
    video_id, question = key
    return video_id if question is None else f"{video_id}: {question}"
