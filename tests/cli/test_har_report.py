"""`microg-bench har report`: a page of runs of the same key frames, and one clear line for anything else."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from microg_bench import cli
from microg_bench.dataset.load import SAMPLE_FOLDER
from microg_bench.har.runs import SETTINGS
from microg_bench.persons.keyframes import KeyFrames, load_key_frames
from tests.har.run_folders import LABELS, MODEL, random_detections, write_run
from tests.helpers.datasets import bench, without

Report = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def key_frames() -> KeyFrames:
    return load_key_frames("sample", LABELS, split="all")


@pytest.fixture
def run(key_frames: KeyFrames, tmp_path: Path) -> Path:
    return write_run(tmp_path / "a", key_frames, random_detections(key_frames))


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Report:
    """Runs `har report` in `tmp_path`; its exit status and what it prints."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["microg-bench", "har", "report", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


def edit(run: Path, **changed: object) -> None:
    content = json.loads((run / SETTINGS).read_text())
    (run / SETTINGS).write_text(json.dumps({**content, **changed}))


@pytest.mark.slow
def test_the_page_of_two_runs_is_written_beside_its_pictures(
    report: Report, run: Path, key_frames: KeyFrames, tmp_path: Path
) -> None:
    write_run(tmp_path / "b", key_frames, random_detections(key_frames, 1), checkpoint="ava")
    assert report("a", "b", "--data", "sample", "--out", "new/page") == (0, "new/page/index.html\n", "")
    assert len(list((tmp_path / "new" / "page" / "frames").glob("*.jpg"))) == len(key_frames)
    assert report("b", "--data", "sample") == (0, "b/report/index.html\n", "")
    assert report("b", "--data", "sample")[0] == 0  # its own page is replaced


def test_a_folder_without_a_run_is_named(report: Report, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    code, out, err = report("a")
    assert (code, out) == (1, "")
    assert err == "error: a: holds no settings.json: give a folder that `microg-bench har run` wrote\n"


def test_a_run_that_has_not_ended_is_named(report: Report, run: Path) -> None:
    (run / f"{MODEL}.all.csv").unlink()
    code, _, err = report("a", "--data", "sample")
    assert code == 1
    assert err == f"error: a: holds no {MODEL}.all.csv: the run has not ended; start it again\n"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model": "../../secret"}, "model: is none of the models that `microg-bench har models` lists"),
        ({"split": "../all"}, "split: String should match pattern"),
        ({"key_frames": None}, "key_frames: Input should be a valid string"),
        ({"schema": "microg-bench/actions/9"}, "schema: Input should be 'microg-bench/actions/1'"),
        ({"extra": 1}, "extra: Extra inputs are not permitted"),
    ],
)
def test_settings_from_elsewhere_are_refused(
    report: Report, run: Path, changed: dict[str, object], said: str
) -> None:
    edit(run, **changed)
    code, out, err = report("a", "--data", "sample")
    assert (code, out) == (1, "")
    assert err.startswith(f"error: a/settings.json: {said}") and err.count("\n") == 1
    assert not (run / "report").exists()


def test_runs_of_other_key_frames_are_refused(
    report: Report, run: Path, key_frames: KeyFrames, tmp_path: Path
) -> None:
    other = write_run(tmp_path / "b", key_frames, random_detections(key_frames))
    edit(other, key_frames="0" * 64)
    code, _, err = report("a", "b", "--data", "sample")
    assert (code, err) == (1, "error: b: looked at other key frames than a: write a page for each\n")
    code, _, err = report("b", "--data", "sample")
    assert code == 1
    assert err.startswith("error: b: looked at other key frames than those of sample, all: give its --data")
    write_run(other, key_frames, random_detections(key_frames), "test")
    code, _, err = report("a", "b", "--data", "sample")
    assert (code, err) == (1, "error: b: is of the split test, a of all: write a page for each\n")
    assert not list(tmp_path.glob("*/report"))


def test_a_run_that_is_given_twice_is_refused(report: Report, run: Path) -> None:
    assert report("a", "../" + run.parent.name + "/a", "--data", "sample")[::2] == (
        1,
        f"error: ../{run.parent.name}/a: is given twice\n",
    )


def test_another_label_map_is_named(report: Report, run: Path, tmp_path: Path) -> None:
    (tmp_path / "own.pbtxt").write_text('label { name: "float" label_id: 12 label_type: PERSON_MOVEMENT }\n')
    code, _, err = report("a", "--data", "sample", "--label-map", "own.pbtxt")
    assert (code, err) == (1, "error: a: has the actions of another label map: give it as --label-map\n")


@pytest.mark.slow
def test_where_a_clip_has_gone_its_picture_is_missing(report: Report, tmp_path: Path) -> None:
    data = Path(shutil.copytree(SAMPLE_FOLDER, tmp_path / "data"))
    boxes = ["har", "convert", "--boxes", data / "bounding_boxes.csv", "--actions", data / "actions.csv"]
    assert bench(*boxes, "--size", "640x480", "--out", "ava", cwd=tmp_path).returncode == 0
    whole = load_key_frames(data, LABELS)
    write_run(tmp_path / "a", whole, random_detections(whole), "test")
    for number, one in enumerate(whole.items):
        one.video.unlink() if number else one.video.write_text("no video")
    code, _, err = report("a", "--data", "data")
    assert (code, err.count("\n")) == (1, 1) and "--size" in err
    assert report("a", "--data", "data", "--boxes", "ava/ava_test.csv") == (0, "a/report/index.html\n", "")
    page = (tmp_path / "a" / "report" / "index.html").read_text()
    assert page.count("the dataset has no video of") == len(whole) - 1
    assert not list((tmp_path / "a" / "report").rglob("*.jpg"))


def test_detections_of_other_boxes_are_refused(report: Report, run: Path, key_frames: KeyFrames) -> None:
    moved = random_detections(key_frames)
    moved.boxes[0, 0] += 0.001
    write_run(run, key_frames, moved)
    code, _, err = report("a", "--data", "sample")
    assert code == 1
    assert err == f"error: a/{MODEL}.all.csv: row 1: is no box of the key frames (sample, all)\n"


def test_boxes_without_actions_have_nothing_to_be_compared_with(
    report: Report, key_frames: KeyFrames, tmp_path: Path
) -> None:
    rows = [
        f"{one.video_id},{one.frame},{','.join(map(str, box))}\n"
        for one in key_frames.items
        for box in one.boxes
    ]
    (tmp_path / "boxes.csv").write_text("video_id,frame_stamp,xmin,ymin,xmax,ymax\n" + "".join(rows))
    bare = load_key_frames("sample", LABELS, split="all", boxes=tmp_path / "boxes.csv")
    write_run(tmp_path / "a", bare, random_detections(bare))
    code, _, err = report("a", "--data", "sample", "--boxes", "boxes.csv")
    assert code == 1
    assert err == "error: boxes.csv: no box has an action: there is nothing to compare with\n"


def test_a_folder_of_other_files_is_left_alone(report: Report, run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    code, _, err = report("a", "--data", "sample", "--out", "mine")
    assert code == 1
    assert "mine: holds files that are not of these pages (notes.txt)" in err
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"


@pytest.mark.slow
def test_the_report_needs_no_torch(run: Path, tmp_path: Path) -> None:
    done = bench("har", "report", "a", "--data", "sample", cwd=tmp_path, env=without(tmp_path, "torch"))
    assert (done.returncode, done.stdout) == (0, "a/report/index.html\n"), done.stderr
