"""Files of rows: formats, faults, bounds, and bytes of any kind."""

import codecs
import csv
import gzip
import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from microg_bench.errors import DataError, MicrogError
from microg_bench.records import Request
from microg_bench.scoring import rows
from microg_bench.scoring.predictions import read_predictions
from microg_bench.scoring.rows import read_rows
from microg_bench.tasks import Item
from tests.helpers.datasets import bench, record, without, write_annotations

pytestmark = pytest.mark.slow

ROWS = [{"id": "a", "answer": "x\ny"}, {"id": "b", "answer": 'é "q", '}]
NAMES = ("id", "answer")


def written(folder: Path, content: bytes) -> Path:
    (folder / "p").write_bytes(content)
    return folder / "p"


def as_array(found: list[dict[str, Any]]) -> bytes:
    return json.dumps(found, indent=1).encode()


def as_lines(found: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in found)


def as_parquet(found: list[dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(found, strict=False).write_parquet(buffer)
    return buffer.getvalue()


def as_csv(found: list[dict[str, Any]], separator: str = "\t") -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=separator, quoting=csv.QUOTE_ALL)
    writer.writerows([found[0], *(row.values() for row in found)])
    return buffer.getvalue().encode()


def as_workbook(found: list[dict[str, Any]]) -> bytes:
    pytest.importorskip("openpyxl")
    xlsxwriter = pytest.importorskip("xlsxwriter")
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"strings_to_formulas": False})
    book.set_properties({"created": datetime(2026, 1, 1, tzinfo=UTC)})
    sheet = book.add_worksheet()
    for number, row in enumerate([list(found[0]), *([*row.values()] for row in found)]):
        sheet.write_row(number, 0, row)
    book.close()
    return buffer.getvalue()


