"""Footage becomes a folder of clips with verdicts, whatever happens on the way."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from microg_bench.curation.folder import CurationFolder, Verdict
from microg_bench.video.source import probe
from tests.curation.conftest import Curate, scene
from tests.helpers.videos import remux, write_clip

pytest.importorskip("trackers", reason="the extra curate is not installed")
pytest.importorskip("scenedetect", reason="the extra curate is not installed")
pytestmark = pytest.mark.heavy

# No file may be larger than 3,000 bytes.
LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
from microg_bench.__main__ import main
main()
"""


def verdicts(folder: Path) -> dict[tuple[str, str], Verdict]:
    found = CurationFolder.read(folder).verdicts
    return {(clip, stage): one for clip, own in found.items() for stage, one in own.items()}


def asked(folder: Path) -> int:
    """How many clips the scripted detector has seen."""
    notes = folder / "asked"
    return len(notes.read_text().split()) if notes.exists() else 0


def test_footage_becomes_judged_clips(curate: Curate, footage: Path, tmp_path: Path) -> None:
    done = curate(footage, "--out", "out")
    assert done.returncode == 0, done.stderr
    folder = CurationFolder.read(tmp_path / "out")
    assert folder.clips == ["orbit_000", "orbit_001", "orbit_002"]
    assert folder.accepted() == ["orbit_001"]
    dark = folder.verdicts["orbit_000"]
    assert list(dark) == ["trim", "person"], "a clip that is rejected goes no further"
    assert (dark["person"].passed, dark["person"].reason) == (
        False,
        "a person in 0% of the frames, less than 60%",
    )
    assert list(folder.verdicts["orbit_001"]) == ["trim", "person", "cut", "motion", "tracks", "key frames"]
    for clip in folder.clips:
        assert folder.video(clip).is_file(), "nothing is deleted"
        assert probe(folder.video(clip), full=True).decoded == 90
    key_frames = (tmp_path / "out" / "annotation_files" / "key_frames.csv").read_text().splitlines()
    assert key_frames == [
        "video_id,frame_id,person_id,xmin,ymin,xmax,ymax,confidence",
        f"orbit_001,{48 if folder.verdicts['orbit_001']['motion'].numbers['motion'] == 'high' else 52}"
        ",1,0,0,256,480,0.9",
    ]
    boxes = (tmp_path / "out" / "annotation_files" / "bounding_boxes.csv").read_text().splitlines()
    assert len(boxes) == 1 + len(folder.persons("orbit_001"))
    assert "1 of 3 clips passed: out" in done.stdout


def test_a_stage_runs_again_only_where_something_has_changed(
    curate: Curate, footage: Path, tmp_path: Path
) -> None:
    assert curate(footage, "--out", "out").returncode == 0
    lines = (tmp_path / "out" / "verdicts.jsonl").read_text().splitlines()
    assert asked(tmp_path) == 3
    assert curate(footage, "--out", "out").returncode == 0
    assert (tmp_path / "out" / "verdicts.jsonl").read_text().splitlines() == lines, "nothing is open"

    recipe = Path(__file__).parents[2] / "microg_bench" / "curation" / "recipes" / "paper.toml"
    text = recipe.read_text()
    (tmp_path / "a.toml").write_text(text.replace("threshold = 40.0", "threshold = 50.0"))
    assert curate(footage, "--out", "out", "--recipe", "a.toml").returncode == 0
    new = [json.loads(line) for line in (tmp_path / "out" / "verdicts.jsonl").read_text().splitlines()]
    assert new[len(lines)]["stage"] == "cut"
    assert asked(tmp_path) == 3, "the detector's boxes are kept"

    (tmp_path / "b.toml").write_text(text.replace("share = 0.6", "share = 0.0"))
    assert curate(footage, "--out", "out", "--recipe", "b.toml").returncode == 0
    assert verdicts(tmp_path / "out")["orbit_000", "person"].passed
    assert asked(tmp_path) == 3

    assert curate(footage, "--out", "out", version="2").returncode == 0
    assert asked(tmp_path) == 6, "another detector looks again"

    video = tmp_path / "out" / "videos" / "real" / "orbit" / "orbit_001.mp4"
    video.unlink()
    assert curate(footage, "--out", "out", version="2").returncode == 0
    assert video.is_file(), "a clip that is gone is cut again"
    assert asked(tmp_path) == 6, "and is the same"


