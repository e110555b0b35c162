"""What containers state about their own bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from microg_bench.video.containers import matroska_holes
from tests.helpers.videos import packet_places, write_clip


@pytest.mark.parametrize("muxer", [{}, {"live": "1"}, {"cues_to_front": "1"}])
@pytest.mark.parametrize(("suffix", "codec"), [("mkv", "libx264"), ("webm", "libvpx-vp9")])
def test_a_whole_file_has_no_hole(tmp_path: Path, suffix: str, codec: str, muxer: dict[str, str]) -> None:
    assert matroska_holes(write_clip(tmp_path / f"a.{suffix}", 60, codec=codec, muxer=muxer)) == []


@pytest.mark.parametrize("junk", [b"\0", b"\xff", b"\x42"])
def test_a_hole_is_where_an_element_should_begin(tmp_path: Path, junk: bytes) -> None:
    video = write_clip(tmp_path / "a.mkv", 90)
    content, places = bytearray(video.read_bytes()), packet_places(video)
    begin, end = places[20].start, places[22].start
    content[begin:end] = junk * (end - begin)
    video.write_bytes(content)
    header = 4  # of a block: its track, time and flags
    assert matroska_holes(video) == [places[20].stop + header]


def test_what_is_no_matroska_is_one_hole(tmp_path: Path) -> None:
    for content, holes in ((b"", []), (bytes(5000), [0]), (b"\x1a\x45\xdf\xa3", [0])):
        (tmp_path / "a.mkv").write_bytes(content)
        assert matroska_holes(tmp_path / "a.mkv") == holes
