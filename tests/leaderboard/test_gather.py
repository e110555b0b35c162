"""What goes into tables: each run once, in an order of its own, and what cannot be read is named."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from microg_bench.errors import DataError, RunError
from microg_bench.leaderboard.gather import read_cards, read_reports, runs_below
from microg_bench.leaderboard.submission import pack
from tests.helpers.tables import ACTIONS

REPORT = ACTIONS / "X3D_L.test.json"


def edit(file: Path, **changed: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))


def test_a_run_and_its_submission_count_once(scored: Path, tmp_path: Path) -> None:
    runs = runs_below(scored)
    for run in runs:
        for name in ("run.json", "scorecard.json"):
            settings = json.loads((run / name).read_text())["settings"]
            settings["checkpoint"] = "/home/me/model"  # of which a submission keeps the last part only
            edit(run / name, settings=settings)
        pack(run, tmp_path / "submissions")
    both = [*runs, *runs_below(tmp_path / "submissions")]
    assert len(both) == 4
    cards, errors = read_cards(both)
    assert ([card.task for card in cards], errors) == (["caption", "vqa"], [])
    assert read_cards(both[::-1])[0] == cards


def test_two_runs_of_one_model_both_count(scored: Path, tmp_path: Path) -> None:
    again = Path(shutil.copytree(scored, tmp_path / "again"))
    card = json.loads((again / "vqa" / "scorecard.json").read_text())
    card["scores"]["CIDEr"]["value"] += 1
    edit(again / "vqa" / "scorecard.json", scores=card["scores"])
    cards, _ = read_cards([*runs_below(scored), *runs_below(again)])
    assert sorted(card.task for card in cards) == ["caption", "vqa", "vqa"]


def test_the_order_does_not_depend_on_the_paths(scored: Path, tmp_path: Path) -> None:
    swapped = tmp_path / "swapped"
    shutil.copytree(scored / "caption", swapped / "z")
    shutil.copytree(scored / "vqa", swapped / "a")
    assert read_cards(runs_below(swapped))[0] == read_cards(runs_below(scored))[0]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("journal.jsonl", "caption: holds no journal.jsonl"),
        ("scorecard.json", "caption: has not been scored"),
        ("run.json", "caption: not a run folder"),
    ],
)
def test_a_run_that_lacks_a_file_is_named_and_the_others_are_read(
    scored: Path, file: str, message: str
) -> None:
    runs = runs_below(scored)
    (scored / "caption" / file).unlink()
    cards, (error,) = read_cards(runs)
    assert [card.task for card in cards] == ["vqa"]
    assert isinstance(error, RunError)
    assert message in str(error)


@pytest.mark.parametrize(
    ("file", "changed", "message"),
    [
        (
            "scorecard.json",
            {"schema": "microg-bench/scorecard/2", "new": 1},
            "scorecard.json: is of version microg-bench/scorecard/2, not microg-bench/scorecard/1",
        ),
        ("scorecard.json", {"items": "many"}, "scorecard.json: damaged"),
        ("scorecard.json", {"scores": {"CIDEr": {"value": float("nan")}}}, "damaged: CIDEr is nan"),
        (
            "scorecard.json",
            {"floors": {"f": {"title": "F", "scores": {"CIDEr": 1e308}}}},
            "floor f, CIDEr is 1e+308",
        ),
        ("run.json", {"schema": "microg-bench/run/9"}, "run.json: not of this version"),
    ],
)
def test_another_version_and_damage_are_named(
    scored: Path, file: str, changed: dict[str, Any], message: str
) -> None:
    edit(scored / "caption" / file, **changed)
    cards, (error,) = read_cards(runs_below(scored))
    assert [card.task for card in cards] == ["vqa"]
    assert message in str(error)


def test_a_folder_without_runs_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="empty: there is no run here"):
        runs_below(tmp_path / "empty")
    with pytest.raises(RunError, match="nowhere: no such folder"):
        runs_below(tmp_path / "nowhere")


def test_a_file_with_several_reports_gives_all_of_them(tmp_path: Path) -> None:
    one = json.loads(REPORT.read_text())
    schema = one.pop("schema")
    (tmp_path / "two.json").write_text(json.dumps({"schema": schema, "reports": [one, one]}))
    assert read_reports([tmp_path / "two.json"]) == read_reports([REPORT, REPORT])


@pytest.mark.parametrize(
    ("pattern", "new", "message"),
    [
        ("microg-bench/actions/1", "microg-bench/actions/2", "(schema microg-bench/actions/1)"),
        (r'"value": [\d.]+', '"value": -1e999', "damaged: mAP is -inf"),
        (r'"value": [\d.]+', '"value": NaN', "damaged: mAP is nan"),
        (r'"value": [\d.]+', '"value": "high"', "damaged: reports.0.scores.mAP.value: "),
        (r'"value": [\d.]+', f'"value": 1{"0" * 400}', "damaged: "),
        (r'"mAP_over_ties": \[', '"mAP_over_ties": [1, ', "damaged: reports.0.mAP_over_ties: "),
        ('"detections"', '"detection"', "damaged: reports.0.detections: Field required"),
        ('"schema"', "schema", "not JSON"),
    ],
)
def test_a_report_that_cannot_be_read_is_named(tmp_path: Path, pattern: str, new: str, message: str) -> None:
    file = tmp_path / "report.json"
    file.write_text(re.sub(pattern, new, REPORT.read_text(), count=1))
    with pytest.raises(DataError) as caught:
        read_reports([file])
    assert str(caught.value).startswith(f"{file}: ")
    assert message in str(caught.value)