def changed(content: bytes, name: str, part: Callable[[bytes], bytes]) -> bytes:
    """A zip with another content of a member."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for one in old.namelist():
            new.writestr(one, part(old.read(one)) if one == name else old.read(one))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("pack", "first"),
    [
        (as_array, "record 1"),
        (as_lines, "line 1"),
        (as_parquet, "row 1"),
        (as_csv, "row 2"),
        (lambda found: as_csv(found, ","), "row 2"),
        (lambda found: as_csv(found, ";"), "row 2"),
        (as_workbook, "row 2"),
    ],
)
def test_the_same_rows_are_read_of_every_format(tmp_path: Path, pack: Any, first: str) -> None:
    content = pack(ROWS)
    found = list(read_rows(written(tmp_path, content), NAMES))
    assert [row for _, row in found] == ROWS
    assert found[0][0] == first
    assert list(read_rows(written(tmp_path, gzip.compress(content)), NAMES)) == found or content[:2] == b"PK"


@pytest.mark.parametrize("pack", [as_array, as_lines, as_csv])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_text_may_have_a_byte_order_mark(tmp_path: Path, pack: Any, encoding: str) -> None:
    path = written(tmp_path, pack(ROWS).decode().encode(encoding))
    assert [row for _, row in read_rows(path, NAMES)] == ROWS


def test_an_object_alone_has_no_place(tmp_path: Path) -> None:
    for text in (b'{"a": "x"}', b'\n {"a":\n "x"}\n\n'):
        assert list(read_rows(written(tmp_path, text), NAMES)) == [(None, {"a": "x"})]


def test_numbers_of_a_workbook_stay_numbers_and_blank_rows_are_none(tmp_path: Path) -> None:
    content = as_workbook([{"id": "a", "answer": 3}, {"id": None, "answer": None}, {"id": "", "answer": "x"}])
    found = list(read_rows(written(tmp_path, content), NAMES))
    assert found == [("row 2", {"id": "a", "answer": 3}), ("row 4", {"id": "", "answer": "x"})]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "p: is empty"),
        (b" \n\n", "p: is empty"),
        (codecs.BOM_UTF8, "p: is empty"),
        (b"[1,", "p: not JSON: Expecting value in line 1"),
        (b"[" * 100_000, "p: not JSON: nested too deeply"),
        (b'{"a": 1}\n\n{"a": \n', "p: line 3: not JSON: Expecting value"),
        (b'{"a": 1}\n' + b'{"a": ' * 100_000, "p: line 2: not JSON: nested too deeply"),
        (b'{"a": 1}\n{"b": ' + b"9" * 10_000 + b"}", "p: line 2: not JSON: Exceeds the limit"),
        (b"a\tb\n1\t2\n1\t2\t3\n", "p: row 3: 3 fields where the first row has 2"),
        (b"a\tb\n1\n", "p: row 2: 1 fields where the first row has 2"),
        (b"a\tb\ta\n", "p: has the column 'a' twice"),
        (b'a\tb\n1\t"2\n', "p: row 2: cannot be read as CSV: unexpected end of data"),
        (b'a\tb\n1\t"2"3\n', "p: row 2: cannot be read as CSV: '\t' expected after '\"'"),
        (b"a\tb\n1\t" + b"x" * 200_000, "p: row 2: cannot be read as CSV: field larger than field limit"),
        (b"x" * 20_000, "p: its first line is too long for names of columns"),
        (b"PAR1" + bytes(20), "p: is not Parquet: it does not end in a footer"),
        (b"\xff\xfe\x00", "p: is not UTF-16-LE text"),
        (b"a\tb\n\xe4\tb\n", "p: line 2: is not UTF-8 text; save it as UTF-8"),
    ],
)
def test_what_is_damaged_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        list(read_rows(written(tmp_path, content), NAMES))
    assert message in str(caught.value)


def test_a_workbook_that_is_damaged_or_none_is_named(tmp_path: Path) -> None:
    content = as_workbook(ROWS)
    sheet = "xl/worksheets/sheet1.xml"
    entity = b'<!DOCTYPE a [<!ENTITY b "bb">]>'
    twice = as_workbook([{"id": "a", "answer": "x"}])
    for made, message in [
        (content[:400], "cannot be read as an Excel workbook: "),
        (changed(content, sheet, lambda part: part[:300]), "cannot be read as an Excel workbook: "),
        (changed(content, sheet, lambda part: entity + part), f"is no plain workbook: {sheet}"),
        (changed(content, sheet, lambda part: part.decode().encode("utf-16")), "is no plain workbook"),
        (changed(twice, "xl/sharedStrings.xml", lambda part: part.replace(b"answer", b"id")), "'id' twice"),
        (
            as_workbook([{"id": "a"}, {"id": "b", "answer": "x"}]),
            "row 3: has more cells than the first row, which has 1",
        ),
    ]:
        with pytest.raises(DataError) as caught:
            list(read_rows(written(tmp_path, made), NAMES))
        assert message in str(caught.value)


def test_a_zip_that_is_no_workbook_is_packed(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("p.json", as_array(ROWS))
    with pytest.raises(DataError, match="is packed"):
        list(read_rows(written(tmp_path, buffer.getvalue()), NAMES))


def test_what_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workbook = as_workbook([{"id": "x" * 1_000, "answer": str(n)} for n in range(100)])
    far = changed(
        as_workbook(ROWS), "xl/worksheets/sheet1.xml", lambda part: part.replace(b'r="3"', b'r="900000"')
    )
    monkeypatch.setattr(rows, "MAX_JSON_BYTES", 20_000)
    for content in (b"[" + b"1," * 20_000 + b"1]", gzip.compress(bytes(30_000)), workbook):
        with pytest.raises(DataError, match="MiB, unpacked"):
            list(read_rows(written(tmp_path, content), NAMES))
    monkeypatch.setattr(rows, "MAX_JSON_BYTES", 2**20)
    monkeypatch.setattr(rows, "MAX_TAGS", 300)
    with pytest.raises(DataError, match="has too many cells: save it as"):
        list(read_rows(written(tmp_path, as_workbook(ROWS * 50)), NAMES))
    monkeypatch.setattr(rows, "MAX_TAGS", 2**20)
    monkeypatch.setattr(rows, "MAX_ROWS", 50)
    for content in (as_lines(ROWS * 26), as_csv(ROWS * 26), as_parquet(ROWS * 26), far):
        with pytest.raises(DataError, match="holds more than 50 rows"):
            list(read_rows(written(tmp_path, content), NAMES))


def test_a_workbook_needs_an_extra_and_says_what_to_do_without(tmp_path: Path) -> None:
    data = write_annotations(tmp_path / "refs.json", [record("a_001", 1)])
    (tmp_path / "p.xlsx").write_bytes(b"PK\x03\x04 sheet")
    done = bench(
        *("score", "--task", "caption", "--predictions", "p.xlsx", "--data", data),
        cwd=tmp_path,
        env=without(tmp_path, "openpyxl"),
    )
    assert done.returncode == 1
    assert "p.xlsx: an Excel workbook, unless it is saved as .tsv or .json, needs an extra" in done.stderr
    assert "pip install 'microg-bench[excel]'" in done.stderr


ITEMS = tuple(
    Item(Request(id=f"a_1#{k}", task="vqa", video_id="a_1", source="a", question=q), "ref")
    for k, q in enumerate(("Who?", "What?"), start=1)
)
FIELDS = (
    "video_id",
    "caption",
    "qa_pairs",
    "doc_id",
    "filtered_resps",
    "doc",
    "target",
    "input",
    "prediction",
)
FIELDS += ("index", "video", "question", "task", "id", "answer", "model", "source", "zzz")
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["a_1", "a_1#1", "Who?", "vqa", "caption", "ref", '[{"Q": "Who?", "A": "x"}]']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*FIELDS, "Q", "A"]), inner),
    max_leaves=6,
)
TABLES = st.lists(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6), min_size=1, max_size=4)


def outcome(content: bytes, task: Any) -> None:
    """Reading ends in predictions, all of them texts, or in an error of ours."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = read_predictions(written(Path(folder), content), task, ITEMS)
        except MicrogError as error:
            assert "\n" not in error.reason
        else:
            assert all(isinstance(text, str) for text in found.answers.values())
            assert set(found.answers) | set(found.missing) == {item.request.id for item in ITEMS}


