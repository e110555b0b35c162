"""The published numbers ship as data, in the columns of the tasks."""

import csv

import pytest

from microg_bench.storage import shipped
from microg_bench.tasks import TASKS


@pytest.mark.parametrize(("name", "task", "rows"), [("captioning.csv", "caption", 8), ("vqa.csv", "vqa", 5)])
def test_each_table_has_the_columns_of_its_task(name: str, task: str, rows: int) -> None:
    with (shipped("results/published") / name).open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == rows
    assert list(table[0]) == ["model", "access", "frames", *TASKS[task].metrics]
    for row in table:
        assert row["access"] in ("open", "closed")
        assert int(row["frames"]) > 0
        assert all(0 <= float(row[metric]) <= 100 for metric in TASKS[task].metrics)
