"""Predictions files: the answers of a model to the items of a task, in the layouts that people have.

The fields of the first row tell the layout of all. A row names its item by fields of that layout and by
nothing else; where they fit no item, its prediction is unknown.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microg_bench.dataset.annotations import FIELDS, parse_annotation, plain_id
from microg_bench.errors import DataError
from microg_bench.records import TaskName
from microg_bench.tasks import Item
from microg_bench.text import first_line

# The fields by which a layout is known. A row may have those of a later one too, which then hold references.
LAYOUTS: Mapping[str, tuple[str, ...]] = {
    "lmms-eval": ("doc_id", "filtered_resps"),
    "VLMEvalKit": ("prediction",),
    "microg-bench export": ("task", "id", "answer"),
    "records": ("video_id",),
}
CAPTIONS = "captions by video_id"
VLMEVALKIT_FAILED = "Failed to obtain answer"  # with what went wrong
_OTHER_FIELDS = (*FIELDS, "model", "question", "video", "index", "doc", "target", "input")
_SHOWN = 120  # characters of what a file calls an item


@dataclass(frozen=True)
class Matched:
    """Predictions laid beside the items of a dataset.

    `answers` maps request ids to texts; `missing` names the items without a prediction and `unknown` the
    predictions of no item. `repeated` counts the predictions that a later one of the same item replaces.
    """

    answers: dict[str, str]
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    repeated: int


def read_predictions(path: Path, task: TaskName, items: Sequence[Item]) -> Matched:
    """The predictions in a file for `items` of `task`; of the same item the last counts, as published.

    Raises:
        DataError: the file is missing, damaged, in no layout or in several, or holds no prediction of the
            task; the row is named.
        MissingExtraError: it is an Excel workbook, and what reads them is not installed.
    """
    from microg_bench.scoring.rows import read_rows  # rarely needed

    repeated = 0
    texts: dict[str, str] = {}
    unknown: dict[str, str] = {}
    reader = _Reader(task, items)
    columns = {*_OTHER_FIELDS, *(field for fields in LAYOUTS.values() for field in fields)}
    for place, fields in read_rows(path, columns):
        for one in reader.predictions(_Row(path, place, fields)):
            if one.text is not None:
                known, name = (unknown, one.label) if one.item is None else (texts, one.item.request.id)
                repeated += name in known
                known[name] = one.text
    if not texts and not unknown:
        raise DataError(f"holds no predictions of the task {task}", path=path)
    ids = [item.request.id for item in items]
    return Matched(
        answers={name: texts[name] for name in ids if name in texts},
        missing=tuple(name for name in ids if name not in texts),
        unknown=tuple(unknown),
        repeated=repeated,
    )


@dataclass(frozen=True)
class _Prediction:
    """What a file has for `item`, None where there is no such item, which it calls `label`.

    `text` is None where it has no prediction.
    """

    item: Item | None
    label: str
    text: str | None


@dataclass(frozen=True)
class _Row:
    """A row of a file; `place` is None for an object that is the whole file."""

    path: Path
    place: str | None
    fields: Any

    def fault(self, reason: str) -> DataError:
        return DataError(reason, path=self.path, item=self.place)

    def text(self, field: str) -> str | None:
        """The text of a field; None where it is null, or the NaN that stands for null in tables of pandas."""
        value = self.fields[field]
        if value is None or value != value:  # noqa: PLR0124
            return None
        if not isinstance(value, str):
            raise self.fault(f"{first_line(field, _SHOWN)!r} is not a text but {type(value).__name__}")
        return value

    def name(self, field: str) -> str:
        """The text of a field that must have one."""
        text = self.text(field) if field in self.fields else None
        if text is None:
            raise self.fault(f"lacks {field!r}")
        return text.strip()


class _Reader:
    """Reads the rows of one file, each in the layout of the first, for the items of a task."""

    def __init__(self, task: TaskName, items: Sequence[Item]) -> None:
        self._task = task
        self._items = items
        self._by_id = {item.request.id: item for item in items}
        self._by_question = {(item.request.video_id, item.request.question): item for item in items}
        self._layout: str | None = None
        self._model: str | None = None
        self._asked_of: dict[str, str | None] = {}

    def predictions(self, row: _Row) -> Iterator[_Prediction]:
        """The predictions of a row.

        Raises:
            DataError: it is in no layout, in another one than the rows before, or damaged.
        """
        layout = self._layout_of(row)
        if self._layout not in (None, layout):
            raise row.fault(f"is in the layout {layout!r}, while the rows before are in {self._layout!r}")
        self._layout = layout
        readers: Mapping[str, Callable[[_Row], Iterator[_Prediction]]] = {
            "lmms-eval": self._lmms_eval,
            "VLMEvalKit": self._vlmevalkit,
            "microg-bench export": self._exported,
            "records": self._records,
            CAPTIONS: self._captions,
        }
        return readers[layout](row)

    def _layout_of(self, row: _Row) -> str:
        if not isinstance(row.fields, dict):
            raise row.fault(f"expected an object, found {type(row.fields).__name__}")
        for name, fields in LAYOUTS.items():
            if all(field in row.fields for field in fields):
                return name
        if row.place is None and self._task == "caption":
            return CAPTIONS
        known = "; ".join(f"{', '.join(fields)} ({name})" for name, fields in LAYOUTS.items())
        found = first_line(", ".join(map(str, row.fields)) or "nothing", _SHOWN)
        raise row.fault(f"has the fields of no layout: {known}; found: {found}")

    def _captions(self, row: _Row) -> Iterator[_Prediction]:
        for video_id in row.fields:
            yield self._asked(None, row.text(video_id), video_id)

    def _records(self, row: _Row) -> Iterator[_Prediction]:
        record = parse_annotation(row.fields, row.path, row.place or "record 1")
        if self._task == "caption":
            yield self._asked(None, record.caption, record.video_id)
        else:
            for question in record.questions:
                yield self._asked(question.text, question.answer, record.video_id)

    def _exported(self, row: _Row) -> Iterator[_Prediction]:
        if row.name("task") != self._task:
            return
        model = first_line(row.name("model"), _SHOWN) if "model" in row.fields else None
        if self._model not in (None, model):
            raise row.fault(f"is of the model {model}, while rows before are of {self._model}: keep one")
        self._model = model
        found = self._named(row.name("id"), row.text("answer"))
        question = row.text("question") if "question" in row.fields else None
        if found.item is None or question in (None, found.item.request.question):
            yield found
        else:
            yield _Prediction(None, f"{found.label} with another question", found.text)

    def _vlmevalkit(self, row: _Row) -> Iterator[_Prediction]:
        text = row.text("prediction")
        if text is not None and text.startswith(VLMEVALKIT_FAILED):
            text = None
        if "video" in row.fields:
            video = row.name("video")
            yield self._asked(self._question(row, video), text, video, plain_id(video))
        else:
            yield self._named(row.name("index"), text)

    def _lmms_eval(self, row: _Row) -> Iterator[_Prediction]:
        said = row.fields["filtered_resps"]
        while isinstance(said, list) and len(said) == 1:
            said = said[0]
        if isinstance(said, list):
            raise row.fault(f"has {len(said)} responses in 'filtered_resps' where one is expected")
        text = _Row(row.path, row.place, {"filtered_resps": said}).text("filtered_resps")
        if isinstance(row.fields.get("doc"), dict):  # as written before version 0.4
            document = _Row(row.path, row.place, row.fields["doc"])
            video_id = document.name("video_id")
            yield self._asked(self._question(document, video_id), text, video_id)
        else:
            yield self._at(row, text)

    def _at(self, row: _Row, text: str | None) -> _Prediction:
        """The prediction for the item whose number, from 0, is `doc_id`.

        Raises:
            DataError: `target` is not its reference, or `input` has not its question.
        """
        number = row.fields["doc_id"]
        if type(number) is not int:
            raise row.fault("'doc_id' is not a whole number")
        if not 0 <= number < len(self._items):
            return _Prediction(None, f"doc_id {number}", text)
        item = self._items[number]
        reference, question = item.reference.strip(), item.request.question
        # A document may have a list of references, which is written as text.
        if row.name("target") not in (reference, str([reference])):
            raise row.fault(
                f"'target' is not the reference of item {number} of the dataset, {item.request.id}"
            )
        if question is not None and question not in row.name("input"):
            raise row.fault(
                f"'input' has not the question of item {number} of the dataset, {item.request.id}"
            )
        return _Prediction(item, item.request.id, text)

    def _question(self, row: _Row, video_id: str) -> str | None:
        """The question of a row; None for a caption, which is asked for once a video."""
        if self._task == "vqa":
            return row.name("question")
        asked = row.text("question") if "question" in row.fields else None
        if self._asked_of.setdefault(video_id, asked) != asked:
            raise row.fault("asks the video another question, as for answers, not for captions")
        return None

    def _named(self, request_id: str, text: str | None) -> _Prediction:
        return _Prediction(self._by_id.get(request_id), first_line(request_id, _SHOWN), text)

    def _asked(self, question: str | None, text: str | None, *video_ids: str) -> _Prediction:
        """The prediction for a question about the first of `video_ids` that has it."""
        found = [item for name in video_ids if (item := self._by_question.get((name, question)))]
        label = video_ids[0] if question is None else f"{video_ids[0]}: {question}"
        return _Prediction(found[0] if found else None, first_line(label, _SHOWN), text)
