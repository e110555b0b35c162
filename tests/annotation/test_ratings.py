"""Which answers people are shown, and which ratings are refused."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from microg_bench.annotation.ratings import COLUMNS, answer_keys, draw_answers, read_ratings
from microg_bench.curation.tables import table_text
from microg_bench.errors import DataError, UsageError
from microg_bench.runs.record import RunRecord
from tests.helpers.judged import judged_runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[RunRecord]:
    folders = judged_runs(tmp_path_factory.mktemp("runs"))
    return [RunRecord.read(folder / "vqa") for folder in folders]


def test_the_seed_chooses_and_orders_the_answers(runs: list[RunRecord]) -> None:
    keys = {key for run in runs for key in answer_keys(run).values()}
    every = draw_answers(runs, runs[0].dataset(), 1000, 0)
    assert {one.key for one in every} == keys and len(every) == len(keys)
    assert draw_answers(list(reversed(runs)), runs[0].dataset(), 5, 0) == every[:5]
    assert draw_answers(runs, runs[0].dataset(), 1000, 1) != every
    by_key = {key: (name, run) for run in runs for name, key in answer_keys(run).items()}
    for one in every:
        name, run = by_key[one.key]
        assert (one.id, one.answer, one.video_id) == (
            name,
            run.answers[name].answer,
            name.partition("#")[0],
        )


def test_runs_without_answers_are_refused(runs: list[RunRecord]) -> None:
    with pytest.raises(UsageError, match="no answer"):
        draw_answers([], runs[0].dataset(), 5, 0)


def written(folder: Path, *rows: dict[str, str]) -> Path:
    path = folder / "ratings.csv"
    path.write_text(table_text(COLUMNS, [[row.get(name, "") for name in COLUMNS] for row in rows]))
    return path


def row(key: str, **changed: str) -> dict[str, str]:
    return {"key": key, "id": "x", "rater": "ann", "rating": "right"} | changed


def test_ratings_are_read(runs: list[RunRecord], tmp_path: Path) -> None:
    keys = list(answer_keys(runs[0]).values())
    file = written(tmp_path, row(keys[0]), row(keys[1], rating="partly"), row(keys[0], rater="ben"))
    assert [(one.key, one.rater, one.level) for one in read_ratings([file], keys)] == [
        (keys[0], "ann", "right"),
        (keys[1], "ann", "partly"),
        (keys[0], "ben", "right"),
    ]
    assert next(csv.reader(file.open())) == list(COLUMNS)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"key": "0" * 16}, "none of these runs"),
        ({"rating": "good"}, "rating"),
        ({"rater": " "}, "rater"),
        ({"rater": "x" * 201}, "rater"),
    ],
)
def test_a_rating_that_cannot_be_used_is_told_with_its_row(
    runs: list[RunRecord], tmp_path: Path, changed: dict[str, str], told: str
) -> None:
    keys = list(answer_keys(runs[0]).values())
    file = written(tmp_path, row(keys[0]), row(keys[1]) | changed)
    with pytest.raises(DataError, match=f"row 2.*{told}") as raised:
        read_ratings([file], keys)
    assert "\n" not in str(raised.value)


def test_nobody_rates_an_answer_twice(runs: list[RunRecord], tmp_path: Path) -> None:
    keys = list(answer_keys(runs[0]).values())
    file = written(tmp_path, row(keys[0]), row(keys[0], rating="wrong"))
    with pytest.raises(DataError, match="row 2.*second time"):
        read_ratings([file], keys)


def test_another_table_is_refused(runs: list[RunRecord], tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("video_id,decision\na,accept\n")
    with pytest.raises(DataError, match="'key'"):
        read_ratings([tmp_path / "other.csv"], ())
