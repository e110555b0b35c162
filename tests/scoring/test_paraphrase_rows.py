"""Questions in other words are read from any file of rows; what is no paraphrase is told with its place."""

import json
from pathlib import Path
from typing import Any

import pytest

from microg_bench.dataset.load import SAMPLE_FOLDER, Dataset, load
from microg_bench.errors import DataError
from microg_bench.scoring.paraphrase_rows import LONGEST, read_paraphrases
from tests.helpers.datasets import QUESTIONS, record, write_annotations

ROWS = [
    ("b_000", 2, "Which thing floats?"),
    ("a_000", 1, "Who can be seen?"),
    ("a_000", 1, "Whom do we see?"),
]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    records = [record(name, n) for n, name in enumerate(("a_000", "b_000"))]
    return load(write_annotations(tmp_path / "set.json", records))


def as_lines(path: Path, *rows: Any) -> Path:
    """A file of JSON Lines; a row of three values has the names of the columns."""
    names = ("video_id", "question", "paraphrase")
    found = [dict(zip(names, row, strict=True)) if isinstance(row, tuple) else row for row in rows]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in found))
    return path


def test_lines_and_csv_give_the_same_in_the_order_of_the_dataset(tmp_path: Path, dataset: Dataset) -> None:
    expected = {"a_000#1": ("Who can be seen?", "Whom do we see?"), "b_000#2": ("Which thing floats?",)}
    found = read_paraphrases(as_lines(tmp_path / "p.jsonl", *ROWS), dataset)
    assert found == expected
    assert list(found) == list(expected)
    table = tmp_path / "p.csv"
    lines = ["video_id,question,paraphrase", *(f'{name},{k},"{text}"' for name, k, text in ROWS)]
    table.write_text("\n".join(lines))
    assert read_paraphrases(table, dataset) == expected


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("c_000", 1, "Who?"), "unknown clip 'c_000'"),
        ((3, 1, "Who?"), "unknown clip '3'"),
        (("a_000", 3, "Who?"), "unknown question '3': a_000 has 2, counted from 1"),
        (("a_000", 0, "Who?"), "unknown question '0'"),
        (("a_000", True, "Who?"), "unknown question 'True'"),
        (("a_000", "1.0", "Who?"), "unknown question '1.0'"),
        (("a_000", "²", "Who?"), "unknown question '²'"),
        (("a_000", 10**30, "Who?"), "unknown question '1000"),
        (("a_000", 1, f"{QUESTIONS[0].upper()}!"), "has the words of the question itself"),
        (("a_000", 1, QUESTIONS[1]), "has the words of question 2 of the clip"),
        (("a_000", 1, "whom do we see"), "has the words of one before"),
        (("a_000", 1, "?!"), "the paraphrase has no words"),
        (("a_000", 1, " "), "no text of one line"),
        (("a_000", 1, "Who\nis it?"), "no text of one line"),
        (("a_000", 1, "Who is \x1b[31mit?"), "no text of one line"),
        (("a_000", 1, "w" * (LONGEST + 1)), "no text of one line and at most 1,000 characters"),
        (("a_000", 1, None), "no text of one line"),
        (
            {"video_id": "a_000", "question": 1},
            "give an object with the fields video_id, question, paraphrase",
        ),
        ([1], "give an object"),
    ],
)
def test_what_is_no_paraphrase_is_told_with_its_line(
    tmp_path: Path, dataset: Dataset, row: Any, said: str
) -> None:
    file = as_lines(tmp_path / "p.jsonl", *ROWS, row)
    with pytest.raises(DataError) as caught:
        read_paraphrases(file, dataset)
    assert str(caught.value).startswith(f"{file}: line 4: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_longest_paraphrase_is_read(tmp_path: Path, dataset: Dataset) -> None:
    row = ("a_000", 1, "w" * LONGEST)
    assert read_paraphrases(as_lines(tmp_path / "p.jsonl", row), dataset) == {"a_000#1": (row[2],)}


def test_a_file_without_a_paraphrase_is_refused(tmp_path: Path, dataset: Dataset) -> None:
    (tmp_path / "p.csv").write_text("video_id,question,paraphrase\n")
    with pytest.raises(DataError, match="holds no paraphrase"):
        read_paraphrases(tmp_path / "p.csv", dataset)


def test_the_only_line_of_a_file_is_named_too(tmp_path: Path, dataset: Dataset) -> None:
    file = as_lines(tmp_path / "p.jsonl", ("a_000", 7, "Who?"))
    with pytest.raises(DataError, match=r"p\.jsonl: line 1: unknown question '7'"):
        read_paraphrases(file, dataset)


def test_a_clip_that_is_no_plain_name_is_told_without_its_control_characters(
    tmp_path: Path, dataset: Dataset
) -> None:
    with pytest.raises(DataError) as caught:
        read_paraphrases(as_lines(tmp_path / "p.jsonl", *ROWS, ("\x1b[2J\n", 1, "Who?")), dataset)
    assert str(caught.value).isprintable()


def test_the_sample_has_two_paraphrases_of_most_questions() -> None:
    sample = load("sample")
    found = read_paraphrases(SAMPLE_FOLDER / "paraphrases.jsonl", sample)
    assert {len(texts) for texts in found.values()} == {2}
    assert len(found) == 60
    assert {name.partition("#")[0] for name in found} == {clip.video_id for clip in sample.clips}