def test_clips_of_earlier_settings_stay_and_do_not_count(
    curate: Curate, footage: Path, tmp_path: Path
) -> None:
    assert curate(footage, "--out", "out").returncode == 0
    first = CurationFolder.read(tmp_path / "out")
    recipe = Path(__file__).parents[2] / "microg_bench" / "curation" / "recipes" / "paper.toml"
    text = recipe.read_text().replace("seconds = 3", "seconds = 4")
    (tmp_path / "longer.toml").write_text(text)
    longer = (footage, "--out", "out", "--recipe", "longer.toml")
    said = "of earlier settings or files, kept and not counted: 1 clip"

    plan = curate(*longer, "--dry-run")
    assert "0 are cut, 0 are judged" in plan.stdout and "not counted: 3 clips" in plan.stderr

    done = curate(*longer, "--stages", "trim")
    assert said in done.stderr, "two of three were cut again"
    folder = CurationFolder.read(tmp_path / "out")
    assert (folder.clips, folder.earlier) == (["orbit_000", "orbit_001"], ["orbit_002"])
    assert all(folder.video(clip).is_file() for clip in first.clips), "nothing is deleted"
    assert (folder.accepted(), folder.persons("orbit_001")) == ([], ()), "they are other clips"

    done = curate(*longer)
    folder = CurationFolder.read(tmp_path / "out")
    assert done.stderr.count("earlier settings") == 1
    assert set(folder.verdicts["orbit_002"]) == set(first.verdicts["orbit_002"]), "it was not judged again"
    assert "of 2 clips passed" in done.stdout
    review = curate("review", "out", "--out", "page", "--rejected", detector="")
    assert (review.returncode, said in review.stderr) == (0, True)
    assert "orbit_002" not in (tmp_path / "page" / "index.html").read_text()

    assert curate(footage, "--out", "out").returncode == 0
    assert verdicts(tmp_path / "out") == {
        (clip, stage): one for clip, own in first.verdicts.items() for stage, one in own.items()
    }, "the same settings give the same"


def test_settings_that_change_while_clips_are_cut_leave_none_out(
    curate: Curate, footage: Path, tmp_path: Path
) -> None:
    assert curate(footage, "--out", "out", "--stages", "trim").returncode == 0
    folder = CurationFolder.read(tmp_path / "out")
    assert folder.facts is not None
    footage_of = {
        name: one.model_copy(update={"key": "another", "cut": ""})
        for name, one in folder.facts.footage.items()
    }
    folder.write_facts(folder.facts.model_copy(update={"footage": footage_of}))
    first = folder.verdicts["orbit_000"]["trim"]
    folder.add(first.model_copy(update={"key": "another", "numbers": {"sha256": "0" * 64}}))
    folder.close()
    assert curate(footage, "--out", "out", "--stages", "trim").returncode == 0
    again = CurationFolder.read(tmp_path / "out")
    assert again.clips == ["orbit_000", "orbit_001", "orbit_002"]
    assert again.verdicts["orbit_000"]["trim"] == first


def test_a_clip_that_has_changed_since_it_was_cut_is_cut_again(
    curate: Curate, footage: Path, tmp_path: Path
) -> None:
    assert curate(footage, "--out", "out").returncode == 0
    before = CurationFolder.read(tmp_path / "out")
    video = before.video("orbit_001")
    sound = video.read_bytes()
    video.write_bytes(before.video("orbit_000").read_bytes())

    other = write_clip(tmp_path / "second.mp4", 100)
    for given, more in ((other, ()), (footage, ("--stages", "person,cut"))):
        done = curate(given, "--out", "out", *more)
        assert done.returncode == 1
        assert "orbit_001: is gone, or has changed since it was cut: give its footage" in done.stderr
    assert (
        verdicts(tmp_path / "out").items()
        >= {(clip, stage): one for clip, own in before.verdicts.items() for stage, one in own.items()}.items()
    ), "another file is not judged"

    done = curate(footage, "--out", "out")
    assert done.returncode == 0, done.stderr
    assert "orbit_001: its file was gone, or had changed: it was cut again" in done.stderr
    assert video.read_bytes() == sound
    assert asked(tmp_path) == 4, "and is the same"


def test_boxes_that_are_lacking_are_made_again(curate: Curate, footage: Path, tmp_path: Path) -> None:
    assert curate(footage, "--out", "out").returncode == 0
    tables = [
        tmp_path / "out" / "annotation_files" / name for name in ("bounding_boxes.csv", "key_frames.csv")
    ]
    whole = [table.read_bytes() for table in tables]
    boxes = tmp_path / "out" / "boxes.jsonl"
    kept = boxes.read_text().splitlines()
    (own,) = [line for line in kept if '"of":"tracks"' in line and '"orbit_001"' in line]

    other = write_clip(tmp_path / "second.mp4", 90, draw=scene)
    for damaged in (
        [one for one in kept if one != own],
        [one.replace('"frame":90', '"frame":91') for one in kept],
    ):
        boxes.write_text("".join(f"{one}\n" for one in damaged))
        done = curate(other, "--out", "out")
        assert (done.returncode, "boxes.jsonl: orbit_001: lacks the boxes" in done.stderr) == (1, True)
        done = curate(footage, "--out", "out")
        assert done.returncode == 0, done.stderr
        assert "orbit_001: boxes.jsonl lacks the boxes of its tracks: they are made again" in done.stderr
        assert [table.read_bytes() for table in tables] == whole


