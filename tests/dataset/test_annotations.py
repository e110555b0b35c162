import codecs
import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microg_bench.dataset.annotations import id_fault, read_annotations, source_notes, source_of
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


@pytest.mark.parametrize("mark", [codecs.BOM_UTF8, codecs.BOM_UTF16_LE])
def test_json_with_a_byte_order_mark_reads_as_without(tmp_path: Path, mark: bytes) -> None:
    text = json.dumps(GOOD).encode("utf-8" if mark == codecs.BOM_UTF8 else "utf-16-le")
    expected = read_annotations(write_annotations(tmp_path / "a.json", GOOD))
    for content in (mark + text, gzip.compress(mark + text)):
        (tmp_path / "b.json").write_bytes(content)
        assert read_annotations(tmp_path / "b.json") == expected


@pytest.mark.parametrize(
    ("video_id", "source", "fault"),
    [
        ("PrqcwH8LhDU_051", "PrqcwH8LhDU", None),
        ("mm-yw_OO_1001", "mm-yw_OO", None),
        ("a film of 2001_000", "a film of 2001", None),
        ("odd", "odd", "does not end in a clip number, as abc_012 does"),
        ("_001", "_001", "does not end in a clip number, as abc_012 does"),
        ("a_001_", "a_001_", "does not end in a clip number, as abc_012 does"),
        ("a_001.mp4", "a", "ends in '.mp4', as files do"),
        ("a_001.MP4.mp4", "a", "ends in '.MP4.mp4', as files do"),
        ("a_001 ", "a", "has white space or invisible characters around or in it"),
        (" a_001", "a", "has white space or invisible characters around or in it"),
        ("a_001\xa0", "a", "has white space or invisible characters around or in it"),
        ("a\u200b_001", "a\u200b", "has white space or invisible characters around or in it"),
    ],
)
def test_the_source_is_the_id_without_its_clip_number(video_id: str, source: str, fault: str | None) -> None:
    assert source_of(video_id) == source
    assert id_fault(video_id) == fault


@pytest.mark.parametrize("end", [" ", ".mp4", "\t.mov"])
def test_a_long_id_is_read_once(end: str) -> None:
    video_id = end * 200_000 + "x"
    assert source_of(video_id) == video_id.strip()


def test_a_record_may_name_its_source(tmp_path: Path) -> None:
    rows = [{**GOOD[0], "source": "a film"}, {**GOOD[1], "source": None}]
    expected = ["a film", None]
    found = read_annotations(write_annotations(tmp_path / "a.json", rows))
    assert [annotation.source for annotation in found] == expected
    polars.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    assert read_annotations(tmp_path / "a.parquet") == found


@pytest.mark.parametrize("source", ["", " a", "a\n", "a\x1b", "x" * 201, 7, ["a"]])
def test_a_source_that_is_no_name_is_refused(tmp_path: Path, source: object) -> None:
    path = write_annotations(tmp_path / "a.json", [GOOD[0], {**GOOD[1], "source": source}])
    with pytest.raises(DataError, match=r"record 2 \(abc_002\): 'source' is not a name"):
        read_annotations(path)


def test_what_intervals_over_sources_rest_on_is_told() -> None:
    assert list(source_notes({"a_001": "a", "a_002": "a", "b_001": "b"})) == []
    assert list(source_notes({"a_001": "a"})) == []
    assert list(source_notes({"a_001": "a", "b_001": "b"})) == [
        "every clip is a source video of its own, so that intervals over source videos are over clips"
    ]
    assert list(source_notes({"one": "one", "two": "two", "a_1": "a", "a_2": "a"})) == [
        "2 of 4 ids do not end in a clip number, so that each is a source video of its own (the first: 'one')"
    ]
    assert list(source_notes({"one": "a", "two": "a", "three": "b"})) == []


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
        (b"\xff\xfe[", "is not UTF-16-LE text"),
        (b'["caf\xe9"]', "line 1: is not UTF-8 text"),
        (b"[" + b"9" * 5000 + b"]", "not JSON: "),
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
    with pytest.raises(DataError, match="is not Parquet"):
        read_annotations(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="missing.parquet"):
        read_annotations(tmp_path / "missing.parquet")


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4), st.just("a_001")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["video_id", "source", "caption", "qa_pairs", "Q", "A"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)
LIKELY = st.lists(
    st.fixed_dictionaries(
        {"video_id": st.sampled_from(["a_001", "b", "../c", "\ud800"])},
        optional={"source": VALUES, "caption": st.text(max_size=3), "qa_pairs": VALUES},
    ),
    max_size=3,
)


@given(st.one_of(VALUES, LIKELY))
@settings(max_examples=400, deadline=None)
def test_any_json_is_read_or_one_named_fault(content: Any) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a.json"
        path.write_text(json.dumps(content))
        try:
            assert len(read_annotations(path)) > 0
        except DataError as error:
            assert str(error).startswith(f"{path}: ")
            assert len(str(error).splitlines()) == 1
