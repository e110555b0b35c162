import json
from pathlib import Path
from typing import Any

import pytest

from microg_bench.dataset.load import load
from microg_bench.errors import DataError
from microg_bench.scoring.predictions import match, read_predictions
from microg_bench.scoring.score import as_layout
from microg_bench.tasks import TASKS, items_of
from tests.helpers.datasets import record, write_annotations

RECORDS = [record("a_001", 1), record("a_002", 2)]


def write(tmp_path: Path, content: Any) -> Path:
    (tmp_path / "p.json").write_text(json.dumps(content))
    return tmp_path / "p.json"


@pytest.mark.parametrize("task", ["caption", "vqa"])
@pytest.mark.parametrize("size", ["small", "full"])
def test_both_published_layouts_match_the_real_references(shared: Path, task: Any, size: str) -> None:
    dataset = load(str(shared / "data" / "microg4m" / "vqa_and_captioning.json"))
    items = items_of(TASKS[task], dataset.clips)
    name = {"caption": "captions.json", "vqa": "vqa.json"}[task]
    found = match(read_predictions(shared / "data" / "oracle" / size / name, task), items)
    expected = json.loads((shared / "data" / "oracle" / size / "expected.json").read_text())[task]["n"]
    assert len(found.answers) == expected
    assert len(found.missing) == len(items) - expected
    assert found.unknown == ()


@pytest.mark.parametrize("task", ["caption", "vqa"])
def test_what_is_written_is_read_back(tmp_path: Path, task: Any) -> None:
    items = items_of(TASKS[task], load(str(write_annotations(tmp_path / "a.json", RECORDS))).clips)
    answers = {item.request.id: f"answer {n}" for n, item in enumerate(items)}
    found = match(read_predictions(write(tmp_path, as_layout(task, items, answers)), task), items)
    assert (found.answers, found.missing, found.unknown) == (answers, (), ())


def test_missing_and_unknown_predictions_are_named(tmp_path: Path) -> None:
    items = items_of(TASKS["caption"], load(str(write_annotations(tmp_path / "a.json", RECORDS))).clips)
    found = match(read_predictions(write(tmp_path, {"a_002": "x", "zzz": "y"}), "caption"), items)
    assert (found.answers, found.missing, found.unknown) == ({"a_002": "x"}, ("a_001",), ("zzz",))


def test_captions_are_also_read_from_records(tmp_path: Path) -> None:
    assert read_predictions(write_annotations(tmp_path / "p.json", RECORDS), "caption").texts == {
        ("a_001", None): RECORDS[0]["caption"],
        ("a_002", None): RECORDS[1]["caption"],
    }


@pytest.mark.parametrize(
    ("task", "text", "repeated", "last"),
    [
        ("caption", '{"a_001": "one", "a_002": "two", "a_001": "three"}', 1, "three"),
        ("caption", '[{"video_id": "a", "caption": "one", "caption": "two"}]', 1, "two"),
        ("caption", '[{"video_id": "a", "caption": "1"}, {"video_id": "a", "caption": null}]', 0, "1"),
        ("caption", '[{"video_id": "a", "caption": "1"}, {"video_id": "a", "caption": "2"}]', 1, "2"),
        ("vqa", '[{"video_id": "a", "qa_pairs": [{"Q": "Q", "A": "1"}, {"Q": " Q ", "A": "2"}]}]', 1, "2"),
    ],
)
def test_of_repeated_predictions_the_last_counts_and_the_others_are_counted(
    tmp_path: Path, task: Any, text: str, repeated: int, last: str
) -> None:
    (tmp_path / "p.json").write_text(text)
    found = read_predictions(tmp_path / "p.json", task)
    assert found.repeated == repeated
    assert next(iter(found.texts.values())) == last


@pytest.mark.parametrize(
    ("task", "content", "message"),
    [
        ("caption", {"a_001": 3}, "p.json: a_001: the prediction is not a text but int"),
        ("vqa", {"a_001": "x"}, "expected an array of {video_id, qa_pairs}"),
        ("caption", 7, "expected an object {video_id: caption}"),
        ("vqa", [{"video_id": "a_001"}], "record 1 .*lacks 'caption' and 'qa_pairs'"),
        ("vqa", [{"video_id": "../x", "qa_pairs": []}], "not a safe video_id"),
    ],
)
def test_a_file_in_neither_layout_is_refused(tmp_path: Path, task: Any, content: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_predictions(write(tmp_path, content), task)
