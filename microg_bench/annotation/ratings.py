"""Ratings of answers by people, who do not know which model gave them: which are shown, and what they said.

An answer is known by a hash of references, task, item and text. A rating counts for every run that gave this
answer, and a rating of anything else is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from microg_bench.annotation.verdicts import POINTS
from microg_bench.curation.tables import read_rows
from microg_bench.dataset.load import Dataset
from microg_bench.errors import DataError, UsageError
from microg_bench.runs.record import RunRecord
from microg_bench.settings import Settings
from microg_bench.tasks import shuffled
from microg_bench.text import unknown

LEVELS = tuple(POINTS)
COLUMNS = ("key", "id", "rater", "rating", "note")
LONGEST = 200  # characters of a name
_MAX_BYTES = 64 * 1024**2


@dataclass(frozen=True)
class RatedAnswer:
    """An answer that people rate; `question` is None for a caption."""

    key: str
    id: str
    video_id: str
    question: str | None
    answer: str


@dataclass(frozen=True)
class Rating:
    """What one person said of one answer."""

    key: str
    rater: str
    level: str


def answer_key(settings: Settings, name: str, answer: str) -> str:
    """What identifies an answer to the item `name` of a run with these settings, whoever gave it."""
    parts = [settings.fingerprint, settings.task, name, answer]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def answer_keys(run: RunRecord) -> dict[str, str]:
    """The keys of all answers of a run, by item."""
    return {name: answer_key(run.settings, name, one.answer) for name, one in run.answers.items()}


def draw_answers(runs: Sequence[RunRecord], dataset: Dataset, count: int, seed: int) -> list[RatedAnswer]:
    """Answers of all runs, chosen by the seed and in an order that tells nothing of the runs.

    Args:
        runs: the runs.
        dataset: that all of them were made on.
        count: how many answers; all where there are fewer. An answer that several runs gave counts once.
        seed: the same seed draws the same answers, and a larger number holds a smaller one.

    Raises:
        UsageError: the runs have no answer.
        DataError: a run was made on other references.
    """
    found = {one.key: one for run in runs for one in _answers(run, run.dataset(dataset))}
    if not found:
        raise UsageError("the runs have no answer that could be rated")
    return [found[key] for key in shuffled(found, seed)[:count]]


def _answers(run: RunRecord, dataset: Dataset) -> Iterator[RatedAnswer]:
    keys = answer_keys(run)
    for item in run.items(dataset):
        one = item.request
        if one.id in keys:
            yield RatedAnswer(keys[one.id], one.id, one.video_id, one.question, run.answers[one.id].answer)


def read_ratings(files: Sequence[Path], keys: Collection[str]) -> list[Rating]:
    """The ratings in CSV files that the page exported.

    Args:
        files: the files.
        keys: of all answers that may be rated.

    Raises:
        DataError: a file cannot be read, has an unknown rating, lacks a name, rates an answer twice for one
            person, or rates an answer of other runs.
    """
    found: dict[tuple[str, str], Rating] = {}
    for path in files:
        for number, row in read_rows(path, ("key", "rater", "rating"), _MAX_BYTES):
            place = f"row {number}"
            one = _rating(row, path, place)
            if one.key not in keys:
                raise DataError("rates an answer that none of these runs gave", path=path, item=place)
            if found.setdefault((one.key, one.rater), one) is not one:
                raise DataError("the same person rates this answer a second time", path=path, item=place)
    return list(found.values())


def _rating(row: Mapping[str, str], path: Path, place: str) -> Rating:
    rater = row["rater"].strip()
    if not rater or len(rater) > LONGEST:
        raise DataError(f"give a rater of at most {LONGEST} characters", path=path, item=place)
    if row["rating"] not in LEVELS:
        raise DataError(unknown("rating", row["rating"], LEVELS), path=path, item=place)
    return Rating(row["key"], rater, row["rating"])
