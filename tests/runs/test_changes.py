"""Clips whose file was replaced between two starts are asked about again."""

import asyncio
import json
from pathlib import Path

import pytest

from microg_bench.adapters.base import Baseline
from microg_bench.engines.base import FunctionEngine, Job
from microg_bench.errors import UsageError
from microg_bench.records import Clip, Question
from microg_bench.runs.changes import find_changes
from microg_bench.runs.configure import Configuration
from microg_bench.runs.execute import ask
from microg_bench.runs.frames import whole_clips
from microg_bench.runs.start import Outcomes
from microg_bench.storage import read_journal
from tests.helpers.runs import Notes, Plain, execute, make_configuration, opened, read

QUESTIONS = (Question(text="Who?", answer="Ann"), Question(text="What?", answer="A pen"))


@pytest.fixture
def clips(tmp_path: Path) -> list[Clip]:
    found = []
    for n in range(3):
        file = tmp_path / f"a_{n}.mp4"
        file.write_bytes(b"first")
        found.append(Clip(video_id=f"a_{n}", source="a", caption="c", questions=QUESTIONS, video=file))
    return found


def started(root: Path, one: Configuration) -> list[str]:
    """Ask what is open about the clips' own files; which requests were asked."""
    asked: list[str] = []

    def function(job: Job) -> str:
        asked.append(job.request.id)
        return (job.video or Path()).read_text()

    execute(root, one, FunctionEngine(function=function), whole_clips)
    return asked


def changes(root: Path, one: Configuration) -> tuple[dict[str, str], list[str]]:
    with opened(root, one) as variant:
        notes = Notes()
        find_changes([variant], root, notes)
        return variant.changed, notes.notes


def test_only_the_clip_that_was_replaced_is_asked_about_again(tmp_path: Path, clips: list[Clip]) -> None:
    root, one = tmp_path / "r", make_configuration(clips, ("caption", "vqa"))
    started(root, one)
    assert changes(root, one) == ({}, [])
    (tmp_path / "a_1.mp4").write_bytes(b"second")
    (tmp_path / "a_2.mp4").unlink()
    found, notes = changes(root, one)
    assert found == dict.fromkeys(["a_1", "a_1#1", "a_1#2"], "the video file has changed since it was shown")
    assert notes == ["a_1: the video file has changed since it was shown: asked again"]
    with opened(root, one) as variant:
        find_changes([variant], root, Notes())
        assert [request.id for request in variant.open_requests(clips[1])] == ["a_1", "a_1#1", "a_1#2"]
        assert "a_1" in variant.records["caption"].answers, "nothing is withdrawn before it is asked"
        variant.withdraw()
        assert variant.open_requests(clips[0]) == ()
    assert started(root, one) == ["a_1", "a_1#1", "a_1#2"]
    records = read(root, one)
    assert records["caption"].answers["a_1"].answer == "second"
    assert records["caption"].answers["a_2"].answer == "first", "a file that is not there says nothing"
    assert len(records["vqa"].responses) == 8, "what was withdrawn was paid for"
    assert changes(root, one) == ({}, [])


def test_answers_that_do_not_tell_their_file_are_left_alone(tmp_path: Path, clips: list[Clip]) -> None:
    root, one = tmp_path / "r", make_configuration(clips)
    started(root, one)
    journal = root / "caption" / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for line in lines[:2]:
        line.pop("clip_sha256")
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for clip in clips:
        (clip.video or Path()).write_bytes(b"second")
    assert list(changes(root, one)[0]) == ["a_2"]


def test_many_clips_are_named_in_part(tmp_path: Path) -> None:
    file = tmp_path / "a.mp4"
    file.write_bytes(b"first")
    clips = [Clip(video_id=f"a_{n:03}", source="a", caption="c", video=file) for n in range(25)]
    root, one = tmp_path / "r", make_configuration(clips)
    started(root, one)
    file.write_bytes(b"second")
    found, notes = changes(root, one)
    assert (len(found), len(notes)) == (25, 11)
    assert notes[-1] == "15 more video files have changed since they were shown: asked again"


class Seeing(Baseline, Plain):
    """A baseline that sees the clips, of which it says nothing."""

    name = "seeing"
    sees_video = True

    def answer(self, request: object, descriptor: object, others: object) -> str:
        return "seen"


def test_a_baseline_answers_from_all_clips_and_is_asked_about_all_again(
    tmp_path: Path, clips: list[Clip]
) -> None:
    root, one = tmp_path / "r", make_configuration(clips, adapter=Seeing())
    started(root, one)
    digest = read(root, one)["caption"].answers["a_0"].clip_sha256
    line = {"made_with": one.described_with, "clip_sha256": digest, "frames": [1], "descriptor": [0.5]}
    lines = [{"id": clip.video_id, **line} for clip in clips]
    (root / "descriptors.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    assert changes(root, one) == ({}, [])
    (tmp_path / "a_1.mp4").write_bytes(b"second")
    found, notes = changes(root, one)
    assert found == {
        "a_0": "the video file of a_1 has changed since it was described",
        "a_1": "the video file has changed since it was shown",
        "a_2": "the video file of a_1 has changed since it was described",
    }
    assert len(notes) == 1


PRICES = """
[openai.m]
date = 2026-01-01
input = 1000000
output = 1000000
"""


def test_answers_are_kept_where_asking_again_is_not_paid_for(tmp_path: Path, clips: list[Clip]) -> None:
    """Where the wrong folder of clips is given, and the cost is refused, nothing is lost."""
    (tmp_path / "prices.toml").write_text(PRICES)
    root = tmp_path / "r"
    one = make_configuration(
        clips, engine=Paid, checkpoint="m", prices=str(tmp_path / "prices.toml"), max_tokens=1
    )
    started(root, one)
    (tmp_path / "a_1.mp4").write_bytes(b"second")
    before = list(read_journal(root / "caption" / "journal.jsonl"))

    def start() -> Outcomes:
        with opened(root, one) as variant:
            return asyncio.run(ask([variant], root, Notes()))

    with pytest.raises(UsageError, match="this may cost"):
        start()
    assert list(read_journal(root / "caption" / "journal.jsonl")) == before


class Paid(FunctionEngine):
    """An engine that is paid for."""

    name = "openai"
