"""Rubrics of a user in place of the shipped ones."""

from pathlib import Path

import pytest

from microg_bench.annotation.rubrics import STAGES, StageRubrics, rubric_like
from microg_bench.errors import DataError, UsageError
from microg_bench.prompts import PROMPTS


def written(folder: Path, old: str, new: str) -> Path:
    text = (PROMPTS / "annotate/ratings.toml").read_text()
    assert old in text
    folder.mkdir()
    (folder / "ratings.toml").write_text(text.replace(old, new))
    return folder


def test_the_shipped_rubrics_have_names_of_their_own() -> None:
    shipped = StageRubrics.read()
    assert len({getattr(shipped, stage).sha256 for stage in STAGES}) == len(STAGES)


def test_a_file_takes_the_place_of_the_rubric_of_its_stage(tmp_path: Path) -> None:
    own = StageRubrics.read(written(tmp_path / "own", "Rate from 1", "Judge from 1"))
    shipped = StageRubrics.read()
    assert own.ratings.sha256 != shipped.ratings.sha256
    assert own.answers == shipped.answers


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("{{ caption |", "{{ captions |", "uses captions"),
        ('fields = ["caption", "question"', 'fields = ["question", "caption", "more"', "needs the fields"),
        ("maximum = 5", "maximum = 7", "needs the schema of annotate-ratings"),
        ('user = """', 'user = "', "cannot be read"),
    ],
)
def test_a_rubric_that_cannot_stand_in_is_refused(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        StageRubrics.read(written(tmp_path / "own", old, new))


def test_a_folder_without_rubrics_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has none of candidates\.toml"):
        StageRubrics.read(tmp_path)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown rubric 'chek': did you mean check"):
        rubric_like("annotate", "check", "chek")
