"""Submissions: packed without anything private, checked as hostile input, refused with the exact reason."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from microg_bench import __version__
from microg_bench.errors import RunError
from microg_bench.options import ScoringOptions
from microg_bench.runs.record import RunRecord
from microg_bench.submissions import load as loading
from microg_bench.submissions.check import Checked
from microg_bench.submissions.check import check as check_all
from microg_bench.submissions.load import find_submissions, load
from microg_bench.submissions.pack import pack
from tests.helpers.datasets import bench, make_dataset, record, write_annotations

FAST = ("--metrics", "CIDEr,ROUGE-L")
IDS = ["a_000", "a_001", "b_000", "b_001"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set", IDS)


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scored run of a baseline that sees."""
    folder = tmp_path_factory.mktemp("run")
    done = bench("vqa", "--model", "nearest-clip", "--data", data, "--run", "r", *FAST, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "r"


@pytest.fixture
def packed(run: Path, tmp_path: Path) -> Path:
    return pack(RunRecord.read(run), tmp_path)


def check(folder: Path, data: Path) -> Checked:
    (checked,) = check_all([folder], str(data), ScoringOptions())
    return checked


def edit(file: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def edit_journal(folder: Path, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    file = folder / "journal.jsonl.gz"
    records = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    change(records)
    file.write_bytes(gzip.compress(b"".join(json.dumps(one).encode() + b"\n" for one in records)))


def test_a_run_packs_to_three_files_that_are_the_same_each_time(run: Path, tmp_path: Path) -> None:
    one, other = (pack(RunRecord.read(run), tmp_path / name) for name in ("1", "2"))
    assert one.name == other.name
    assert one.name.startswith("nearest-clip-vqa-")
    assert sorted(path.name for path in one.iterdir()) == ["journal.jsonl.gz", "run.json", "scorecard.json"]
    for path in one.iterdir():
        assert path.read_bytes() == (other / path.name).read_bytes()


def test_what_was_packed_passes(packed: Path, data: Path) -> None:
    found = check(packed, data)
    assert (found.problems, found.notes) == ([], [])
    assert found.statistics is not None and set(found.statistics.metrics) == {"CIDEr", "ROUGE-L"}


def test_what_was_packed_is_the_run(run: Path, packed: Path) -> None:
    one, other = RunRecord.read(run), load(packed)
    assert (other.settings, other.answers, other.failures) == (one.settings, one.answers, {})
    assert other.scorecard == one.scorecard
    assert find_submissions(packed) == find_submissions(packed.parent) == [packed]


def test_nothing_private_is_packed(run: Path, packed: Path, data: Path) -> None:
    assert str(data) in (run / "run.json").read_text()
    for path in packed.iterdir():
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert str(data).encode() not in content
        assert str(run.parent).encode() not in content


def test_an_unscored_incomplete_or_partial_run_is_not_packed(data: Path, tmp_path: Path) -> None:
    bench("vqa", "--model", "blind", "--data", data, "--limit", "2", "--run", "part", *FAST, cwd=tmp_path)
    with pytest.raises(RunError, match="asks 2 clips only"):
        pack(RunRecord.read(tmp_path / "part"), tmp_path)
    (tmp_path / "part" / "scorecard.json").unlink()
    with pytest.raises(RunError, match="has not been scored"):
        pack(RunRecord.read(tmp_path / "part"), tmp_path)


def test_a_sample_of_requests_is_no_submission(run: Path, packed: Path, data: Path, tmp_path: Path) -> None:
    asked = {"requests": ["a_000#1"]}
    copy = Path(shutil.copytree(run, tmp_path / "r"))
    edit(copy / "run.json", lambda content: content["settings"].update(asked))
    with pytest.raises(RunError, match="asks 1 requests only, not the whole dataset"):
        pack(RunRecord.read(copy), tmp_path / "other")
    edit(packed / "run.json", lambda content: content["settings"].update(asked))
    edit(packed / "scorecard.json", lambda content: content["settings"].update(asked))
    assert "asks 1 requests only, not the whole dataset" in check(packed, data).problems


def test_a_submission_of_the_sample_set_is_noted(tmp_path: Path) -> None:
    bench("caption", "--model", "blind", "--data", "sample", "--run", "r", *FAST, cwd=tmp_path)
    pack(RunRecord.read(tmp_path / "r"), tmp_path / "packed")
    (checked,) = check_all(find_submissions(tmp_path / "packed"), "sample", ScoringOptions())
    assert checked.problems == []
    assert "made on the sample set of 14 clips: no benchmark" in checked.notes


def test_who_answered_is_noted_and_no_path_of_theirs_is_packed(run: Path, data: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "r"))
    lines = [json.loads(line) for line in (copy / "journal.jsonl").read_text().splitlines()]
    served = [{**line, "served_model": "/home/ann/models/other"} for line in lines]
    (copy / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in served))
    asked = {"engine": "server", "checkpoint": "org/asked"}
    edit(copy / "run.json", lambda content: content["settings"].update(asked))
    done = bench("score", copy, *FAST, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = bench("submit", "pack", copy, "--into", "packed", cwd=tmp_path)
    said = "answered by other, not org/asked as asked: 8 of 8 answers"
    assert done.stderr.splitlines() == [f"note: {said}"]
    found = check(find_submissions(tmp_path / "packed")[0], data)
    assert found.problems == []
    assert found.notes[-1] == said
    folder = find_submissions(tmp_path / "packed")[0]
    content = (folder / "scorecard.json").read_bytes() + gzip.decompress(
        (folder / "journal.jsonl.gz").read_bytes()
    )
    assert b"ann" not in content.replace(b"annotation", b"")


def test_a_submission_of_version_0_1_is_read_and_checked(shared: Path) -> None:
    folders = find_submissions(shared / "data" / "v0.1" / "submissions")
    for checked in check_all(folders, "sample", ScoringOptions()):
        assert checked.problems == []
        assert "scored with other versions than here: version:0.1.0" in checked.notes
        assert checked.record is not None
        card = checked.record.scorecard
        assert card.title == "Baseline: nearest clip"
        theirs = "its intervals are of another method (percentile)"
        assert f"{theirs}: symmetric bootstrap-t takes their place" in checked.notes
        assert card.interval is not None
        assert card.interval.method == "symmetric bootstrap-t"
        for name, entry in load(checked.folder).scorecard.scores.items():
            assert card.scores[name].value == entry.value
            assert entry.interval is None or card.scores[name].interval != entry.interval


def raise_score(card: dict[str, Any]) -> None:
    card["scores"]["CIDEr"]["value"] += 0.001


def widen_interval(card: dict[str, Any]) -> None:
    card["scores"]["ROUGE-L"]["interval"][1] += 1


def hide_failures(card: dict[str, Any]) -> None:
    card["counts"]["failed"] = 3


def lower_baseline(card: dict[str, Any]) -> None:
    card["baselines"]["blind"]["scores"]["CIDEr"] -= 1


def change_signature(card: dict[str, Any]) -> None:
    card["scores"]["CIDEr"]["signature"]["values"]["x"] = "1"


def leave_out_version(card: dict[str, Any]) -> None:
    del card["scores"]["CIDEr"]["signature"]["values"]["version"]


def change_protocol(card: dict[str, Any]) -> None:
    card["scores"]["CIDEr"]["signature"]["values"]["protocol"] = "coco"


def script_title(card: dict[str, Any]) -> None:
    card["model"]["title"] = "<script>alert(1)</script>"


def add_field(card: dict[str, Any]) -> None:
    card["approved"] = True


def leave_path(card: dict[str, Any]) -> None:
    card["dataset"] = "/home/ann/data"


def unknown_metric(card: dict[str, Any]) -> None:
    card["scores"]["Beauty"] = {"value": 100.0}


def unknown_protocol(card: dict[str, Any]) -> None:
    card["protocol"] = "mine"


def not_a_number(card: dict[str, Any]) -> None:
    card["scores"]["CIDEr"]["value"] = float("nan")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (raise_score, "scorecard.json claims scores.CIDEr.value = "),
        (widen_interval, "scorecard.json claims scores.ROUGE-L.interval = "),
        (hide_failures, "is not complete"),
        (lower_baseline, "scorecard.json claims baselines.blind.scores.CIDEr = "),
        (change_signature, "scorecard.json claims scores.CIDEr.signature = "),
        (leave_out_version, "scorecard.json claims scores.CIDEr.signature = "),
        (change_protocol, "scorecard.json claims scores.CIDEr.signature = "),
        (script_title, "model.title holds markup or control characters"),
        (add_field, "scorecard.json: damaged: approved: Extra inputs"),
        (leave_path, "dataset holds a path or an address"),
        (not_a_number, "scorecard.json: damaged: CIDEr is nan"),
        (unknown_metric, "claims scores of unknown metrics: Beauty"),
        (unknown_protocol, "claims scores under the unknown protocol mine"),
    ],
)
def test_an_edited_scorecard_is_refused(
    packed: Path, data: Path, change: Callable[[Any], None], problem: str
) -> None:
    edit(packed / "scorecard.json", change)
    found = check(packed, data)
    assert any(problem in line for line in found.problems), found.problems