def test_clips_of_another_detector_are_told(curate: Curate, footage: Path, tmp_path: Path) -> None:
    assert curate(footage, "--out", "out").returncode == 0
    other = write_clip(tmp_path / "second.mp4", 100, draw=lambda n, size: scene(n + 90, size))
    done = curate(other, "--out", "out", version="2")
    assert done.returncode == 0
    assert "3 clips were judged by another recipe or detector (orbit_000 is the first)" in done.stderr
    done = curate(footage, other, "--out", "out", version="2")
    assert (done.returncode, "another recipe" in done.stderr) == (0, False)


def test_footage_that_gives_no_clip_is_named(curate: Curate, footage: Path, tmp_path: Path) -> None:
    short = write_clip(tmp_path / "short.mp4", 60)
    for more in (("--dry-run",), (), ()):
        done = curate(short, footage, "--out", "out", "--stages", "trim", *more)
        assert done.returncode == 0
        assert "short.mp4: gives no clip: it is shorter than" in done.stderr
        assert "orbit.mp4: " not in done.stderr


def test_clips_that_are_not_cut_are_not_judged(curate: Curate, footage: Path, tmp_path: Path) -> None:
    for more in ((), ("--dry-run",)):
        done = curate(footage, "--out", "out", "--stages", "motion", *more)
        assert done.returncode == 1
        assert "error: --stages: no clip of this footage is cut by these settings" in done.stderr
        assert not (tmp_path / "out").exists()
    assert curate(footage, "--out", "out", "--stages", "trim").returncode == 0
    other = write_clip(tmp_path / "second.mp4", 100)
    done = curate(footage, other, "--out", "out", "--stages", "motion")
    assert done.returncode == 0
    assert "second.mp4: is not cut by these settings: add the stage trim" in done.stderr
    assert "0 of 3 clips passed" in done.stdout


def test_a_killed_curation_goes_on(
    curate: Curate, footage: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    assert curate(footage, "--out", "whole", "--num-workers", "1").returncode == 0
    command = [sys.executable, "-m", "microg_bench", "curate", str(footage), "--out", "out"]
    chance = random.Random(4)
    started = time.monotonic()
    subprocess.run(
        [*command, "--dry-run", "--detector", "scripted"], env=environment, cwd=tmp_path, check=True
    )
    start_s = time.monotonic() - started
    for _ in range(10):
        with subprocess.Popen([*command, "--detector", "scripted"], env=environment, cwd=tmp_path) as process:
            time.sleep(start_s * chance.uniform(0.7, 4))
            process.send_signal(signal.SIGKILL)
    assert curate(footage, "--out", "out").returncode == 0
    assert verdicts(tmp_path / "out") == verdicts(tmp_path / "whole")
    assert CurationFolder.read(tmp_path / "out").boxes == CurationFolder.read(tmp_path / "whole").boxes
    for name in ("videos/real/orbit", "annotation_files"):
        own, other = (
            {
                one.name: one.read_bytes()
                for one in (tmp_path / root / name).iterdir()
                if not one.name.startswith(".")
            }
            for root in ("out", "whole")
        )
        assert own == other


def test_footage_that_cannot_be_read_is_named_and_the_rest_goes_on(
    curate: Curate, footage: Path, tmp_path: Path
) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    shutil.copy(footage, videos / "good.mp4")
    (videos / "bad.mp4").write_bytes(b"no video at all")
    done = curate("videos", "--out", "out", "--stages", "trim")
    assert done.returncode == 1
    assert "bad.mp4: is not a readable mp4, mkv, webm or avi video" in done.stderr
    assert CurationFolder.read(tmp_path / "out").clips == ["good_000", "good_001", "good_002"]
    again = curate("videos", "--out", "out", "--stages", "trim")
    assert again.returncode == 1 and "bad.mp4" in again.stderr, "what is wrong is said each time"


def test_footage_that_is_damaged_to_its_end_has_a_fault(
    curate: Curate, footage: Path, tmp_path: Path
) -> None:
    remux(footage, tmp_path / "part.mp4", replaced=dict.fromkeys(range(100, 300), b"\0" * 90))
    for _ in range(2):  # what is wrong is said each time
        done = curate("part.mp4", "--out", "out", "--stages", "trim")
        assert done.returncode == 1
        folder = CurationFolder.read(tmp_path / "out")
        assert folder.facts is not None
        fault = folder.facts.footage["part"].fault
        assert "is damaged after second 3." in fault and f"part.mp4: {fault}" in done.stderr
        assert folder.clips == ["part_000"]
        assert "0 of 2 clips passed" in done.stdout
        assert not folder.verdicts["part_001"]["trim"].passed


def test_a_detector_that_fails_ends_the_curation_with_one_line(
    curate: Curate, footage: Path, tmp_path: Path
) -> None:
    done = curate(footage, "--out", "out", fails="no GPU\nat all")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "error: detector scripted: ValueError: no GPU"
    assert curate(footage, "--out", "out").returncode == 0, "and goes on with the same command"
    assert CurationFolder.read(tmp_path / "out").accepted() == ["orbit_001"]


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"returns": [0, 0, 256, 480, 90]}, "frame 1: confidence 90 is not from 0 to 1"),
        ({"tracks": [[0, 0, 256, 480, 0.9]]}, "frame 1: has shape (1, 5), not (n, 6)"),
    ],
)
def test_a_detector_that_returns_what_is_wrong_ends_the_curation_with_one_line(
    curate: Curate, footage: Path, tmp_path: Path, wanted: dict[str, Any], reason: str
) -> None:
    done = curate(footage, "--out", "out", **wanted)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: detector scripted: {reason}")
    assert curate(footage, "--out", "out").returncode == 0, "and goes on with the same command"
    assert CurationFolder.read(tmp_path / "out").accepted() == ["orbit_001"]


