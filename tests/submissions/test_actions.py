"""Submissions of action recognition: packed, checked against the ground truth or without it, and shown."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from microg_bench import har
from microg_bench.errors import DataError, RunError
from microg_bench.har.reports import read_scorecards
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import Scorecard
from microg_bench.submissions.actions import load_actions, pack_actions
from microg_bench.submissions.check import Checked
from microg_bench.submissions.check import check as check_all
from microg_bench.submissions.load import find_submissions, is_submission
from microg_bench.submissions.pack import pack
from microg_bench.tables.gather import gather, read_scored
from tests.har import small
from tests.helpers.datasets import bench
from tests.submissions.conftest import edit
from tests.submissions.hostile.actions import honest_actions

pytestmark = pytest.mark.slow

ACTIONS = Path(__file__).resolve().parents[2] / "results" / "actions"
UNVERIFIED = "claimed and not verified: mAP, F1, recall, AUROC"


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    return honest_actions(tmp_path / "har")


@pytest.fixture
def truth(packed: Path) -> har.GroundTruth:
    return har.read_ground_truth(packed.parents[1] / "g.csv", har.read_label_map())


def check(folder: Path, *truths: har.GroundTruth) -> Checked:
    (checked,) = check_all([folder], None, truths=truths)
    return checked


def card_of(folder: Path) -> Scorecard:
    return load_actions(folder).claimed


def test_detections_pack_to_two_files_that_are_the_same_each_time(packed: Path, tmp_path: Path) -> None:
    other = honest_actions(tmp_path / "again")
    assert packed.name == other.name
    assert packed.name.startswith("d-har-")
    assert sorted(path.name for path in packed.iterdir()) == ["detections.csv.gz", "scorecard.json"]
    for path in packed.iterdir():
        assert path.read_bytes() == (other / path.name).read_bytes()
    assert find_submissions(packed) == find_submissions(packed.parent) == [packed]
    assert is_submission(packed)


def test_columns_that_are_not_of_detections_are_not_packed(tmp_path: Path) -> None:
    header = "video_id,frame,xmin,ymin,xmax,ymax,action_id,score,made_on\n"
    rows = "".join(f"{line},/home/ann\n" for line in small.DETECTIONS.splitlines())
    packed = honest_actions(tmp_path, header + rows)
    content = gzip.decompress((packed / "detections.csv.gz").read_bytes())
    assert b"ann" not in content
    plain = load_actions(honest_actions(tmp_path / "plain")).detections
    found = load_actions(packed).detections
    assert (found.scores == plain.scores).all() and (found.boxes == plain.boxes).all()
    assert found.rows[0] == 2  # of the file that was scored, whose rows its warnings name


def test_the_folder_is_not_named_after_a_user_or_a_secret(tmp_path: Path) -> None:
    honest_actions(tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    secret = f"hf_{'a' * 30}.csv"
    card["har"]["detections"] = secret
    (tmp_path / "card.json").write_text(json.dumps(card))
    (tmp_path / "d.csv").rename(tmp_path / secret)
    (folder,) = pack_actions(tmp_path / "card.json", [tmp_path / secret], tmp_path / "into")
    assert folder.name.startswith("-secret--har-")


def test_two_of_one_name_are_told_apart_or_noted(packed: Path, truth: har.GroundTruth) -> None:
    again = Path(shutil.copytree(packed, packed.with_name("again")))
    first, second = (one for one in check_all([packed, again], None, truths=[truth]))
    assert f"its title is that of another model too: {again.name}" in first.notes
    assert f"its title is that of another model too: {packed.name}" in second.notes


def test_what_cannot_be_submitted_is_not_packed(tmp_path: Path) -> None:
    honest_actions(tmp_path)
    detections, scorecards = tmp_path / "d.csv", tmp_path / "card.json"
    with pytest.raises(DataError, match=r"holds no scorecard of g\.csv, but of d\.csv"):
        next(pack_actions(scorecards, [shutil.copy(detections, tmp_path / "g.csv")], tmp_path / "into"))
    card = json.loads(scorecards.read_text())
    scorecards.write_text(json.dumps([card, card]))
    with pytest.raises(DataError, match=r"holds 2 scorecards of d\.csv"):
        next(pack_actions(scorecards, [detections], tmp_path / "into"))
    scorecards.write_text(json.dumps(card))
    detections.write_text(small.box("a_001", small.BOX_A, small.rising(1)))
    with pytest.raises(DataError, match="cannot be submitted: .*items = 2, but the detections give 1"):
        next(pack_actions(scorecards, [detections], tmp_path / "into"))
    assert not list(tmp_path.glob("into/*"))


def test_a_folder_with_other_files_is_not_replaced(packed: Path) -> None:
    place = packed.parents[1]
    (packed / "notes.txt").touch()
    with pytest.raises(RunError, match=r"not of a submission \(notes\.txt\)"):
        next(pack_actions(place / "card.json", [place / "d.csv"], packed.parent))


def test_with_the_ground_truth_it_is_scored_again(packed: Path, truth: har.GroundTruth) -> None:
    found = check(packed, truth)
    assert (found.problems, found.record) == ([], None)
    assert found.actions is not None
    assert found.actions.unverified == ""
    assert found.actions.scores == card_of(packed).scores
    assert found.notes == list(found.actions.warnings)


def test_without_it_only_scores_are_shown_and_marked(packed: Path) -> None:
    found = check(packed)
    assert (found.problems, found.notes) == ([], [UNVERIFIED])
    assert found.actions is not None and found.actions.har is not None
    assert found.actions.values() == card_of(packed).values()
    assert all(one.unverified and one.interval is None for one in found.actions.scores.values())
    assert (found.actions.interval, found.actions.warnings) == (None, ())
    assert (found.actions.har.actions, found.actions.har.map_over_ties) == ((), None)


def test_the_ground_truth_is_found_by_its_fingerprint(packed: Path, truth: har.GroundTruth) -> None:
    labels = har.read_label_map()
    _, file = small.write(packed.parents[1], truth=small.TRUTH.replace("17,0", "12,0"))
    other = har.read_ground_truth(file, labels)
    assert check(packed, other, truth).problems == []
    (problem,) = check(packed, other).problems
    assert problem == (
        f"was scored against ground truth with fingerprint {truth.fingerprint[:12]}, "
        f"given is {other.fingerprint[:12]}"
    )


def forge_ap(card: dict[str, Any]) -> None:
    scored = [one for one in card["har"]["actions"] if one["AP"] is not None]
    scored[0]["AP"] -= 0.1
    card["scores"]["mAP"]["value"] -= 0.1 / len(scored)


def forge_interval(card: dict[str, Any]) -> None:
    card["scores"]["mAP"]["interval"] = [90.0, 95.0]


def forge_auroc(card: dict[str, Any]) -> None:
    card["scores"]["AUROC"]["value"] -= 0.1


@pytest.mark.parametrize(
    ("change", "problem", "shows_at_once"),
    [
        (forge_ap, "har.actions.stand.AP = 99.9, but the detections give 100", False),
        (forge_interval, "claims scores.mAP.interval = ", False),
        (forge_auroc, "claims scores.AUROC.value = ", True),
    ],
)
def test_an_edited_scorecard_is_refused(
    packed: Path, truth: har.GroundTruth, change: Callable[[Any], None], problem: str, shows_at_once: bool
) -> None:
    edit(packed / "scorecard.json", change)
    found = check(packed, truth)
    assert any(problem in line for line in found.problems), found.problems
    assert found.actions is None
    assert bool(check(packed).problems) == shows_at_once


def test_verdicts_of_both_kinds_come_in_the_order_given(packed: Path, scored: Path) -> None:
    run = pack(RunRecord.read(scored / "vqa"), packed.parent)
    broken = Path(shutil.copytree(packed, packed.parent / "broken"))
    (broken / "scorecard.json").unlink()
    folders = [packed, run, broken, packed, run]
    found = check_all(folders, None)
    assert [one.folder for one in found] == folders
    assert [bool(one.problems) for one in found] == [False, False, True, False, False]
    assert [one.record is not None for one in found] == [False, True, False, False, True]


def test_equal_detections_are_noted(packed: Path, tmp_path: Path) -> None:
    rows = small.DETECTIONS.splitlines(keepends=True)
    other = honest_actions(tmp_path / "other", "".join(rows[50:] + rows[:50]), "mine.csv")
    apart = honest_actions(tmp_path / "apart", small.DETECTIONS.replace("-8.0", "-8.5"), "apart.csv")
    first, second, third = check_all([packed, other, apart], None)
    line = "90% or more of its boxes, with their scores, are those of {}"
    assert first.notes == [UNVERIFIED, line.format(other.name)]
    assert second.notes == [UNVERIFIED, line.format(packed.name)]
    assert third.notes == [UNVERIFIED]


def test_what_is_accepted_is_gathered_and_what_needs_answers_says_that_there_are_none(
    packed: Path, truth: har.GroundTruth
) -> None:
    broken = Path(shutil.copytree(packed, packed.parent / "broken"))
    edit(broken / "scorecard.json", forge_interval)
    records, (card,), (error,) = gather([], [packed.parent], None, [truth])
    assert (records, card.unverified, error.path) == ([], "", broken)
    with pytest.raises(RunError, match="is a submission of action recognition, which holds no answers"):
        read_scored(packed)


@pytest.mark.parametrize("name", ["X3D_L.test", "C2D_8x8_R50.val"])
def test_the_published_detections_pass(name: str, shared: Path, tmp_path: Path) -> None:
    folder = shared / "data" / "har"
    truths = [
        har.read_ground_truth(folder / f"groundtruth_{split}.csv.xz", har.read_label_map())
        for split in ("test", "val")
    ]
    (packed,) = pack_actions(ACTIONS / f"{name}.json", [folder / f"{name}.csv.xz"], tmp_path)
    found = check(packed, *truths)
    assert found.problems == []
    assert found.actions is not None
    (ours,) = read_scorecards(ACTIONS / f"{name}.json")
    assert found.actions.values() == pytest.approx(ours.values(), abs=1e-6)


@pytest.mark.heavy
def test_the_program_packs_checks_and_shows_them(packed: Path, scored: Path, tmp_path: Path) -> None:
    place = packed.parents[1]
    done = bench("submit", "pack", "card.json", "--detections", "d.csv", "--into", "subs", cwd=place)
    assert (done.returncode, done.stdout) == (0, f"subs/{packed.name}\n"), done.stderr
    done = bench("submit", "check", f"subs/{packed.name}", "--groundtruth", "g.csv", cwd=place)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, f"ok       subs/{packed.name}"), done.stderr
    for given, mark in (((), True), (("--groundtruth", "g.csv"), False)):
        shown = ("--submissions", "subs", *given)
        done = bench("tables", *shown, "--har", "card.json", cwd=place)
        assert done.stdout.count("ours: d") == 1 and UNVERIFIED not in done.stdout, done.stderr
        done = bench("tables", *shown, cwd=place)
        assert (UNVERIFIED in done.stdout) == mark, done.stderr
        done = bench("leaderboard", "build", *shown, "--out", "site", cwd=place)
        assert done.stdout == "site/index.html: 1 rows\n", done.stderr
        assert (UNVERIFIED in (place / "site" / "index.html").read_text()) == mark


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("card.json",), "card.json: is a file; give the folder of a run, or --detections too"),
        ((".", "--detections", "d.csv"), "is a folder; with --detections give the file of their scorecards"),
        (("card.json", "--detections", "none.csv"), "none.csv: no such file"),
        (("none.json", "--detections", "d.csv"), "none.json: no such file"),
    ],
)
def test_a_mistake_is_one_clear_line(packed: Path, arguments: tuple[str, ...], message: str) -> None:
    done = bench("submit", "pack", *arguments, cwd=packed.parents[1])
    assert done.returncode != 0
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
