from __future__ import annotations

import csv
from pathlib import Path

import pytest

from microg_bench.dataset.labels import read_groups, read_label_map
from microg_bench.dataset.stats import CountTable, action_tables
from microg_bench.errors import DataError

HEAD = "video_id,movie_or_real,person_id,action\n"
KINDS = ("action_result", "label_type_result", "person_count")
PUBLISHED = [
    "overall_result",
    *(f"{kind}_{part}" for kind in KINDS for part in ("all", "real", "movie")),
]


def tables(path: Path) -> dict[str, CountTable]:
    return {table.name: table for table in action_tables(path)}


def write(folder: Path, rows: str) -> Path:
    path = folder / "actions.csv"
    path.write_text(HEAD + rows)
    return path


@pytest.fixture(scope="module")
def real(shared: Path) -> dict[str, CountTable]:
    return tables(shared / "data" / "microg4m" / "actions.csv")


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_tables_come_out_to_the_digit(
    shared: Path, real: dict[str, CountTable], name: str
) -> None:
    path = shared / "data" / "microg4m" / f"published_{name}.csv"
    head, *rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    ours_head, *ours = list(csv.reader(real[name].to_csv().splitlines()))
    assert ours_head == head
    # The paper leaves open how rows of the same count stand; ours stand by id.
    count = head.index("count") if "count" in head else None
    assert sorted(ours) == sorted(rows)
    if count is not None:
        assert [row[count] for row in ours] == [row[count] for row in rows]
    else:
        assert ours == rows


def test_there_are_no_other_published_tables(shared: Path, real: dict[str, CountTable]) -> None:
    found = {path.stem.removeprefix("published_") for path in shared.rglob("data/microg4m/published_*.csv")}
    assert found == set(PUBLISHED) == set(real)


def test_every_action_has_a_group() -> None:
    assert set(read_groups()) == set(read_label_map().ids)
    assert set(read_groups().values()) == {"OBJECT_MANIPULATION", "PERSON_INTERACTION", "PERSON_MOVEMENT"}


def test_labels_are_counted_by_row_and_people_by_clip(tmp_path: Path) -> None:
    rows = "a_1,r,1,12\na_1,r,1,12\na_1,r,2,79\nb_1,r,1,80\n"
    found = tables(write(tmp_path, rows))
    assert found["action_result_all"].rows[0] == (12, "stand", 2, 50.0)
    assert [row[0] for row in found["action_result_all"].rows] == [12, 79, 80]
    assert found["person_count_all"].rows == ((1, 1, 50.0), (2, 1, 50.0))
    assert dict(found["overall_result"].rows) == {
        "all video": 2, "movie": 0, "real": 2,
        "all action": 4, "movie action": 0, "real action": 4,
        "all action type": 3, "movie action type": 0, "real action type": 3,
    }  # fmt: skip
    assert "action_result_movie" not in found


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a_1,r,1,12\na_2,r,1,81\n", "row 3: action id 81 is none of the 50 of the label map"),
        ("a_1,r,1,12\na_2,x,1,12\n", "row 3: movie_or_real 'x' is not m or r"),
        ("a_1,r,1,12\na_2,r,-1,12\n", "row 3: 'person_id' is '-1', not a whole number"),
        ("a_1,r,1,stand\n", "row 2: 'action' is 'stand', not a whole number"),
        ("a_1,r,1,12\n../a,r,1,12\n", "row 3: '../a' is not a safe video_id"),
        ("a_1,r,1,12\na_2,r,1,12,7\n", "row 3: 5 fields where the first row has 4"),
        ("", "holds no rows"),
    ],
)
def test_a_broken_table_is_named_by_its_row(tmp_path: Path, rows: str, message: str) -> None:
    path = write(tmp_path, rows)
    with pytest.raises(DataError) as caught:
        action_tables(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_a_table_without_a_column_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "actions.csv"
    path.write_text("video_id,person_id,action\na_1,1,12\n")
    with pytest.raises(DataError, match="lacks the column 'movie_or_real'"):
        action_tables(path)