def test_boxes_that_overhang_the_picture_are_cut_to_it(curate: Curate, footage: Path, tmp_path: Path) -> None:
    assert curate(footage, "--out", "out", returns=[-40, -1, 256, 500, 0.9]).returncode == 0
    folder = CurationFolder.read(tmp_path / "out")
    boxes = [*folder.boxes["orbit_001", "detector"].boxes, *folder.persons("orbit_001")]
    assert {(box.xmin, box.ymin, box.xmax, box.ymax) for box in boxes} == {(0, 0, 256, 480)}


def test_a_clip_on_which_the_process_ends_is_named(curate: Curate, footage: Path, tmp_path: Path) -> None:
    done = curate(footage, "--out", "out", kills=True)
    assert done.returncode == 1
    assert "orbit_000: the process that read it ended (SIGKILL)" in done.stderr
    assert curate(footage, "--out", "out").returncode == 0


def test_two_curations_of_one_folder_do_not_mix(
    curate: Curate, footage: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    from microg_bench.storage import FolderLock

    lock = FolderLock(tmp_path / "out")
    try:
        done = curate(footage, "--out", "out")
    finally:
        lock.release()
    assert done.returncode == 1
    assert "another process is writing" in done.stderr


def test_more_footage_is_added_to_a_curation(curate: Curate, footage: Path, tmp_path: Path) -> None:
    assert curate(footage, "--out", "out").returncode == 0
    other = write_clip(tmp_path / "second.mp4", 100, draw=lambda n, size: scene(n + 90, size))
    assert curate(other, "--out", "out").returncode == 0
    folder = CurationFolder.read(tmp_path / "out")
    assert folder.accepted() == ["orbit_001", "second_000"]
    assert set(folder.facts.footage) == {"orbit", "second"} if folder.facts else False
    text = (tmp_path / "out" / "annotation_files" / "key_frames.csv").read_text()
    assert "orbit_001" in text and "second_000" in text


def test_a_curation_within_its_footage_goes_on_without_its_clips(
    curate: Curate, footage: Path, tmp_path: Path
) -> None:
    (tmp_path / "videos").mkdir()
    shutil.copy(footage, tmp_path / "videos")
    for _ in range(2):
        done = curate("videos", "--out", "videos/curated", "--stages", "trim")
        assert done.returncode == 0, done.stderr
    folder = CurationFolder.read(tmp_path / "videos" / "curated")
    assert folder.clips == ["orbit_000", "orbit_001", "orbit_002"]
    done = curate("videos", "--out", "videos", "--stages", "trim")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1) and "--out" in done.stderr
    assert not (tmp_path / "videos" / "curation.json").exists()


