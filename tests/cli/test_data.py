"""`microg-bench data`: faults in words and as JSON; counts as tables on the terminal and as files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from microg_bench.dataset.stats import stats
from tests.helpers.datasets import bench, make_dataset, record, without, write_annotations
from tests.helpers.videos import write_clip

pytestmark = pytest.mark.heavy


def test_the_tables_are_printed(tmp_path: Path) -> None:
    done = bench("data", "stats", "--data", "sample", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("sample: 14 clips of 7 source videos\nfingerprint ")
    assert "\n  what           31     36.9\n" in done.stdout
    assert "\n  unanswerable  14     16.67\n" in done.stdout
    assert "Length of" not in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_all_tables_and_the_sheet_become_files(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    done = bench("data", "stats", "--data", "sample", "--out", "new/s", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    tables = stats("sample").tables
    out = tmp_path / "new" / "s"
    figures = [f"{name}.{ending}" for name in ("dataset", "annotation") for ending in ("png", "svg")]
    files = {*figures, "stats.json", *(f"{name}.csv" for name in tables)}
    assert {path.name for path in out.iterdir()} == files
    lines = [f"wrote {len(tables)} tables to new/s", *(f"new/s/{name}" for name in figures)]
    assert done.stdout.splitlines()[-5:] == lines
    content = json.loads((out / "stats.json").read_text())
    for name, table in tables.items():
        head, *rows = csv.reader((out / f"{name}.csv").read_text().splitlines())
        assert head == list(table.columns) == content["tables"][name]["columns"]
        assert rows == [[str(value) for value in row] for row in table.rows]


@pytest.mark.parametrize(
    ("library", "without_it"),
    [("matplotlib", ["figure sheet", "annotated clip"]), ("wordcloud", ["figure sheet"])],
)
def test_without_the_extra_there_are_tables_and_a_line_for_each_figure(
    tmp_path: Path, library: str, without_it: list[str]
) -> None:
    done = bench(
        "data", "stats", "--data", "sample", "--out", "s", cwd=tmp_path, env=without(tmp_path, library)
    )
    assert done.returncode == 0
    for line, what in zip(done.stderr.splitlines(), without_it, strict=True):
        assert line.startswith(f"no {what}: ")
        assert line.endswith("pip install 'microg-bench[plots]'")
    assert (tmp_path / "s" / "stats.json").is_file()
    assert not list((tmp_path / "s").glob("dataset.*"))


def test_without_boxes_there_is_no_annotated_clip_and_a_line_says_so(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write_annotations(tmp_path / "d" / "vqa_and_captioning.json", [record("a_1")])
    done = bench("data", "stats", "--data", "d", "--out", "s", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == (
        "no annotated clip: none has a video, a caption, questions, and a person with a box and an action\n"
    )
    assert (tmp_path / "s" / "dataset.png").is_file() and not list(tmp_path.glob("s/annotation.*"))


def test_a_clip_that_is_not_drawn_is_said(tmp_path: Path) -> None:
    done = bench("data", "stats", "--data", "sample", "--clip", "pedestrians-a_000", cwd=tmp_path)
    assert done.returncode != 0 and "--clip: names the clip that is drawn: give --out too" in done.stderr
    done = bench("data", "stats", "--data", "sample", "--clip", "nowhere", "--out", "s", cwd=tmp_path)
    assert done.returncode != 0 and "nowhere" in done.stderr and not (tmp_path / "s").exists()
    write_annotations(tmp_path / "d" / "vqa_and_captioning.json", [record("a_1")])
    done = bench("data", "stats", "--data", "d", "--clip", "a_1", "--out", "s", cwd=tmp_path)
    assert "a_1 lacks a video, a caption, questions, or a person with a box and an action" in done.stderr


def test_broken_boxes_are_one_line_and_nothing_is_written(tmp_path: Path) -> None:
    make_dataset(tmp_path / "d", ["a_001"])
    (tmp_path / "d" / "actions.csv").write_text("video_id,movie_or_real,person_id,action\na_001,r,1,12\n")
    (tmp_path / "d" / "bounding_boxes.csv").write_text(
        "video_id,frame_id,person_id,xmin,ymin,xmax,ymax\na_001,1,1,0,0,-4,5\n"
    )
    done = bench("data", "stats", "--data", "d", "--out", "s", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: d/bounding_boxes.csv: row 2: 'xmax' is '-4', ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "s").exists()


def test_a_name_cannot_steer_the_terminal(tmp_path: Path) -> None:
    data = write_annotations(tmp_path / "refs.json", [record("a\x9b31m_1")])
    done = bench("data", "stats", "--data", data, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "\n  a 31m   1      2\n" in done.stdout


def test_broken_action_labels_are_one_line_and_nothing_is_written(tmp_path: Path) -> None:
    write_annotations(tmp_path / "d" / "vqa_and_captioning.json", [record("a_1")])
    (tmp_path / "d" / "actions.csv").write_text(
        "video_id,movie_or_real,person_id,action\na_1,r,1,12\na_1,r,1,99\n"
    )
    done = bench("data", "stats", "--data", "d", "--out", "s", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "error: d/actions.csv: row 3: action id 99 is none of the 50 of the label map\n"
    assert not (tmp_path / "s").exists()


def test_a_dataset_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    done = bench("data", "stats", "--data", "nowhere", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "error: nowhere: no such dataset folder or annotation file\n"


def test_data_check_tells_faults_in_words_and_as_json(tmp_path: Path) -> None:
    write_annotations(tmp_path / "a.json", [record("a_001", 1), record("a_001", 2)])
    done = bench("data", "check", "a.json", cwd=tmp_path)
    assert done.returncode == 1
    assert "repeated-id (1)" in done.stdout
    assert "a_001: in records 1, 2" in done.stdout
    report = json.loads(bench("data", "check", "a.json", "--json", cwd=tmp_path).stdout)
    assert {"kind": "repeated-id", "item": "a_001"}.items() <= report["faults"][0].items()


def test_a_set_of_single_clips_says_so(tmp_path: Path) -> None:
    write_annotations(tmp_path / "a.json", [record("a_001", 1), record("b_001", 2)])
    note = (
        "note: every clip is a source video of its own, so that intervals over source videos are over clips"
    )
    checked = bench("data", "check", "a.json", cwd=tmp_path)
    assert note in checked.stdout.splitlines()
    report = json.loads(bench("data", "check", "a.json", "--json", cwd=tmp_path).stdout)
    assert [f"note: {line}" for line in report["notes"]] == [note]
    counted = bench(
        "data", "stats", "--data", "a.json", "--out", "s", cwd=tmp_path, env=without(tmp_path, "matplotlib")
    )
    assert counted.stdout.splitlines()[2] == note
    assert json.loads((tmp_path / "s" / "stats.json").read_text())["notes"] == report["notes"]


def test_data_check_and_stats_read_one_table_alike(tmp_path: Path) -> None:
    write_annotations(tmp_path / "d" / "vqa_and_captioning.json", [record("a_001", 1), record("a_002", 2)])
    table = "video_id;movie_or_real;person_id;action\r\na_001;r;1;12\r\n"
    (tmp_path / "d" / "actions.csv").write_bytes(table.encode("utf-16"))
    checked = bench("data", "check", "d", cwd=tmp_path)
    assert "rows of actions.csv    1" in checked.stdout.splitlines()
    counted = bench("data", "stats", "--data", "d", cwd=tmp_path)
    assert "stand" in counted.stdout
    (tmp_path / "d" / "actions.csv").write_bytes(table.encode() + b"caf\xe9;r;1;12\r\n")
    fault = "line 3: is not UTF-8 text; save it as UTF-8"
    checked = bench("data", "check", "d", cwd=tmp_path)
    assert f"  actions.csv: {fault}" in checked.stdout.splitlines()
    counted = bench("data", "stats", "--data", "d", cwd=tmp_path)
    assert (counted.returncode, counted.stderr) == (1, f"error: d/actions.csv: {fault}\n")


def test_data_check_of_the_sample_finds_nothing(tmp_path: Path) -> None:
    done = bench("data", "check", "sample", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "no faults" in done.stdout


def still(folder: Path, name: str, seed: int) -> None:
    """A clip that shows a picture of random patches."""
    patches = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    image = patches.repeat(16, axis=0).repeat(16, axis=1)
    write_clip(
        folder / "videos/real" / name[0] / f"{name}.mp4", 9, size=(64, 64), draw=lambda number, size: image
    )


def test_clips_that_look_alike_and_leak_between_parts_are_listed(tmp_path: Path) -> None:
    pytest.importorskip("imagehash")
    shown = {"a_000": 1, "a_001": 1, "b_000": 1, "b_001": 2, "c_000": 3, "c_001": 2}
    write_annotations(tmp_path / "d" / "vqa_and_captioning.json", [record(name) for name in shown])
    for name, seed in shown.items():
        still(tmp_path / "d", name, seed)
    (tmp_path / "ava").mkdir()
    for part, names in {"train": ("a_000", "b_000"), "val": (), "test": ("a_001", "b_001", "c_000")}.items():
        rows = "".join(f"{name},3,0.1,0.1,0.5,0.5,12,0\n" for name in names)
        (tmp_path / "ava" / f"ava_{part}.csv").write_text(rows)
    done = bench("data", "stats", "--data", "d", "--frames", "--split", "ava", "--out", "s", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    tables = {
        name: list(csv.reader((tmp_path / "s" / f"{name}.csv").read_text().splitlines()))[1:]
        for name in ("near_duplicate_frames", "near_duplicate_clips", "leaks", "leaking_clips")
    }
    assert tables["near_duplicate_frames"] == [["6", "5", "5", "5", "5"]]
    assert tables["near_duplicate_clips"][:2] == [
        ["a_000", "a_001", "0", "b_000", "0"],
        ["a_001", "a_000", "0", "b_000", "0"],
    ]
    assert tables["near_duplicate_clips"][3:] == [
        ["b_001", "c_001", "0", "c_001", "0"],
        ["c_001", "b_001", "0", "b_001", "0"],
    ]
    assert tables["leaks"] == [["train", "2", "2", "2", "2", "1"], ["test", "3", "3", "2", "1", "1"]]
    assert tables["leaking_clips"] == [
        ["a_000", "train", "a_001", "test", "0", "yes"],
        ["a_001", "test", "b_000", "train", "0", "no"],
    ]
    assert "Leaks between the parts of the split" in done.stdout
    assert "part of the near clip" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "files", "message"),
    [
        (("--split", "ava"), {}, "--split: is compared by frames: give --frames too"),
        (("--frames", "--split", "ava"), {}, "ava: holds no ava_train.csv, which `har convert` writes"),
        (
            ("--frames", "--split", "ava"),
            {"train": "a_000", "test": "a_000"},
            "ava_test.csv: row 1: a_000 is in train as well",
        ),
        (("--frames",), {}, "d: has no videos whose frames could be compared"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    tmp_path: Path, arguments: tuple[str, ...], files: dict[str, str], message: str
) -> None:
    write_annotations(tmp_path / "d" / "vqa_and_captioning.json", [record("a_000")])
    (tmp_path / "ava").mkdir()
    for part, name in files.items():
        (tmp_path / "ava" / f"ava_{part}.csv").write_text(f"{name},3,0.1,0.1,0.5,0.5,12,0\n")
    done = bench("data", "stats", "--data", "d", *arguments, cwd=tmp_path)
    assert done.returncode != 0
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
