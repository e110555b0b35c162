from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from microg_bench.export.predictions import COLUMNS, frame, to_jsonl, to_parquet
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import FLAGS
from microg_bench.scoring.score import PREDICTIONS_FILE

STRANGE = 'nul \0 é 漢 \U0001f680 \u2028 \ud800 "q" \\ \r\n\tend'


def read(*runs: Path) -> pl.DataFrame:
    records = [RunRecord.read(run) for run in runs]
    return frame([(record, record.dataset()) for record in records])


def change_line(journal: Path, number: int, **changed: object) -> None:
    """Set fields of a record of a journal."""
    lines = journal.read_text().splitlines()
    lines[number] = json.dumps({**json.loads(lines[number]), **changed})
    journal.write_text("".join(line + "\n" for line in lines))


def load(format_: str, path: Path, cache: Path, **options: Any) -> Any:
    datasets = pytest.importorskip("datasets")
    return datasets.load_dataset(
        format_, data_files=str(path), split="train", cache_dir=str(cache), **options
    )


def test_every_item_is_a_row_with_its_reference_answer_and_scores(scored: Path) -> None:
    rows = read(scored / "caption", scored / "vqa").to_dicts()
    assert [row["id"] for row in rows] == [
        "a_001",
        "a_002",
        "b_001",
        *(f"{clip}#{k}" for clip in ("a_001", "a_002", "b_001") for k in (1, 2)),
    ]
    predicted = json.loads((scored / "caption" / PREDICTIONS_FILE).read_text())
    assert {row["id"]: row["answer"] for row in rows[:3]} == predicted
    asked = rows[-1]
    assert (asked["task"], asked["video_id"], asked["source"]) == ("vqa", "b_001", "b")
    assert (asked["question"], asked["reference"]) == ("What floats?", "Answer 1 about clip number 3.")
    assert asked["finish_reason"] == "stop" and asked["failure_reason"] is None
    assert rows[0]["question"] is None and rows[0]["model"] == "blind"


def test_every_answer_knows_what_it_is_and_who_gave_it(scored: Path) -> None:
    journal = scored / "caption" / "journal.jsonl"
    change_line(journal, 0, answer=" ", finish_reason="content_filter", served_model="m-1")
    change_line(journal, 1, answer="Okay, let's see.", reasoning="The user wants it.")
    rows = read(scored / "caption").to_dicts()
    flagged = [[name for name in FLAGS if row[name]] for row in rows]
    assert flagged == [["empty", "filtered"], ["thoughts"], []]
    assert [row["served_model"] for row in rows] == ["m-1", None, None]
    assert [row["reasoning"] for row in rows] == [None, "The user wants it.", None]


def test_the_scores_of_the_rows_are_those_of_the_metric(scored: Path) -> None:
    found = read(scored / "caption")
    card = json.loads((scored / "caption" / "scorecard.json").read_text())
    assert np.mean(found["ROUGE-L"].to_numpy()) == pytest.approx(card["scores"]["ROUGE-L"]["value"])
    assert found.columns == [*COLUMNS, "CIDEr", "ROUGE-L"]


def test_datasets_loads_both_formats_to_equal_rows(scored: Path, tmp_path: Path) -> None:
    change_line(scored / "caption" / "journal.jsonl", 0, frames=[0, 44, 89])
    found = read(scored / "caption", scored / "vqa")
    (tmp_path / "p.jsonl").write_bytes(to_jsonl(found))
    (tmp_path / "p.parquet").write_bytes(to_parquet(found))
    parquet = load("parquet", tmp_path / "p.parquet", tmp_path / "cache")
    lines = load("json", tmp_path / "p.jsonl", tmp_path / "cache")
    assert parquet.to_list() == lines.to_list() == found.to_dicts()
    assert parquet[0]["frames"] == [0, 44, 89]
    typed = load("json", tmp_path / "p.jsonl", tmp_path / "cache", features=parquet.features)
    assert typed.features == parquet.features
    assert typed.to_list() == parquet.to_list()


def test_columns_keep_their_types_where_all_is_null(scored: Path, tmp_path: Path) -> None:
    captions, answers = read(scored / "caption"), read(scored / "vqa")
    assert captions["question"].null_count() == len(captions)
    assert captions.schema == answers.schema
    (tmp_path / "p.parquet").write_bytes(to_parquet(captions))
    assert pl.read_parquet(tmp_path / "p.parquet").schema == captions.schema
    features = load("parquet", tmp_path / "p.parquet", tmp_path / "cache").features
    assert features["question"].dtype == features["failure_stage"].dtype == "large_string"


def test_strange_text_survives_and_a_lone_surrogate_becomes_a_question_mark(
    scored: Path, tmp_path: Path
) -> None:
    change_line(scored / "caption" / "journal.jsonl", 0, answer=STRANGE, text=STRANGE + " raw")
    found = read(scored / "caption")
    expected = STRANGE.replace("\ud800", "?")
    (tmp_path / "p.jsonl").write_bytes(to_jsonl(found))
    (tmp_path / "p.parquet").write_bytes(to_parquet(found))
    for format_, name in (("json", "p.jsonl"), ("parquet", "p.parquet")):
        row = load(format_, tmp_path / name, tmp_path / "cache")[0]
        assert (row["answer"], row["text"]) == (expected, expected + " raw")


def test_a_failure_has_a_stage_and_a_reason_and_no_answer(scored: Path) -> None:
    journal = scored / "vqa" / "journal.jsonl"
    lines = journal.read_text().splitlines()
    failure = {
        "type": "failure",
        "id": "b_001#2",
        "stage": "parse",
        "reason": "no answer in it",
        "retryable": False,
        "response": {"id": "b_001#2", "text": "What?"},
    }
    kept = [line for line in lines if json.loads(line)["id"] != "b_001#2"]
    journal.write_text("".join(line + "\n" for line in [*kept, json.dumps(failure)]))
    row = read(scored / "vqa").to_dicts()[-1]
    assert (row["failure_stage"], row["failure_reason"]) == ("parse", "no answer in it")
    assert (row["answer"], row["finish_reason"], row["frames"], row["text"]) == (None, "stop", None, "What?")


def test_only_the_last_part_of_a_local_model_file_is_shown(scored: Path) -> None:
    file = scored / "caption" / "run.json"
    content = json.loads(file.read_text())
    content["settings"]["model"] = "/home/somebody/secret/mine.py"
    file.write_text(json.dumps(content))
    assert set(read(scored / "caption")["model"]) == {"mine.py"}


def test_the_same_run_gives_the_same_bytes(scored: Path) -> None:
    first, second = read(scored / "vqa"), read(scored / "vqa")
    assert to_parquet(first) == to_parquet(second)
    assert to_jsonl(first) == to_jsonl(second)


def test_without_the_dataset_questions_and_references_are_null(scored: Path) -> None:
    with_references, record = read(scored / "vqa"), RunRecord.read(scored / "vqa")
    found = frame([(record, None)])
    assert found["question"].null_count() == found["reference"].null_count() == len(found)
    others = [name for name in found.columns if name not in ("question", "reference")]
    assert found.select(others).sort("id").equals(with_references.select(others).sort("id"))
