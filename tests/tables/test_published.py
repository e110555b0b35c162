"""The published numbers: digit for digit in every format, and a broken file is named."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from microg_bench.errors import DataError
from microg_bench.storage import shipped
from microg_bench.tables.csv_json import to_csv, to_json
from microg_bench.tables.latex import to_latex
from microg_bench.tables.markdown import to_markdown
from microg_bench.tables.paper import paper_tables
from tests.helpers.tables import rows_of, table


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_every_published_row_is_shown_digit_for_digit(number: int) -> None:
    one = table(number)
    with (shipped("results/published") / one.facts.file).open(newline="") as file:
        published = list(csv.DictReader(file))
    names = [*one.facts.labels, *(column.name for column in one.facts.columns)]
    expected = sorted([line[name] for name in names] for line in published)
    text = to_markdown(one).replace("&gt;", ">")
    assert sorted(row for row in rows_of(text)[1:] if not row[0].startswith("*")) == expected
    again = list(csv.DictReader(to_csv(one).splitlines()))
    assert sorted([line[name] for name in names] for line in again) == expected
    values = [[f"{value:.2f}" for value in row["values"].values()] for row in to_json(one)["rows"]]
    assert sorted(values) == sorted(row[len(one.facts.labels) :] for row in expected)
    cells = {cell for row in expected for cell in row[len(one.facts.labels) :]}
    assert [cell for cell in cells if cell not in to_latex(one)] == []


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("captioning.csv", lambda text: text.replace("CIDEr", "Cider"), "line 1: lacks the column 'CIDEr'"),
        ("captioning.csv", lambda text: text.replace("1.74", "1,74"), "line 8: has not as many fields"),
        (
            "captioning.csv",
            lambda text: text.replace("1.74", "high"),
            "line 8: CIDEr is 'high', not a number",
        ),
        ("vqa.csv", lambda text: text.replace("closed", "shut"), "access is 'shut', not open or closed"),
        ("actions.csv", lambda text: text.splitlines()[0], "holds no rows"),
        ("actions.csv", lambda text: text + '"', "line 13: unexpected end"),
        ("paper.json", lambda text: text[:100], "paper.json: Invalid JSON"),
        ("paper.json", lambda text: text.replace('"split"', '"part"', 1), "tables.0.columns.0.part: "),
    ],
)
def test_a_broken_file_of_published_numbers_is_named(
    tmp_path: Path, file: str, change: Callable[[str], str], message: str
) -> None:
    folder = Path(shutil.copytree(shipped("results/published"), tmp_path / "published"))
    path = folder / file
    path.write_text(change(path.read_text()))
    with pytest.raises(DataError) as caught:
        paper_tables([], [], folder=folder)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("file", ["vqa.csv", "paper.json"])
def test_a_missing_file_of_published_numbers_is_named(tmp_path: Path, file: str) -> None:
    folder = Path(shutil.copytree(shipped("results/published"), tmp_path / "published"))
    (folder / file).unlink()
    with pytest.raises(DataError, match=f"{file}: cannot be read"):
        paper_tables([], [], folder=folder)
