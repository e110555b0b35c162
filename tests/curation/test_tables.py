"""Small CSV files are read row by row, and each fault is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from microg_bench.curation.tables import read_rows, table_text
from microg_bench.errors import DataError


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    rows = [("a,b", 'say "x"'), ("two\nlines", "")]
    (tmp_path / "a.csv").write_text(table_text(("one", "two"), rows))
    found = list(read_rows(tmp_path / "a.csv", ("two",), 1000))
    assert found == [(n, dict(zip(("one", "two"), row, strict=True))) for n, row in enumerate(rows, start=1)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "a.csv: lacks the column 'one'"),
        ("two\nx\n", "a.csv: lacks the column 'one'"),
        ("one;two\n1;2\n", "a.csv: its fields are separated by semicolons: save it with commas"),
        ('"two";"one"\n1;2\n', "a.csv: its fields are separated by semicolons: save it with commas"),
        ("one\ttwo, three\n1\t2\n", "a.csv: its fields are separated by tabs: save it with commas"),
        ("two;three\n1;2\n", "a.csv: lacks the column 'one'"),
        ("one,two\n1,2\n3\n", "a.csv: row 2: has another number of fields than the header"),
        ("one,two\n1,2,3\n", "a.csv: row 1: has another number of fields than the header"),
        ('one,two\n1,"2"x\n', "a.csv: line 2: is no CSV"),
        ("one\n" + "x" * 1000, "a.csv: "),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        list(read_rows(tmp_path / "a.csv", ("one",), 1000))
    assert reason in str(caught.value)
