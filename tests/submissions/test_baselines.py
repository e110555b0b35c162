"""The answers of a baseline are computed again where its clips are at hand, and only there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from microg_bench.adapters.base import Baseline
from microg_bench.adapters.registry import find_adapter, source_sha256
from microg_bench.dataset.load import Dataset
from microg_bench.records import Answer, Clip
from microg_bench.runs.record import RunRecord
from microg_bench.storage import file_sha256
from microg_bench.submissions.baselines import EARLIER, is_known, other_answers
from microg_bench.video.sampling import FrameSpec
from tests.helpers.runs import make_settings, open_run
from tests.helpers.videos import write_clip

# The clip of each that looks most alike, of another source: those of a and c are one file.
NEAREST = {"a_0": "c_0", "b_0": "a_0", "c_0": "a_0"}


def baseline(name: str) -> Baseline:
    found = find_adapter(name)
    assert isinstance(found, Baseline)
    return found


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    videos = {name: tmp_path / f"{name}.mp4" for name in NEAREST}
    write_clip(videos["a_0"], frames=12, size=(64, 64))
    write_clip(videos["b_0"], frames=12, size=(128, 64))
    shutil.copy(videos["a_0"], videos["c_0"])
    clips = (
        Clip(video_id=name, source=name[0], caption=f"Caption of {name}.", video=video)
        for name, video in videos.items()
    )
    return Dataset("set", tuple(clips), "f" * 64)


def run(folder: Path, data: Dataset, answers: dict[str, str], **settings: Any) -> RunRecord:
    """A run of captions with these answers, each on the file that its clip has here."""
    files = {clip.video_id: clip.video for clip in data.clips}
    with open_run(folder / "r", frames=FrameSpec(count=4), dataset="set", **settings) as record:
        for name, text in answers.items():
            video = files[name]
            sha256 = file_sha256(video)[:16] if video else None
            record.add(Answer(id=name, text=text, answer=text, frames=(1, 4, 7, 10), clip_sha256=sha256))
    return RunRecord.read(folder / "r")


def honest() -> dict[str, str]:
    return {name: f"Caption of {nearest}." for name, nearest in NEAREST.items()}


def others(record: RunRecord, data: Dataset, name: str = "nearest-clip") -> list[str] | None:
    return other_answers(record, baseline(name), data)


def with_video(data: Dataset, name: str, video: Path | None) -> Dataset:
    """The dataset in which a clip has another file, or none."""
    clips = (
        clip.model_copy(update={"video": video}) if clip.video_id == name else clip for clip in data.clips
    )
    return Dataset("set", tuple(clips), data.fingerprint)


def test_answers_that_the_baseline_gives_otherwise_are_named(tmp_path: Path, data: Dataset) -> None:
    assert others(run(tmp_path / "honest", data, honest()), data) == []
    edited = honest() | {"b_0": "Something else."}
    assert others(run(tmp_path / "edited", data, edited), data) == ["b_0"]
    assert others(run(tmp_path / "part", data, {"b_0": "Something else."}), data) == ["b_0"]


def test_answers_are_not_computed_without_their_very_clips(tmp_path: Path, data: Dataset) -> None:
    record = run(tmp_path, data, honest())
    assert others(record, with_video(data, "b_0", None)) is None
    (tmp_path / "torn.mp4").write_bytes(b"no video")
    torn = with_video(data, "b_0", tmp_path / "torn.mp4")
    assert others(record, torn) is None
    record.answers["b_0"] = record.answers["b_0"].model_copy(update={"clip_sha256": None})
    assert others(record, data) == []
    assert others(record, torn) is None
    record.answers["b_0"] = record.answers["b_0"].model_copy(update={"clip_sha256": "0" * 16})
    assert others(record, data) is None
    unseen = run(tmp_path / "unseen", data, honest())
    unseen.settings = unseen.settings.model_copy(update={"frames": None})
    assert others(unseen, data) is None


def test_a_baseline_that_sees_nothing_needs_no_clips(tmp_path: Path, data: Dataset) -> None:
    bare = with_video(data, "b_0", None)
    found = others(run(tmp_path, bare, dict.fromkeys(NEAREST, "Something else.")), bare, "constant")
    assert found == list(NEAREST)


def test_a_baseline_is_known_by_what_it_is_made_of() -> None:
    earlier = next(sha256 for sha256, name in EARLIER.items() if name == "nearest-clip")
    for name, sha256, known in (
        ("nearest-clip", source_sha256(baseline("nearest-clip")), True),
        ("nearest-clip", earlier, True),
        ("nearest-clip", "0" * 64, False),
        ("constant", earlier, False),
        ("constant", source_sha256(baseline("nearest-clip")), False),
    ):
        assert is_known(make_settings(adapter_sha256=sha256), baseline(name)) == known
