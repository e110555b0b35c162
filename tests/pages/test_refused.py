"""What may not stand on the leaderboard: damaged, incomplete, or telling of two runs. Each is named."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from microg_bench.dataset.load import Dataset, load
from microg_bench.errors import MicrogError
from microg_bench.pages.boards import boards
from microg_bench.pages.entries import Entry, read_entries
from microg_bench.runs.budget import find_price
from microg_bench.runs.record import RunRecord
from microg_bench.submissions.pack import pack
from microg_bench.tables.gather import gather
from tests.helpers.datasets import record, write_annotations
from tests.pages.conftest import baseline_run, score_all

RUN, CARD, JOURNAL = "run.json", "scorecard.json", "journal.jsonl.gz"


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scored run of a baseline; its annotations are beside it. Do not change it."""
    place = tmp_path_factory.mktemp("scored")
    records = [record(name, n) for n, name in enumerate(("a_001", "a_002", "b_001"), start=1)]
    data = write_annotations(place / "refs.json", records)
    score_all([baseline_run(place / "r", "blind", "caption", data)])
    return place / "r"


@pytest.fixture
def submission(scored: Path, tmp_path: Path) -> Path:
    return pack(RunRecord.read(scored), tmp_path / "subs")


def read(folder: Path, dataset: Dataset | None = None) -> tuple[list[Entry], list[MicrogError]]:
    """The entries of all submissions beside the one in `folder`."""
    records, _, refused = gather([], [folder.parent], dataset)
    entries, errors = read_entries(records, dataset)
    return entries, refused + errors


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
        edit(folder / name, settings__engine="openai", settings__checkpoint="gpt-4o", settings__model="m")
    edit(folder / CARD, model__name="m")


def test_a_sound_submission_is_an_entry(submission: Path) -> None:
    (entry,), errors = read(submission)
    assert errors == []
    assert (entry.run.path, entry.dollars, entry.dataset) == (submission, None, None)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no run.json": lambda folder: (folder / RUN).unlink(),
    "JSON without end": lambda folder: (folder / RUN).write_text("[" * 100_000),
    "options are a list": lambda folder: edit(folder / RUN, options=[]),
    "another version": lambda folder: edit(folder / CARD, schema="microg-bench/scorecard/9"),
    "settings of another type": lambda folder: edit(folder / CARD, settings__clips=3),
    "no settings": lambda folder: edit(folder / CARD, settings=None),
    "other settings": lambda folder: edit(folder / CARD, settings__prompt__id="another"),
    "another task": lambda folder: edit(folder / CARD, task="vqa"),
    "another title": lambda folder: edit(folder / CARD, model__title="GPT-9"),
    "frames that were not shown": lambda folder: edit(folder / CARD, model__frame_count=10**400),
    "no model": lambda folder: edit(folder / CARD, model=None),
    "other references": lambda folder: edit(folder / CARD, fingerprint="a" * 64),
    "a score that is no number": lambda folder: edit(folder / CARD, scores__CIDEr__value=float("nan")),
    "more items than answers": lambda folder: edit(folder / CARD, items=10**400),
    "incomplete": lambda folder: edit(
        folder / CARD, status="incomplete: 3 requests failed", counts__failed=3
    ),
    "failures untold": lambda folder: edit(folder / CARD, counts__failed=3),
    "some clips only": lambda folder: [
        edit(folder / name, settings__clips=["a_001", "a_002", "b_001"]) for name in (RUN, CARD)
    ],
    "an id that is a number": lambda folder: edit_answer(folder, id=5),
    "tokens that are a text": lambda folder: (make_priced(folder), edit_answer(folder, prompt_tokens="x")),
    "tokens without number": lambda folder: (make_priced(folder), edit_answer(folder, prompt_tokens=10**400)),
    "tokens below zero": lambda folder: (make_priced(folder), edit_answer(folder, prompt_tokens=-(10**9))),
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
    assert [entry.run.path for entry in entries] == [sound]
    (error,) = errors
    assert str(error).startswith(str(submission))
    assert str(error).count(str(submission)) == 1


