"""Parquet from elsewhere: the columns that are asked for, within bounds, and bytes of any kind."""

import io
import tempfile
from pathlib import Path

import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microg_bench.dataset import parquet
from microg_bench.dataset.annotations import read_annotations
from microg_bench.dataset.parquet import read_parquet
from microg_bench.errors import DataError
from tests.helpers.datasets import record

RECORDS = polars.DataFrame([record("a_001", 1), record("a_002", 2)])
NAMES = ("video_id", "caption", "qa_pairs")


def parquet_bytes(frame: polars.DataFrame, **options: int) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


CONTENT = parquet_bytes(RECORDS)


def test_only_the_columns_that_are_asked_for_are_read(tmp_path: Path) -> None:
    frame = RECORDS.with_columns(mark=polars.lit("x"), flag=polars.lit(True), size=polars.lit(0.5))
    (tmp_path / "a.parquet").write_bytes(parquet_bytes(frame, row_group_size=1))
    assert read_parquet(tmp_path / "a.parquet", NAMES).equals(RECORDS)
    assert read_parquet(tmp_path / "a.parquet", ["caption", "none"]).columns == ["caption"]
    with pytest.raises(DataError, match=r"a\.parquet: has none of the columns Q, A"):
        read_parquet(tmp_path / "a.parquet", ["Q", "A"])


def test_a_path_is_no_pattern(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(CONTENT)
    with pytest.raises(DataError, match="no such file"):
        read_parquet(tmp_path / "*.parquet", NAMES)


def test_equal_values_are_stored_once_but_counted_as_often_as_they_occur(tmp_path: Path) -> None:
    pairs = [{"Q": "a", "A": "b"}]
    many = polars.Series(pairs).new_from_index(0, parquet.MAX_VALUES + 1)
    frame = polars.DataFrame({"video_id": ["a_001"], "qa_pairs": [many]})
    (tmp_path / "a.parquet").write_bytes(parquet_bytes(frame))
    assert (tmp_path / "a.parquet").stat().st_size < 100_000
    with pytest.raises(DataError, match=r"a\.parquet: a column holds more than 5,000,000 values"):
        read_annotations(tmp_path / "a.parquet")
    assert read_parquet(tmp_path / "a.parquet", ["video_id"]).height == 1


def test_long_equal_texts_are_measured_as_often_as_they_occur(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = polars.DataFrame({"video_id": polars.Series(["a" * 1000]).new_from_index(0, 5000)})
    (tmp_path / "a.parquet").write_bytes(parquet_bytes(frame))
    assert read_parquet(tmp_path / "a.parquet", ["video_id"]).height == 5000
    monkeypatch.setattr(parquet, "MAX_UNPACKED", 4 * 2**20)
    with pytest.raises(DataError, match="holds more than 4 MiB, unpacked"):
        read_parquet(tmp_path / "a.parquet", ["video_id"])


def whole(number: int, size: int = 0) -> bytes:
    """A whole number in Thrift's compact protocol, in at least `size` bytes."""
    number, found = 2 * number, []
    while number >= 128 or len(found) + 1 < size:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def falsified(content: bytes, true: int, told: int, *which: int) -> bytes:
    """A Parquet file whose footer tells another number, at these places of the true one."""
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    first, *parts = content[start:].split(whole(true))
    for place, part in enumerate(parts):
        first += (whole(told, len(whole(true))) if place in which else whole(true)) + part
    return content[:start] + first


def equal_rows(count: int) -> bytes:
    """Parquet of equal rows, of which the footer tells the number in the file, the column and its group."""
    frame = polars.DataFrame({"video_id": polars.Series(["a_001"]).new_from_index(0, count)})
    return parquet_bytes(frame, row_group_size=count)


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ((), "holds more than 5,000,000 rows"),
        ((1,), "holds more than 5,000,000 rows"),
        ((0,), "its row groups have other rows than the file"),
        ((2,), "its row groups have other rows than the file"),
        ((0, 2), "column video_id has other values than told"),
        ((0, 1, 2), "column video_id has other values than told"),
    ],
)
def test_rows_are_counted_before_a_column_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: tuple[int, ...], message: str
) -> None:
    (tmp_path / "a.parquet").write_bytes(falsified(equal_rows(60_000_000), 60_000_000, 5, *which))
    assert (tmp_path / "a.parquet").stat().st_size < 100_000
    monkeypatch.setattr(polars, "read_parquet", None)
    for names in (["video_id"], ["none"]):
        with pytest.raises(DataError, match=rf"a\.parquet: .*{message}"):
            read_parquet(tmp_path / "a.parquet", names)


def test_the_items_of_lists_are_counted_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 20_000_000
    pairs = polars.Series([{"Q": "a", "A": "b"}]).new_from_index(0, count)
    content = parquet_bytes(polars.DataFrame({"video_id": ["a_001"], "qa_pairs": [pairs]}))
    (tmp_path / "a.parquet").write_bytes(falsified(content, count, 5, 0, 1))
    monkeypatch.setattr(polars, "read_parquet", None)
    with pytest.raises(DataError, match=r"column qa_pairs\.list\.element\.Q has other values than told"):
        read_parquet(tmp_path / "a.parquet", NAMES)


def test_a_page_tells_its_size_whatever_the_footer_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = parquet_bytes(polars.DataFrame({"video_id": ["x" * 2**21]}), statistics=False)
    groups = parquet._Compact(content[-8 - int.from_bytes(content[-8:-4], "little") : -8]).struct()[4]
    (tmp_path / "a.parquet").write_bytes(falsified(content, groups[0][1][0][3][6], 50, 0, 1))
    monkeypatch.setattr(parquet, "MAX_UNPACKED", 2**20)
    with pytest.raises(DataError, match="holds more than 1 MiB, unpacked"):
        read_parquet(tmp_path / "a.parquet", ["video_id"])


def test_many_pages_and_row_groups_are_read(tmp_path: Path) -> None:
    frame = polars.DataFrame({"video_id": [f"a_{n}" for n in range(20_000)]})
    (tmp_path / "a.parquet").write_bytes(parquet_bytes(frame, row_group_size=7000, data_page_size=100))
    assert read_parquet(tmp_path / "a.parquet", ["video_id"]).equals(frame)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PAR1",
        b"PAR1PAR1",
        b"PAR1\xff\xff\xff\xffPAR1",
        b"PAR1\x05\0\0\0\x19\xff\xff\xff\xff\x05\0\0\0PAR1",
        b"PAR1" + b"\x1c" * 5000 + b"\x88\x13\0\0PAR1",
        CONTENT[:-20] + CONTENT[-19:],
        CONTENT.replace(b"video_id", b"video-id"),
    ],
)
def test_what_is_no_parquet_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.parquet: ") as caught:
        read_annotations(tmp_path / "a.parquet")
    assert len(str(caught.value).splitlines()) == 1


@given(st.lists(st.tuples(st.integers(0, len(CONTENT) - 1), st.integers(0, 255)), max_size=4))
@settings(max_examples=200, deadline=None)
def test_any_damage_is_read_or_one_named_fault(changes: list[tuple[int, int]]) -> None:
    content = bytearray(CONTENT)
    for place, byte in changes:
        content[place] = byte
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a.parquet"
        path.write_bytes(content)
        try:
            assert len(read_annotations(path)) > 0
        except DataError as error:
            assert str(error).startswith(f"{path}: ")
