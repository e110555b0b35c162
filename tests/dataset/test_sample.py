"""The built-in sample set is whole, small, in the published form, and what its script makes of the media."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
from av.video.frame import PictureType

from microg_bench.dataset.check import check
from microg_bench.dataset.load import SAMPLE_FOLDER, load
from microg_bench.records import Clip
from tests.helpers.videos import full_decode

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "make_sample.py"
CLIPS = load("sample").clips
VIDEOS = sorted(SAMPLE_FOLDER.glob("videos/real/*/*.mp4"))


def make_sample() -> ModuleType:
    pytest.importorskip("cv2")
    spec = importlib.util.spec_from_file_location("make_sample", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_every_clip_has_its_video_and_every_video_its_clip() -> None:
    assert sorted(clip.video_id for clip in CLIPS) == sorted(path.stem for path in VIDEOS)
    assert {clip.video_id: clip.video for clip in CLIPS} == {path.stem: path for path in VIDEOS}
    assert all(path.parent.name == path.stem.rpartition("_")[0] for path in VIDEOS)


def test_there_are_clips_and_sources_enough_to_leave_one_source_out() -> None:
    assert len(CLIPS) >= 10
    assert len({clip.source for clip in CLIPS}) >= 4


def test_some_questions_are_asked_of_several_sources() -> None:
    asked: dict[str, set[str]] = {}
    for clip in CLIPS:
        for question in clip.questions:
            asked.setdefault(question.text, set()).add(clip.source)
    assert sum(len(sources) > 1 for sources in asked.values()) >= 4


def test_the_whole_set_is_at_most_four_megabytes() -> None:
    assert sum(path.stat().st_size for path in SAMPLE_FOLDER.rglob("*") if path.is_file()) <= 4_000_000


def test_the_dataset_check_finds_no_fault() -> None:
    assert check("sample").faults == ()


@pytest.mark.parametrize("video", VIDEOS, ids=lambda path: path.stem)
def test_a_video_is_three_seconds_of_h264_at_thirty_frames_a_second(video: Path) -> None:
    with av.open(str(video)) as container:
        (stream,) = container.streams
        assert isinstance(stream, av.VideoStream)
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (640, 480)
        assert stream.average_rate == 30
        assert stream.frames == 90
        assert stream.duration is not None and stream.time_base is not None
        assert stream.duration * stream.time_base == 3
        frames = list(container.decode(stream))
    assert [frame.time for frame in frames] == pytest.approx([number / 30 for number in range(90)])
    assert PictureType.B in {frame.pict_type for frame in frames}


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.video_id)
def test_a_clip_has_a_caption_and_six_questions_of_which_one_has_no_answer_in_it(clip: Clip) -> None:
    assert clip.caption and 40 <= len(clip.caption.split()) <= 110
    assert len(clip.questions) == 6
    assert any(question.answer == "Not mentioned." for question in clip.questions)
    assert not all(question.answer == "Not mentioned." for question in clip.questions)


def test_no_two_clips_share_a_caption() -> None:
    assert len({clip.caption for clip in CLIPS}) == len(CLIPS)


def test_the_script_knows_exactly_the_shipped_clips() -> None:
    module = make_sample()
    made = {f"{source}_{clip:03d}" for source in module.SOURCES for clip in range(module.CLIPS)}
    assert made == {path.stem for path in VIDEOS}


@pytest.mark.parametrize("source", ["pedestrians-c", "rocket-roll"])
def test_the_script_makes_a_shipped_clip_anew(shared: Path, tmp_path: Path, source: str) -> None:
    made = tmp_path / "made.mp4"
    make_sample().write_clip(shared / "media", source, 1, made)
    shipped = SAMPLE_FOLDER / "videos" / "real" / source / f"{source}_001.mp4"
    # Pictures, not bytes: another build of libx264 may code the same frames otherwise. OpenCV 4 places
    # pixels to 1/32, version 5 does not: means over 4×4 pixels tell no such steps.
    pictures = (
        full_decode(path).reshape(90, 120, 4, 160, 4, 3).mean(axis=(2, 4)) for path in (made, shipped)
    )
    assert np.abs(next(pictures) - next(pictures)).mean() < 1