def test_intervals_that_claim_another_method_are_not_believed(packed: Path, data: Path) -> None:
    ours = load(packed).scorecard

    def invent(card: dict[str, Any]) -> None:
        card["interval"]["method"] = "percentile"
        card["interval"]["cluster_count"] = 500
        card["scores"]["CIDEr"]["interval"] = [0.0, 0.1]

    edit(packed / "scorecard.json", invent)
    found = check(packed, data)
    assert found.problems == []
    assert found.record is not None
    assert found.record.scorecard == ours


def test_scores_that_other_versions_give_just_so_are_told_and_let_in(packed: Path, data: Path) -> None:
    def age(card: dict[str, Any]) -> None:
        assert card["scores"]["CIDEr"]["signature"]["values"]["version"] == __version__
        card["scores"]["CIDEr"]["signature"]["values"]["version"] = "0.0.9"

    edit(packed / "scorecard.json", age)
    found = check(packed, data)
    assert found.problems == []
    assert found.notes == ["scored with other versions than here: version:0.0.9"]


def drop(records: list[dict[str, Any]]) -> None:
    del records[2]


def invent(records: list[dict[str, Any]]) -> None:
    records.append({**records[0], "id": "stranger#1"})


def repeat(records: list[dict[str, Any]]) -> None:
    records.append(records[0])