def test_what_a_manifest_told_stays(curate: Curate, footage: Path, tmp_path: Path) -> None:
    def told() -> dict[str, tuple[str, str, str]]:
        facts = CurationFolder.read(tmp_path / "out").facts
        assert facts is not None
        return {name: (one.kind, one.origin, one.licence) for name, one in facts.footage.items()}

    manifest = tmp_path / "m.csv"
    manifest.write_text("name,kind,origin\norbit,movie,A studio\n")
    start = ("--out", "out", "--stages", "trim")
    assert curate(footage, *start, "--manifest", manifest).returncode == 0
    assert curate(footage, *start).returncode == 0
    assert told() == {"orbit": ("movie", "A studio", "")}
    assert not (tmp_path / "out" / "videos" / "real").exists(), "no clip was cut again elsewhere"
    other = write_clip(tmp_path / "second.mp4", 100)
    manifest.write_text("name,licence\norbit,all rights reserved\nsecond,CC0\n")
    assert curate(other, *start, "--manifest", manifest).returncode == 0
    assert told() == {"orbit": ("movie", "A studio", "all rights reserved"), "second": ("real", "", "CC0")}


def test_a_dry_run_counts_and_writes_nothing(curate: Curate, footage: Path, tmp_path: Path) -> None:
    done = curate(footage, "--out", "out", "--dry-run")
    assert done.stdout.startswith("1 video of 0.00 hours give about 3 clips: 0 are cut, 0 are judged")
    assert not (tmp_path / "out").exists()
    assert curate(footage, "--out", "out").returncode == 0
    done = curate(footage, "--out", "out", "--dry-run")
    assert "3 are cut, 3 are judged" in done.stdout
    done = curate(footage, "--out", "out", "--dry-run", detector="hog")
    assert "3 are cut, 0 are judged" in done.stdout, "another detector judges again"


@pytest.mark.parametrize("at", [1, 8, 45, 84])
def test_a_shot_that_is_cut_is_rejected_by_its_cut_alone(curate: Curate, tmp_path: Path, at: int) -> None:
    def spliced(number: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        image = scene(90 + number, size)
        image[image[:, :, 0] < 255] = (255, 255, 80) if number < at else (120, 120, 180)
        return image

    whole = write_clip(tmp_path / "whole.mp4", 90, draw=lambda number, size: scene(90 + number, size))
    done = curate(write_clip(tmp_path / "cut.mp4", 90, draw=spliced), whole, "--out", "out")
    assert done.returncode == 0, done.stderr
    found = CurationFolder.read(tmp_path / "out").verdicts
    assert found["whole_000"]["cut"].passed
    assert found["cut_000"]["person"].passed
    assert (found["cut_000"]["cut"].passed, found["cut_000"]["cut"].numbers["cuts"]) == (False, [at])
    assert list(found["cut_000"]) == ["trim", "person", "cut"]


def test_without_space_nothing_is_lost_or_half_written(
    environment: dict[str, str], footage: Path, curate: Curate, tmp_path: Path
) -> None:
    limited = [
        sys.executable,
        "-c",
        LIMITED,
        "curate",
        str(footage),
        "--out",
        "out",
        "--detector",
        "scripted",
    ]
    done = subprocess.run(limited, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = [one for one in done.stderr.splitlines() if one.startswith("error: ")]
    assert "cannot be written" in line
    assert not list((tmp_path / "out" / "videos").rglob("*.mp4"))
    assert curate(footage, "--out", "out").returncode == 0
    assert CurationFolder.read(tmp_path / "out").accepted() == ["orbit_001"]


def test_real_persons_are_found_and_rockets_are_not(curate: Curate, tmp_path: Path, shared: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")
    sample = Path(__file__).parents[2] / "microg_bench" / "dataset" / "sample" / "videos"
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in ("astronaut-drift_000", "astronaut-roll_001", "pedestrians-a_000", "rocket-roll_000"):
        (file,) = sample.rglob(f"{name}.mp4")
        shutil.copy(file, videos / f"{name.replace('_', '-')}.mp4")
    done = curate("videos", "--out", "out", detector="ssd")
    assert done.returncode == 0, done.stderr
    folder = CurationFolder.read(tmp_path / "out")
    passed = {clip.rpartition("-")[0]: found["person"].passed for clip, found in folder.verdicts.items()}
    assert passed == {
        "astronaut-drift": True,
        "astronaut-roll": True,
        "pedestrians-a": True,
        "rocket-roll": False,
    }
    assert all(found["cut"].passed for found in folder.verdicts.values() if "cut" in found)
    assert {clip.partition("-")[0] for clip in folder.accepted()} == {"astronaut"}, (
        "pedestrians are too small"
    )
