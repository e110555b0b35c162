"""Submissions of action recognition: packed, checked against the ground truth or without it, and shown."""

import gzip
import json
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from microg_bench import har
from microg_bench.errors import DataError, RunError
from microg_bench.har.reports import read_scorecards
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import ModelEntry, Scorecard
from microg_bench.submissions.actions import action_faults, load_actions, pack_actions, truth_of
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
    with pytest.raises(DataError, match=r"is not the file that .*card\.json was made of: score it again"):
        next(pack_actions(scorecards, [detections], tmp_path / "into"))
    del card["har"]["detections_sha256"]  # as older programs wrote it
    scorecards.write_text(json.dumps(card))
    with pytest.raises(DataError, match="cannot be submitted: .*items = 2, but the detections give 1"):
        next(pack_actions(scorecards, [detections], tmp_path / "into"))
    assert not list(tmp_path.glob("into/*"))


def test_of_two_scorecards_of_one_name_that_of_the_file_is_packed(tmp_path: Path) -> None:
    places = [honest_actions(tmp_path / "a").parents[1]]
    other = small.box("a_001", small.BOX_A, small.rising(1)) + small.box(
        "b_001", small.BOX_B, small.rising(0)
    )
    places.append(honest_actions(tmp_path / "b", other).parents[1])
    both = [json.loads((place / "card.json").read_text()) for place in places]
    (tmp_path / "both.json").write_text(json.dumps(both))
    for place, card in zip(places, both, strict=True):
        (folder,) = pack_actions(tmp_path / "both.json", [place / "d.csv"], tmp_path / "into")
        assert card_of(folder).values() == {name: one["value"] for name, one in card["scores"].items()}
        assert check(folder).problems == []


def test_another_submission_that_is_replaced_is_told(packed: Path) -> None:
    place, told = packed.parents[1], list[str]()
    (again,) = pack_actions(place / "card.json", [place / "d.csv"], packed.parent, told.append)
    assert (again, told) == (packed, [])
    edit(packed / "scorecard.json", lambda card: card["har"].update(groundtruth="other.csv"))
    list(pack_actions(place / "card.json", [place / "d.csv"], packed.parent, told.append))
    assert told == [f"{packed}: replaced, scorecard.json was another"]


def test_the_folder_of_a_run_of_actions_is_answered_with_what_to_give(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "settings.json").write_text("{}")
    done = bench("submit", "pack", "r", cwd=tmp_path)
    assert done.returncode != 0
    assert "give scorecard.json in it, and --detections with the CSV beside it" in " ".join(
        done.stderr.split()
    )


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


def faults_of(folder: Path, change: Callable[[dict[str, Any]], object]) -> list[str]:
    """What shows without the ground truth in a copy of a submission whose scorecard is changed."""
    with tempfile.TemporaryDirectory() as place:
        copy = Path(shutil.copytree(folder, Path(place) / "copy"))
        edit(copy / "scorecard.json", change)
        return list(action_faults(load_actions(copy)))


@pytest.mark.parametrize("name", ["", "a/d.csv", ".d.csv", "a\\d.csv", ".."])
def test_detections_have_a_plain_file_name(packed: Path, name: str) -> None:
    faults = faults_of(packed, lambda card: card["har"].update(detections=name))
    assert any("names its detections" in fault for fault in faults)


@pytest.mark.parametrize("name", ["boxes", "boxes_without_area", "actions"])
def test_counts_are_those_of_the_detections(packed: Path, name: str) -> None:
    (fault,) = faults_of(packed, lambda card: card["har"]["counts"].update({name: 7}))
    assert f"har.counts.{name} = 7" in fault
    (fault,) = faults_of(packed, lambda card: card["har"]["counts"].pop(name))
    assert f"har.counts.{name} = None" in fault


def test_boxes_without_an_area_are_counted(tmp_path: Path) -> None:
    flat = small.box("a_001", "0.3,0.1,0.3,0.9", small.rising(-7.0))
    packed = honest_actions(tmp_path, small.DETECTIONS + flat)
    found = load_actions(packed)
    assert list(action_faults(found)) == []
    assert (found.claimed.items, found.facts.counts["boxes_without_area"]) == (3, 1)


def test_items_answered_and_the_state_of_a_scorecard_are_claims_too(packed: Path) -> None:
    assert len(faults_of(packed, lambda card: card["counts"].update(answered=1))) == 1
    assert any("items = 3" in fault for fault in faults_of(packed, lambda card: card.update(items=3)))
    (fault,) = faults_of(packed, lambda card: card.update(protocol="coco"))
    assert "coco" in fault
    (fault,) = faults_of(packed, lambda card: card["counts"].update(failed=1))
    assert "counts.failed" in fault
    slices = {"source": {"a": {"items": 1, "scores": {}}}}
    (fault,) = faults_of(packed, lambda card: card.update(slices=slices, rejected=["seed"]))
    assert "rejected" in fault and "slices" in fault
    (fault,) = faults_of(packed, lambda card: card.update(dataset="/home/ann/g.csv"))
    assert "dataset" in fault


