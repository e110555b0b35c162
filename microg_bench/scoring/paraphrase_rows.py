"""Reads questions in other words: rows of the id of a clip, the number of its question, and a paraphrase."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from microg_bench.dataset.load import Dataset
from microg_bench.dataset.text_faults import same_words
from microg_bench.errors import DataError
from microg_bench.records import Clip
from microg_bench.scoring.rows import read_rows
from microg_bench.tasks import TASKS
from microg_bench.text import visible

COLUMNS = ("video_id", "question", "paraphrase")
LONGEST = 1_000  # characters of a paraphrase


def read_paraphrases(path: Path, dataset: Dataset) -> dict[str, tuple[str, ...]]:
    """The paraphrases of questions, by the ids of their requests, in the order of the dataset.

    Args:
        path: JSON Lines, CSV, or any other file that `read_rows` reads, with the columns of `COLUMNS`;
            `question` counts the questions of a clip from 1.
        dataset: what the questions belong to.

    Raises:
        DataError: the file cannot be read; or a row names no question of the dataset, has no paraphrase, or
            has one with the words of this question, of another of its clip, or of a row before.
    """
    clips = {clip.video_id: clip for clip in dataset.clips}
    found: dict[str, list[str]] = {}
    for place, row in read_rows(path, COLUMNS):
        try:
            clip, number, text = _row(row, clips)
            name = f"{clip.video_id}#{number}"
            _check_words(text, number, clip, found.get(name, ()))
        except ValueError as error:
            raise DataError(visible(str(error)), path=path, item=place or "line 1") from error
        found.setdefault(name, []).append(text)
    if not found:
        raise DataError("holds no paraphrase", path=path)
    ids = (item.request.id for clip in dataset.clips for item in TASKS["vqa"].items(clip))
    return {name: tuple(found[name]) for name in ids if name in found}


def _row(row: Any, clips: Mapping[str, Clip]) -> tuple[Clip, int, str]:
    """The clip, the number of its question and the paraphrase; a ValueError says what is wrong."""
    if not isinstance(row, dict) or any(name not in row for name in COLUMNS):
        raise ValueError(f"give an object with the fields {', '.join(COLUMNS)}")
    name, number, text = (row[column] for column in COLUMNS)
    clip = clips.get(name) if isinstance(name, str) else None
    if clip is None:
        raise ValueError(f"unknown clip {str(name)[:60]!r}")
    count = len(clip.questions)
    if isinstance(number, bool) or not str(number).isdecimal() or not 1 <= int(str(number)[:9]) <= count:
        raise ValueError(
            f"unknown question {str(number)[:20]!r}: {clip.video_id} has {count}, counted from 1"
        )
    if not isinstance(text, str) or not text.strip() or not text.isprintable() or len(text) > LONGEST:
        raise ValueError(f"the paraphrase is no text of one line and at most {LONGEST:,} characters")
    return clip, int(number), text.strip()


def _check_words(text: str, number: int, clip: Clip, others: Iterable[str]) -> None:
    """Refuse what asks nothing in other words, with a ValueError; case and punctuation do not count."""
    own = same_words(text)
    if not any(map(str.isalnum, text)):
        raise ValueError("the paraphrase has no words")
    for k, question in enumerate(clip.questions, start=1):
        if same_words(question.text) == own:
            which = "the question itself" if k == number else f"question {k} of the clip"
            raise ValueError(f"the paraphrase has the words of {which}")
    if any(same_words(other) == own for other in others):
        raise ValueError("the paraphrase has the words of one before")
