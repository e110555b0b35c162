"""What may not stand on the leaderboard: damaged, incomplete, or telling of two runs. Each is named."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from microg_bench.errors import MicrogError
from microg_bench.leaderboard.submission import pack
from microg_bench.metrics.base import MetricOptions
from microg_bench.runs.evaluate import Scoring
from microg_bench.site.entries import Entry, read_entries, submissions_in

RUN, CARD, JOURNAL = "run.json", "scorecard.json", "journal.jsonl.gz"


@pytest.fixture
def submission(scored_once: Path, tmp_path: Path) -> Path:
    return pack(scored_once / "caption", tmp_path / "subs")


def read(folder: Path, scratch: str = "scratch") -> tuple[list[Entry], list[MicrogError]]:
    """The entries of all submissions beside the one in `folder`."""
    subs = folder.parent
    return read_entries([], submissions_in(subs), None, None, subs.parent / scratch)


def edit(file: Path, **changed: Any) -> None:
    """Change fields of a JSON file; `a__b` is the field b of the field a."""
    content = json.loads(file.read_text())
    for name, value in changed.items():
        *path, last = name.split("__")
        inner = content
        for part in path:
            inner = inner[part]
        inner[last] = value
    file.write_text(json.dumps(content))


def edit_answer(folder: Path, **changed: Any) -> None:
    """Change fields of the first line of a journal."""
    first, *rest = gzip.decompress((folder / JOURNAL).read_bytes()).splitlines()
    lines = [json.dumps({**json.loads(first), **changed}).encode(), *rest]
    (folder / JOURNAL).write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))


def make_priced(folder: Path) -> None:
    for name in (RUN, CARD):
        edit(folder / name, settings__engine="openai", settings__checkpoint="gpt-4o")


def test_a_sound_submission_is_an_entry(submission: Path) -> None:
    (entry,), errors = read(submission)
    assert errors == []
    assert (entry.place, entry.dollars, entry.dataset) == (submission, None, None)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no run.json": lambda folder: (folder / RUN).unlink(),
    "JSON without end": lambda folder: (folder / RUN).write_text("[" * 100_000),
    "options are a list": lambda folder: edit(folder / RUN, options=[]),
    "another version": lambda folder: edit(folder / CARD, schema="microg-bench/scorecard/9"),
    "settings of another type": lambda folder: edit(folder / CARD, settings__clips=3),
    "no settings": lambda folder: edit(folder / CARD, settings=None),
    "other settings": lambda folder: edit(folder / CARD, settings__prompt="another"),
    "another title": lambda folder: edit(folder / CARD, model__title="GPT-9"),
    "frames that were not shown": lambda folder: edit(folder / CARD, model__frame_count=10**400),
    "no model": lambda folder: edit(folder / CARD, model=None),
    "other references": lambda folder: edit(folder / CARD, fingerprint="a" * 64),
    "more items than answers": lambda folder: edit(folder / CARD, items=10**400),
    "incomplete": lambda folder: edit(folder / CARD, status="incomplete: 3 requests failed", failures=3),
    "failures untold": lambda folder: edit(folder / CARD, failures=3),
    "some clips only": lambda folder: [
        edit(folder / name, settings__clips=["a_001", "a_002", "b_001"]) for name in (RUN, CARD)
    ],
    "an id that is a number": lambda folder: edit_answer(folder, id=5),
    "tokens that are a text": lambda folder: (make_priced(folder), edit_answer(folder, prompt_tokens="x")),
    "tokens without number": lambda folder: (make_priced(folder), edit_answer(folder, prompt_tokens=10**400)),
    "tokens below nought": lambda folder: (make_priced(folder), edit_answer(folder, prompt_tokens=-(10**9))),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_is_damaged_is_named_and_left_out(submission: Path, damage: Callable[[Path], object]) -> None:
    sound = shutil.copytree(submission, submission.with_name("sound"))
    edit_answer(sound, text="another answer, so that it is another run")
    for name in (RUN, CARD):
        edit(sound / name, settings__model="sound")
    edit(sound / CARD, model__name="sound")
    damage(submission)
    entries, errors = read(submission)
    assert [entry.place for entry in entries] == [sound]
    (error,) = errors
    assert str(error).startswith(str(submission))
    assert "scratch" not in str(error)


def test_a_submission_cannot_name_a_dataset_of_ours(submission: Path, scored_once: Path) -> None:
    (entry,), _ = read_entries([scored_once / "caption"], [], None, None, submission)
    assert entry.dataset is not None  # that of the run itself is
    (entry,), _ = read_entries([scored_once / "caption"], [], "sample", None, submission)
    assert entry.dataset is not None  # also where another one is given for others
    assert entry.dataset.name != "sample"
    data = json.loads((scored_once / "caption" / RUN).read_text())["options"]["data"]
    edit(submission / RUN, options__data=data)
    (entry,), _ = read(submission)
    assert entry.dataset is None


def test_a_folder_of_submissions_may_be_empty(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("Submissions lie here.")
    assert submissions_in(tmp_path) == []


def test_what_a_priced_model_cost_is_told_without_what_was_shared(submission: Path) -> None:
    make_priced(submission)
    edit_answer(submission, prompt_tokens=1_000_000, output_tokens=0)
    (entry,), errors = read(submission)
    assert errors == []
    first = entry.dollars
    assert first is not None
    assert first > 0
    edit_answer(submission, prompt_tokens=1_000_000, output_tokens=0, shared=True)
    (entry,), _ = read(submission, "again")
    assert entry.dollars == first  # a shared answer had its price, too


def data_of(run: Path) -> str:
    return str(json.loads((run / RUN).read_text())["options"]["data"])


def test_what_is_damaged_is_named_where_submissions_are_scored_again(
    submission: Path, scored_once: Path, tmp_path: Path
) -> None:
    for number, damage in enumerate(DAMAGES.values()):
        damage(shutil.copytree(submission, submission.with_name(f"damaged-{number}")))
    data = data_of(scored_once / "caption")
    entries, errors = read_entries(
        [], submissions_in(submission.parent), data, Scoring(), tmp_path / "scratch"
    )
    assert [entry.place for entry in entries] == [submission]
    assert entries[0].statistics is not None
    assert len(errors) == len(DAMAGES)
    assert "scratch" not in "".join(map(str, errors))


def test_a_claim_that_cannot_be_computed_here_stays(
    submission: Path, scored_once: Path, tmp_path: Path
) -> None:
    claim = {"value": 85.5, "signature": "BERTScore", "signature_long": "BERTScore|model:x"}
    edit(submission / CARD, scores__BERTScore=claim)
    scoring = Scoring(options=MetricOptions(bertscore_model=tmp_path / "nowhere"))
    data = data_of(scored_once / "caption")
    (entry,), errors = read_entries([], [submission], data, scoring, tmp_path / "scratch")
    assert errors == []
    assert entry.card.scores["BERTScore"].value == 85.5