def improve(records: list[dict[str, Any]]) -> None:
    records[0]["answer"] = records[0]["text"] = "Answer 0 about clip number 0."


def reread(records: list[dict[str, Any]]) -> None:
    records[0]["answer"] = "something else"


def fewer_frames(records: list[dict[str, Any]]) -> None:
    records[1]["frames"] = [1]


def script(records: list[dict[str, Any]]) -> None:
    records[0]["answer"] = records[0]["text"] = "<img src=x onerror=alert(1)>"


def failure(records: list[dict[str, Any]]) -> None:
    records[0] = {"type": "failure", "id": records[0]["id"], "stage": "engine", "reason": "x"}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (drop, "1 items have no answer: a_001#1"),
        (invent, "1 answers are of no item of the dataset: stranger#1"),
        (repeat, "journal.jsonl.gz: line 9: answers a_000#1 again"),
        (improve, "scorecard.json claims"),
        (reread, "1 answers are not what adapter nearest-clip finds in the texts: a_000#1"),
        (fewer_frames, "1 answers were not given on 4 frames: a_000#2"),
        (script, "1 answers hold markup that a browser runs: a_000#1"),
        (failure, "journal.jsonl.gz: line 1: is no response"),
    ],
)
def test_edited_answers_are_refused(
    packed: Path, data: Path, change: Callable[[Any], None], problem: str
) -> None:
    edit_journal(packed, change)
    found = check(packed, data)
    assert any(problem in line for line in found.problems), found.problems


def other_settings(content: dict[str, Any]) -> None:
    content["settings"]["frames"]["count"] = 8


def other_schema(content: dict[str, Any]) -> None:
    content["schema"] = "microg-bench/run/99"