def test_scores_are_of_all_four_rules_and_of_the_actions_of_the_label_map(packed: Path) -> None:
    (fault,) = faults_of(packed, lambda card: card["scores"].pop("F1"))
    assert "claims mAP, recall, AUROC" in fault
    (fault,) = faults_of(packed, lambda card: card["scores"].update(Beauty={"value": 1.0}))
    assert "Beauty" in fault
    for change in (
        lambda card: card["har"]["actions"].pop(),
        lambda card: card["har"]["actions"].reverse(),
        lambda card: card["har"]["actions"][0].update(name="fly"),
    ):
        (fault,) = faults_of(packed, change)
        assert "other actions" in fault


@pytest.mark.parametrize("name", ["mAP", "F1", "recall", "AUROC"])
def test_a_score_is_the_mean_of_those_of_the_actions_that_have_one(packed: Path, name: str) -> None:
    def claim(card: dict[str, Any], value: float) -> None:
        part = "AP" if name == "mAP" else name
        of_actions = [one for one in card["har"]["actions"] if one[part] is not None]
        for place, one in enumerate(of_actions):
            one[part] = 40.0 if place else 60.0
        card["scores"][name]["value"] = value + 40 + 20 / len(of_actions)

    for apart, sound in ((0.5e-6, True), (-0.5e-6, True), (2e-6, False), (-2e-6, False)):
        faults = faults_of(packed, partial(claim, value=apart))
        assert not faults if sound else len(faults) == 1 and f"scores.{name}.value" in faults[0]
    (fault,) = faults_of(packed, lambda card: card["scores"][name].update(value=None))
    assert f"scores.{name}.value = None" in fault


def test_a_score_that_no_action_has_is_none(packed: Path) -> None:
    def without(card: dict[str, Any]) -> None:
        for one in card["har"]["actions"]:
            one["AP"] = None

    (fault,) = faults_of(packed, without)
    assert "scores.mAP.value" in fault

    def nought(card: dict[str, Any]) -> None:
        without(card)
        card["scores"]["mAP"]["value"] = 0.0

    assert len(faults_of(packed, nought)) == 1

    def none(card: dict[str, Any]) -> None:
        without(card)
        card["scores"]["mAP"]["value"] = None

    assert faults_of(packed, none) == []


def test_a_signature_follows_from_boxes_label_map_and_ground_truth(packed: Path) -> None:
    for name in ("items", "labels", "groundtruth", "threshold"):
        (fault,) = faults_of(
            packed, lambda card, name=name: card["scores"]["F1"]["signature"]["values"].update({name: "0"})
        )
        assert "scores.F1.signature" in fault
    (fault,) = faults_of(packed, lambda card: card["scores"]["F1"].update(signature=None))
    assert "scores.F1.signature" in fault
    older = {"version": "0.0.9"}
    assert faults_of(packed, lambda card: card["scores"]["F1"]["signature"]["values"].update(older)) == []


def test_a_scorecard_of_another_task_has_no_detections(packed: Path) -> None:
    edit(packed / "scorecard.json", lambda card: card.update(task="vqa"))
    with pytest.raises(DataError, match="task vqa"):
        load_actions(packed)


def test_only_a_ground_truth_that_is_given_can_be_the_wrong_one(packed: Path, truth: har.GroundTruth) -> None:
    found = load_actions(packed)
    assert truth_of(found, []) is None
    assert truth_of(found, [truth]) is truth


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
        assert done.stdout == "site/index.html: 1 row\n", done.stderr
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


def test_recipe_and_weights_of_a_run_are_packed_as_claims(tmp_path: Path) -> None:
    honest_actions(tmp_path)
    path = tmp_path / "card.json"
    (card,) = read_scorecards(path)
    assert card.har is not None
    made = card.model_copy(
        update={
            "recipe": "fixed",
            "model": ModelEntry(name="X3D_S", title="X3D_S"),
            "har": card.har.model_copy(update={"checkpoint": "best.safetensors"}),
        }
    )
    path.write_text(json.dumps(made.to_json()))
    (folder,) = pack_actions(path, [tmp_path / "d.csv"], tmp_path / "into")
    truth = har.read_ground_truth(tmp_path / "g.csv", har.read_label_map())
    for truths in ([truth], []):
        found = check(folder, *truths)
        assert not found.problems
        assert found.actions is not None and found.actions.har is not None
        assert (found.actions.recipe, found.actions.har.checkpoint) == ("fixed", "best.safetensors")
    edit(folder / "scorecard.json", lambda content: content.update(recipe="the best"))
    assert any("recipe" in line for line in check(folder, truth).problems)
