"""Broken and hostile files: each fails with the reason, named by file and not by folder."""

from __future__ import annotations

import os
from pathlib import Path

import av
import numpy as np
import pytest

from microg_bench.errors import DecodeError
from microg_bench.video.decode import decode
from microg_bench.video.sampling import FrameSpec
from microg_bench.video.source import probe
from tests.helpers.videos import full_decode, write_clip, write_sound

SPEC = FrameSpec(count=4)


def why(path: Path, **settings: float) -> str:
    """The reason for which `path` is refused, having checked its form."""
    with pytest.raises(DecodeError) as caught:
        decode(path, SPEC, **settings)  # type: ignore[arg-type]
    text = str(caught.value)
    assert text.startswith(f"{path.name}: ")
    assert str(path.parent) not in text
    assert "\n" not in text
    return text


def test_a_missing_file(tmp_path: Path) -> None:
    assert "No such file" in why(tmp_path / "absent.mp4")


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "void.mp4").touch()
    assert why(tmp_path / "void.mp4") == "void.mp4: is empty"


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    assert why(tmp_path / "folder.mp4") == "folder.mp4: is a folder, not a video"


def test_a_pipe_is_not_waited_on(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    assert why(tmp_path / "pipe.mp4") == "pipe.mp4: is not a regular file"


def test_a_text_file_by_the_name_of_a_video(tmp_path: Path) -> None:
    (tmp_path / "note.mp4").write_text("This is no video.\n" * 100)
    assert "not a readable mp4, mkv, webm or avi video" in why(tmp_path / "note.mp4")


def test_sound_without_a_picture(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "sound.mp4")
    assert why(path) == "sound.mp4: has no video stream"


def test_a_name_that_looks_like_a_protocol_is_a_file_name(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "concat:x.mp4").write_bytes(clip.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert decode("concat:x.mp4", SPEC).total == 30


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.mp4\n#EXT-X-ENDLIST\n"),
        ("list.mp4", "ffconcat version 1.0\nfile clip.mp4\n"),
    ],
    ids=["m3u8", "concat"],
)
def test_a_playlist_does_not_reach_other_files(clip: Path, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "clip.mp4").write_bytes(clip.read_bytes())
    (tmp_path / name).write_text(text)
    with av.open(str(tmp_path / name)) as container:
        assert container.streams.video, "libav alone follows the playlist"
    assert "not a readable" in why(tmp_path / name)


def test_a_container_beyond_the_known_ones(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "stream.ts", frames=5, size=(96, 64))
    with av.open(str(path)) as container:
        assert container.streams.video
    assert "not a readable" in why(path)


CUT = {
    "back.mp4": ("libx264", {}, {}),
    "front.mp4": ("libx264", {}, {"movflags": "faststart"}),
    "fragmented.mp4": ("libx264", {}, {"movflags": "frag_keyframe+empty_moov"}),
    "cut.mkv": ("libx264", {}, {}),
    "cut.webm": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}, {}),
    "cut.avi": ("mpeg4", {}, {}),
}


@pytest.mark.parametrize("name", sorted(CUT))
def test_a_file_that_was_cut_short_is_refused_or_has_all_its_frames(tmp_path: Path, name: str) -> None:
    codec, options, muxer = CUT[name]
    path = write_clip(tmp_path / name, 12, size=(96, 64), codec=codec, options=options, muxer=muxer)
    whole, frames = path.read_bytes(), full_decode(path)
    refused = 0
    for share in range(5, 100, 5):
        path.write_bytes(whole[: len(whole) * share // 100])
        try:
            assert np.array_equal(decode(path, FrameSpec(how="all")).pixels, frames)
        except DecodeError:
            refused += 1
    # Only the index that some containers keep behind the frames may be missing.
    assert refused >= 12


def test_fewer_frames_than_the_header_promises(clip: Path, tmp_path: Path) -> None:
    data = bytearray(write_clip(tmp_path / "few.avi", 12, size=(96, 64), codec="mpeg4").read_bytes())
    # The length of the stream is 32 bytes into its header.
    at = data.index(b"strh") + 8 + 32
    assert data[at : at + 4] == (12).to_bytes(4, "little")
    data[at : at + 4] = (20).to_bytes(4, "little")
    (tmp_path / "few.avi").write_bytes(data)
    assert why(tmp_path / "few.avi") == "few.avi: only 12 of the 20 frames that its header promises decode"


def test_a_matroska_file_whose_frames_end_before_its_header_says(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "early.mkv", frames=30, size=(96, 64))
    data = path.read_bytes()
    assert data.count(b"00:00:01.000000000") == 1
    path.write_bytes(data.replace(b"00:00:01.000000000", b"00:00:03.000000000"))
    assert why(path) == "early.mkv: its frames end at 0.97 s of the 3.00 s that its header promises"


def damage_middle(data: bytearray) -> None:
    middle = len(data) // 2
    data[middle : middle + 400] = np.random.default_rng(5).bytes(400)


def test_damage_in_the_middle(clip: Path, tmp_path: Path) -> None:
    data = bytearray(clip.read_bytes())
    damage_middle(data)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    assert any(word in why(path) for word in ("is damaged", "cannot be decoded"))


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_huge_frames_are_refused_before_they_are_decoded(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"huge.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1, options={"preset": "ultrafast"})
        stream.width, stream.height = 8320, 8192
        container.mux(stream.encode(av.VideoFrame(8320, 8192, "yuv420p")))
        container.mux(stream.encode(None))
    assert why(path) == f"huge.{suffix}: frames of 8320x8192 are too large"


def test_a_header_with_absurd_dimensions(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "absurd.avi", 2, size=(96, 64), codec="rawvideo")
    data = bytearray(path.read_bytes())
    at = data.index(b"strf") + 8 + 4
    assert int.from_bytes(data[at : at + 4], "little") == 96
    data[at : at + 8] = (30_000).to_bytes(4, "little") * 2
    path.write_bytes(data)
    assert why(path) == "absurd.avi: its frame size is unknown or too large"


def test_a_decoder_out_of_time_is_cut_off(clip: Path) -> None:
    assert why(clip, limit_s=0.0) == "clip.mp4: decoding took longer than 0 s"


def test_more_frames_than_a_model_could_be_shown(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "long.mp4", frames=1100, size=(32, 32), codec="mpeg4")
    with pytest.raises(DecodeError, match=r"^long\.mp4: all asks for 1100 frames, more than 1024$"):
        decode(path, FrameSpec(how="all"))
    assert decode(path, SPEC).total == 1100


def test_unprintable_characters_in_a_name_are_not_printed(tmp_path: Path) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(tmp_path / "a\x1b[31m\nb.mp4", SPEC)
    assert str(caught.value).startswith("a [31m b.mp4: ")


def test_libav_writes_nothing_to_the_terminal(
    clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(clip.read_bytes())
    damage_middle(data)
    (tmp_path / "noisy.mp4").write_bytes(data)
    why(tmp_path / "noisy.mp4")
    assert capfd.readouterr() == ("", "")


def test_probe_refuses_what_decode_refuses(tmp_path: Path) -> None:
    (tmp_path / "void.mp4").touch()
    with pytest.raises(DecodeError, match=r"^void\.mp4: is empty$"):
        probe(tmp_path / "void.mp4")