def control(content: dict[str, Any]) -> None:
    content["starts"][0]["versions"]["numpy"] = "\x1b[2J"


def very_long(content: dict[str, Any]) -> None:
    content["starts"][0]["versions"]["numpy"] = "9" * 1000


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (other_settings, "run.json and scorecard.json have different settings"),
        (other_schema, "run.json: schema 'microg-bench/run/99' is not known"),
        (control, "starts[0].versions.numpy holds markup or control characters"),
        (very_long, "is longer than 300 characters"),
    ],
)
def test_an_edited_run_file_is_refused(
    packed: Path, data: Path, change: Callable[[Any], None], problem: str
) -> None:
    edit(packed / "run.json", change)
    found = check(packed, data)
    assert any(problem in line for line in found.problems), found.problems


def missing_file(folder: Path) -> None:
    (folder / "run.json").unlink()


def extra_file(folder: Path) -> None:
    (folder / "run.sh").write_text("rm -rf ~")


def link(folder: Path) -> None:
    (folder / "run.json").unlink()
    (folder / "run.json").symlink_to("/etc/passwd")


def folder_instead(folder: Path) -> None:
    (folder / "run.json").unlink()
    (folder / "run.json").mkdir()


def not_json(folder: Path) -> None:
    (folder / "run.json").write_text("[" * 100_000)


def not_gzip(folder: Path) -> None:
    (folder / "journal.jsonl.gz").write_bytes(b"PK\x03\x04")


def torn_gzip(folder: Path) -> None:
    file = folder / "journal.jsonl.gz"
    file.write_bytes(file.read_bytes()[:-20])


def no_folder(folder: Path) -> None:
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (missing_file, "must hold exactly scorecard.json, run.json, journal.jsonl.gz; holds"),
        (extra_file, "must hold exactly"),
        (link, "run.json: is not a plain file"),
        (folder_instead, "run.json: is not a plain file"),
        (not_json, "run.json: damaged: not JSON: nested too deeply"),
        (not_gzip, "journal.jsonl.gz: cannot be unpacked"),
        (torn_gzip, "journal.jsonl.gz: cannot be unpacked"),
        (no_folder, "is not a folder"),
    ],
)
def test_a_folder_that_is_no_submission_is_refused(
    packed: Path, data: Path, change: Callable[[Path], None], problem: str
) -> None:
    change(packed)
    found = check(packed, data)
    assert len(found.problems) == 1
    assert problem in found.problems[0]


def test_a_bomb_is_unpacked_no_further_than_the_limit(
    packed: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "MAX_JOURNAL", 1000)
    (packed / "journal.jsonl.gz").write_bytes(gzip.compress(b" " * 1_000_000))
    assert check(packed, data).problems == ["journal.jsonl.gz: unpacks to more than 1,000 bytes"]


def test_another_dataset_is_named(packed: Path, tmp_path: Path) -> None:
    other = write_annotations(tmp_path / "a.json", [record(name, 9) for name in IDS])
    (problem,) = check(packed, other).problems
    assert "was made on references with fingerprint" in problem


def test_an_adapter_of_another_version_is_a_note(packed: Path, data: Path) -> None:
    for name in ("run.json", "scorecard.json"):
        edit(packed / name, lambda content: content["settings"].update(adapter_sha256="0" * 64))
    found = check(packed, data)
    assert found.problems == []
    assert found.notes == [
        "adapter nearest-clip is here in another version: the answers that it found were not checked"
    ]


def test_the_command_line_packs_and_checks(run: Path, data: Path, tmp_path: Path) -> None:
    done = bench("submit", "pack", run, "--into", "subs", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / done.stdout.strip()
    assert folder.is_dir()
    assert bench("submit", "check", folder, "--data", data, cwd=tmp_path).returncode == 0
    edit(folder / "scorecard.json", raise_score)
    done = bench("submit", "check", folder, "--data", data, cwd=tmp_path)
    assert done.returncode == 1
    assert "REFUSED" in done.stdout
    assert "claims scores.CIDEr.value" in done.stdout
