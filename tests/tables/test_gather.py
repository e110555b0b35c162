"""What goes into tables: each run once, in an order of its own, and what cannot be read is named."""

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from microg_bench.dataset.load import load
from microg_bench.errors import RunError
from microg_bench.runs.record import RunRecord, find_runs
from microg_bench.submissions.pack import pack
from microg_bench.tables.gather import gather, read_scored


def tasks(records: list[RunRecord]) -> list[str]:
    return [record.scorecard.task for record in records]


def edit(file: Path, **changed: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))


def test_a_run_and_its_submission_count_once(scored: Path, tmp_path: Path) -> None:
    submissions = tmp_path / "submissions"
    for run in find_runs(scored):
        for name in ("run.json", "scorecard.json"):
            settings = json.loads((run / name).read_text())["settings"]
            settings |= {"engine": "transformers", "model": "mine"}
            settings["checkpoint"] = "/home/me/model"  # of which a submission keeps the last part only
            settings["title"] += " (model)"
            edit(run / name, settings=settings)
        card = json.loads((run / "scorecard.json").read_text())
        named = {"name": "mine", "title": card["model"]["title"] + " (model)"}
        edit(run / "scorecard.json", model={**card["model"], **named})
        edit(run / "run.json", options={})
        pack(RunRecord.read(run), submissions)
    packed, _, errors = gather([], [submissions])
    assert (tasks(packed), errors) == (["caption", "vqa"], [])
    told: list[str] = []
    records, _, errors = gather([scored], [submissions], tell=told.append)
    assert ([record.path for record in records], errors) == ([scored / "caption", scored / "vqa"], [])
    first, second = sorted(submissions.iterdir())
    pairs = f"{scored / 'caption'} (not {first}), {scored / 'vqa'} (not {second})"
    assert told == [f"given twice and shown once: {pairs}"]
    assert gather([scored / "vqa", scored], [submissions])[0][0].path == scored / "caption"


def test_a_run_whose_folder_is_given_again_is_no_other(
    scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.chdir(tmp_path)
    gather([scored, scored / "vqa", scored.relative_to(tmp_path)], tell=told.append)
    assert told == []
    copy = Path(shutil.copytree(scored / "vqa", tmp_path / "copy"))
    gather([scored / "vqa", copy], tell=told.append)
    assert told == [f"given twice and shown once: {scored / 'vqa'} (not {copy})"]


def test_nobodys_row_is_taken_by_a_copy_that_tells_other_things(scored: Path, tmp_path: Path) -> None:
    packed, _ = (pack(RunRecord.read(run), tmp_path / "subs") for run in find_runs(scored))
    evil = Path(shutil.copytree(packed, packed.with_name("a-evil")))
    lines = [
        json.loads(line) for line in gzip.decompress((evil / "journal.jsonl.gz").read_bytes()).splitlines()
    ]
    changed = b"".join(json.dumps({**line, "seconds": 8000.0}).encode() + b"\n" for line in lines)
    (evil / "journal.jsonl.gz").write_bytes(gzip.compress(changed, mtime=0))
    records, _, errors = gather([], [tmp_path / "subs"])
    assert (tasks(records), errors) == (["caption", "caption", "vqa"], [])
    shutil.copytree(packed, packed.with_name("the-same"))
    assert len(gather([], [tmp_path / "subs"])[0]) == 3


def test_two_runs_of_one_model_both_count(scored: Path, tmp_path: Path) -> None:
    again = Path(shutil.copytree(scored, tmp_path / "again"))
    for name in ("run.json", "scorecard.json"):
        settings = json.loads((again / "vqa" / name).read_text())["settings"]
        settings["generation"]["seed"] = 1
        edit(again / "vqa" / name, settings=settings)
    assert sorted(tasks(gather([scored, again])[0])) == ["caption", "vqa", "vqa"]


@pytest.mark.parametrize(
    ("metric", "entry", "reason"),
    [
        ("CIDEr", {"value": -500_000.0}, "lies outside of"),
        ("CIDEr", {"value": 99.9, "interval": [99.0, 100.0]}, "its statistics give"),
        ("CIDEr", {"interval": [70.0, 50.0]}, "not the bounds of"),
        ("CIDEr", {"signature": {"metric": "CIDEr", "values": {"note": "verified"}}}, "signature"),
    ],
)
def test_a_run_whose_scorecard_was_edited_is_left_out(
    scored: Path, metric: str, entry: dict[str, Any], reason: str
) -> None:
    file = scored / "vqa" / "scorecard.json"
    scores = json.loads(file.read_text())["scores"]
    scores[metric].update(entry)
    edit(file, scores=scores)
    records, _, errors = gather([scored])
    assert tasks(records) == ["caption"]
    assert [reason in str(error) for error in errors] == [True]


def test_the_order_does_not_depend_on_the_paths(scored: Path, tmp_path: Path) -> None:
    swapped = tmp_path / "swapped"
    shutil.copytree(scored / "caption", swapped / "z")
    shutil.copytree(scored / "vqa", swapped / "a")
    assert tasks(gather([swapped])[0]) == tasks(gather([scored])[0])


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("journal.jsonl", "caption: holds no journal.jsonl"),
        ("scorecard.json", "caption: has not been scored"),
    ],
)
def test_a_run_that_lacks_a_file_is_named_and_the_others_are_read(
    scored: Path, file: str, message: str
) -> None:
    (scored / "caption" / file).unlink()
    records, _, (error,) = gather([scored])
    assert tasks(records) == ["vqa"]
    assert isinstance(error, RunError)
    assert message in str(error)


