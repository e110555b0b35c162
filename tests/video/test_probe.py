"""What a file says about itself, and whether it keeps to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from microg_bench.errors import DecodeError
from microg_bench.video.source import VideoFacts, probe
from tests.helpers.videos import write_clip


def test_the_header_is_told(clip: Path) -> None:
    assert probe(clip) == VideoFacts(
        container="mov,mp4,m4a,3gp,3g2,mj2",
        codec="h264",
        width=320,
        height=240,
        fps=30.0,
        duration=1.0,
        frames=30,
    )


def test_a_full_probe_counts_the_frames_that_decode(clip: Path) -> None:
    assert probe(clip, full=True).decoded == 30


def test_a_container_without_a_count_tells_zero(tmp_path: Path) -> None:
    facts = probe(write_clip(tmp_path / "a.mkv", frames=12, fps=24, size=(96, 64)), full=True)
    assert (facts.container, facts.frames, facts.decoded) == ("matroska,webm", 0, 12)
    assert facts.fps == 24.0
    assert facts.duration == pytest.approx(0.5, abs=0.001)


def test_damage_shows_only_in_a_full_probe(clip: Path, tmp_path: Path) -> None:
    data = clip.read_bytes()
    path = tmp_path / "short.mp4"
    path.write_bytes(data[: len(data) // 2])
    assert probe(path).frames == 30
    with pytest.raises(DecodeError, match=r"^short\.mp4: is cut short or damaged"):
        probe(path, full=True)