@settings(max_examples=200, deadline=None)
@given(TABLES, st.sampled_from([as_array, as_lines]), st.sampled_from(["caption", "vqa"]))
def test_any_json_is_read_or_refused(found: list[dict[str, Any]], pack: Any, task: str) -> None:
    outcome(pack(found), task)


@settings(max_examples=100, deadline=None)
@given(TABLES, st.sampled_from(["caption", "vqa"]))
def test_any_columns_of_parquet_are_read_or_refused(found: list[dict[str, Any]], task: str) -> None:
    try:
        content = as_parquet(found)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OverflowError, TypeError):
        return  # no table
    outcome(content, task)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
@pytest.mark.parametrize("pack", [as_array, as_lines, as_csv, as_parquet, as_workbook])
def test_any_damage_is_read_or_refused(pack: Any, data: st.DataObject) -> None:
    content = bytearray(pack([{"task": "vqa", "id": "a_1#1", "answer": "x", "model": "m"}] * 2))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    outcome(bytes(content), "vqa")


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_damage_within_a_workbook_is_read_or_refused(data: st.DataObject) -> None:
    workbook = as_workbook([{"task": "vqa", "id": "a_1#1", "answer": "x"}])
    name = data.draw(st.sampled_from(zipfile.ZipFile(io.BytesIO(workbook)).namelist()))

    def damaged(part: bytes) -> bytes:
        place = data.draw(st.integers(0, len(part)))
        cut = data.draw(st.integers(0, 20))
        return part[:place] + data.draw(st.binary(max_size=4)) + part[place + cut :]

    outcome(changed(workbook, name, damaged), "vqa")


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=60),
    st.sampled_from([b"", b"PK\x03\x04", b"PAR1", b"[", b"{", b"video_id,prediction\n"]),
)
def test_any_bytes_are_read_or_refused(content: bytes, start: bytes) -> None:
    outcome(start + content, "caption")