@pytest.mark.parametrize(
    ("file", "changed", "message"),
    [
        (
            "scorecard.json",
            {"schema": "microg-bench/scorecard/9", "new": 1},
            "scorecard.json: schema 'microg-bench/scorecard/9' is not known to this version",
        ),
        ("scorecard.json", {"items": "many"}, "scorecard.json: damaged"),
        (
            "scorecard.json",
            {"scores": {"CIDEr": {"value": float("nan")}}},
            "damaged: not JSON: NaN is no finite",
        ),
        (
            "scorecard.json",
            {"baselines": {"f": {"title": "F", "scores": {"CIDEr": 1e308}}}},
            "baselines.f.scores.CIDEr is 1e+308",
        ),
        ("run.json", {"schema": "microg-bench/run/9"}, "run.json: schema 'microg-bench/run/9' is not known"),
    ],
)
def test_another_version_and_damage_are_named(
    scored: Path, file: str, changed: dict[str, Any], message: str
) -> None:
    edit(scored / "caption" / file, **changed)
    records, _, (error,) = gather([scored])
    assert tasks(records) == ["vqa"]
    assert message in str(error)


def test_a_folder_without_runs_or_submissions_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="empty: not a run folder"):
        gather([tmp_path / "empty"])
    with pytest.raises(RunError, match="empty: holds no submission"):
        gather([], [tmp_path / "empty"])
    for runs, submissions in (([tmp_path / "nowhere"], []), ([], [tmp_path / "nowhere"])):
        with pytest.raises(RunError, match="nowhere: no such folder"):
            gather(runs, submissions)


def test_a_broken_submission_is_named_and_the_others_are_read(scored: Path, tmp_path: Path) -> None:
    for run in find_runs(scored):
        folder = pack(RunRecord.read(run), tmp_path / "submissions")
    (folder / "run.json").unlink()
    records, _, (error,) = gather([], [tmp_path / "submissions"])
    assert tasks(records) == ["caption"]
    assert str(error).startswith(f"{folder}: must hold exactly")


def test_a_submission_is_shown_where_it_is_accepted(scored: Path, tmp_path: Path) -> None:
    """Its scores are marked without references; with them they are computed again, forged ones left out."""
    data = load(json.loads((scored / "vqa" / "run.json").read_text())["options"]["data"])
    for run in find_runs(scored):
        folder = pack(RunRecord.read(run), tmp_path / "submissions")
    records, _, errors = gather([], [tmp_path / "submissions"])
    assert (tasks(records), errors) == (["caption", "vqa"], [])
    assert all(one.unverified for record in records for one in record.scorecard.scores.values())
    records, _, errors = gather([], [tmp_path / "submissions"], data)
    assert (tasks(records), errors) == (["caption", "vqa"], [])
    assert not any(record.scorecard.unverified for record in records)
    card = json.loads((folder / "scorecard.json").read_text())
    card["scores"]["CIDEr"]["value"] += 1
    edit(folder / "scorecard.json", scores=card["scores"])
    records, _, (error,) = gather([], [tmp_path / "submissions"], data)
    assert tasks(records) == ["caption"]
    assert str(error).startswith(f"{folder}: scorecard.json claims scores.CIDEr.")
    for given in (None, data):
        records, _, (error,) = gather([folder], [], given)
        assert (records, error.reason) == ([], "is a submission: give it with --submissions")


def test_what_a_submission_claims_is_read_in_one_way(scored: Path, tmp_path: Path) -> None:
    folder = pack(RunRecord.read(scored / "vqa"), tmp_path)
    assert read_scored(folder).scorecard.unverified == "claimed and not verified: CIDEr, ROUGE-L"
    assert read_scored(scored / "vqa").scorecard.unverified == ""
    edit(folder / "scorecard.json", status="done")
    with pytest.raises(RunError, match="is not complete: its status is done"):
        read_scored(folder)


def links(folder: Path) -> None:
    (folder / "journal.jsonl").rename(folder.parent / "journal.jsonl")
    (folder / "journal.jsonl").symlink_to(folder.parent / "journal.jsonl")


def waits(folder: Path) -> None:
    (folder / "scorecard.json").unlink()
    os.mkfifo(folder / "scorecard.json")


def doubles(folder: Path) -> None:
    text = (folder / "run.json").read_text()
    (folder / "run.json").write_text(text.replace('"task":', '"task": "vqa", "task":'))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (links, "journal.jsonl: is not a plain file"),
        (waits, "scorecard.json: is not a plain file"),
        (doubles, "run.json: damaged: not JSON: the key 'task' occurs twice"),
    ],
)
def test_runs_of_others_are_read_as_strictly(
    scored: Path, change: Callable[[Path], None], message: str
) -> None:
    change(scored / "caption")
    records, _, errors = gather([scored])
    if errors:
        assert tasks(records) == ["vqa"]
        assert message in str(errors[0])
    else:
        with pytest.raises(RunError, match=message):
            next(one for one in records if one.settings.task == "caption").answers  # noqa: B018