def test_a_damaged_run_is_named_and_leaves_the_others(scored: Path, tmp_path: Path) -> None:
    broken, unscored = (shutil.copytree(scored, tmp_path / name) for name in ("broken", "unscored"))
    (broken / "journal.jsonl").write_text("no JSON\n")
    (unscored / CARD).unlink()
    runs = [RunRecord.read(path) for path in (broken, unscored, scored)]
    (entry,), errors = read_entries(runs, None)
    assert entry.run.path == scored
    assert [str(error).split(":")[0] for error in errors] == [str(broken / "journal.jsonl"), str(unscored)]


def test_a_run_is_an_entry_without_what_is_private(scored: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(scored, tmp_path / "r")
    for name in (RUN, CARD):
        edit(folder / name, settings__checkpoint="/home/ann/weights")
    (entry,), errors = read_entries([RunRecord.read(folder)], None)
    assert errors == []
    assert entry.run.settings.checkpoint == "weights"


def test_a_submission_cannot_name_a_dataset_of_ours(submission: Path, scored: Path) -> None:
    run = RunRecord.read(scored)
    (entry,), _ = read_entries([run], None)
    assert entry.dataset is not None  # that of the run itself is
    (entry,), _ = read_entries([run], load("sample"))
    assert entry.dataset is not None  # also where another one is given for others
    assert entry.dataset.name != "sample"
    (entry,), _ = read(submission)
    assert entry.dataset is None
    edit(submission / RUN, options__data=run.options["data"])
    entries, (error,) = read(submission)
    assert entries == [] and "options.data: is not packed" in str(error)


def test_a_run_and_its_submission_are_one_row(submission: Path, scored: Path) -> None:
    records, _, errors = gather([scored], [submission])
    (entry,), more = read_entries(records, None)
    assert errors + more == [] and entry.run.path == scored


def test_what_a_priced_model_cost_is_told_without_the_cache(submission: Path) -> None:
    make_priced(submission)
    edit_answer(submission, prompt_tokens=1_000_000, output_tokens=20)
    (entry,), errors = read(submission)
    assert errors == []
    first, price = entry.dollars, find_price("openai", "gpt-4o")
    assert price is not None
    assert first == pytest.approx(price.input + 20 * price.output / 1e6)
    rows = [
        row
        for board in boards([entry], ["page"], [], [])
        for group in board["groups"]
        for row in group["rows"]
    ]
    assert [row["dollars"] for row in rows if row.get("page")] == [round(first or 0, 2)]
    edit_answer(submission, prompt_tokens=1_000_000, output_tokens=20, from_cache=True)
    (entry,), _ = read(submission)
    assert entry.dollars == first  # an answer from the cache had its price, too


def test_what_is_damaged_is_named_where_submissions_are_scored_again(submission: Path, scored: Path) -> None:
    for number, damage in enumerate(DAMAGES.values()):
        damage(shutil.copytree(submission, submission.with_name(f"damaged-{number}")))
    entries, errors = read(submission, RunRecord.read(scored).dataset())
    assert [entry.run.path for entry in entries] == [submission]
    assert entries[0].statistics is not None
    assert len(errors) == len(DAMAGES)


def test_a_claim_that_was_not_verified_is_marked_and_not_ranked(submission: Path) -> None:
    (entry,), _ = read(submission)
    board = next(one for one in boards([entry], ["page"], [], []) if one["items"] == entry.card.items)
    (row,) = (row for group in board["groups"] for row in group["rows"])
    told = "claimed and not verified: CIDEr, BLEU-4, ROUGE-L"
    assert [fault for fault in row["faults"] if fault] == [told] * 3
    assert told in row["notes"]
    assert set(row["bounds"]) == {None}
