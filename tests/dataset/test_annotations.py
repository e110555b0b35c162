import json
from pathlib import Path

import polars
import pytest

from microg_bench.dataset.annotations import read_annotations, source_of
from microg_bench.errors import DataError
from tests.helpers.datasets import record, write_annotations

GOOD = [record("abc_001", 1), record("abc_002", 2)]


def test_json_is_read_in_its_order_and_words(tmp_path: Path) -> None:
    found = read_annotations(write_annotations(tmp_path / "a.json", GOOD))
    assert [annotation.video_id for annotation in found] == ["abc_001", "abc_002"]
    assert found[1].caption == "Clip number 2 shows thing 2 floating."
    assert found[1].questions[1].answer == "Answer 1 about clip number 2."


@pytest.mark.parametrize("as_text", [False, True], ids=["list of structs", "JSON text"])
def test_parquet_reads_as_the_same_records_as_json(tmp_path: Path, as_text: bool) -> None:
    rows = [{**row, "qa_pairs": json.dumps(row["qa_pairs"]) if as_text else row["qa_pairs"]} for row in GOOD]
    polars.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    expected = read_annotations(write_annotations(tmp_path / "a.json", GOOD))
    assert read_annotations(tmp_path / "a.parquet") == expected


def test_the_real_file_is_read_whole(shared: Path) -> None:
    found = read_annotations(shared / "data" / "microg4m" / "vqa_and_captioning.json")
    assert len(found) == 1238
    assert sum(len(annotation.questions) for annotation in found) == 7528


@pytest.mark.parametrize(
    ("video_id", "source"),
    [
        ("PrqcwH8LhDU_051", "PrqcwH8LhDU"),
        ("mm-yw_OO_1001", "mm-yw_OO"),
        ("odd", "odd"),
        ("PrqcwH8LhDU_051.mp4", "PrqcwH8LhDU"),
        ("PrqcwH8LhDU_051.MKV ", "PrqcwH8LhDU"),
        ("v1.5_002", "v1.5"),
    ],
)
def test_the_source_is_the_id_without_its_clip_number(video_id: str, source: str) -> None:
    assert source_of(video_id) == source


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([GOOD[0], {"caption": "x"}], "record 2: lacks 'video_id'"),
        ([GOOD[0], {"video_id": "abc_002"}], r"record 2 \(abc_002\): lacks 'caption' and 'qa_pairs'"),
        ([{**GOOD[0], "qa_pairs": [{"Q": "Who?"}]}], r"record 1 \(abc_001\), question 1: lacks 'A'"),
        ([{**GOOD[0], "qa_pairs": "{"}], "record 1: 'qa_pairs' is not JSON"),
        ([{**GOOD[0], "qa_pairs": {"Q": 1}}], "'qa_pairs' is not an array"),
        ([{**GOOD[0], "caption": 7}], "'caption' is not a text"),
        ([{**GOOD[0], "video_id": 7}], "record 1: 'video_id' is not a text"),
        (["text"], "record 1: expected an object, found str"),
        ([], "expected a non-empty array of records"),
    ],
)
def test_a_malformed_record_is_named_by_its_number(
    tmp_path: Path, records: list[object], message: str
) -> None:
    path = write_annotations(tmp_path / "a.json", records)
    with pytest.raises(DataError, match=message) as caught:
        read_annotations(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "video_id", ["../secret", "a/b", "..", ".hidden", "a\\b", "", "x" * 300, "a\x00b", "a#1"]
)
def test_an_id_that_could_leave_the_folder_is_refused(tmp_path: Path, video_id: str) -> None:
    path = write_annotations(tmp_path / "a.json", [GOOD[0], {**GOOD[1], "video_id": video_id}])
    with pytest.raises(DataError, match="record 2: .* is not a safe video_id"):
        read_annotations(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[{]", "not JSON: .* in line 1"),
        (b"\xff\xfe", "cannot be read"),
        (b'{"a": 1}', "expected a non-empty array"),
    ],
)
def test_a_file_that_is_not_json_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_annotations(tmp_path / "a.json")


def test_deeply_nested_json_is_refused_and_does_not_crash(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[" * 200_000)
    with pytest.raises(DataError):
        read_annotations(tmp_path / "a.json")


def test_a_file_that_is_not_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_annotations(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="missing.parquet"):
        read_annotations(tmp_path / "missing.parquet")
