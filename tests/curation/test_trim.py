"""Each frame of a clip shows the frame of the footage that was on display at its time."""

from __future__ import annotations

from bisect import bisect_right
from fractions import Fraction
from pathlib import Path

import av
import pytest

from microg_bench.curation.recipe import Trim
from microg_bench.curation.trim import Piece, cut_clips
from microg_bench.errors import DecodeError
from microg_bench.video.source import probe
from tests.helpers.counters import counter, read_counter, write_two_sizes
from tests.helpers.videos import full_decode, key_packets, packet_places, remux, write_clip, write_sound

pytestmark = pytest.mark.heavy
SETTINGS = Trim(seconds=3, fps=30, height=480, crf=23)
NTSC = Fraction(24_000, 1001)


def cut(footage: Path, known: tuple[int, ...] = (), settings: Trim = SETTINGS) -> list[Piece]:
    return list(cut_clips(footage, settings, lambda number: clip(footage, number), known))


def clip(footage: Path, number: int) -> Path:
    return footage.parent / "clips" / f"{footage.stem}_{number:03}.mp4"


def shown(footage: Path, number: int) -> list[int]:
    return [read_counter(image) for image in full_decode(clip(footage, number))]


def at(times: list[Fraction], second: Fraction) -> int:
    """The last frame at or before a second."""
    return bisect_right(times, second) - 1


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize("rate", [Fraction(30), Fraction(25), NTSC, Fraction(60), Fraction(10)])
def test_every_rate_is_shown_at_its_times(tmp_path: Path, rate: Fraction, suffix: str) -> None:
    count = int(rate * Fraction(13, 2))  # six seconds and a half
    footage = write_clip(tmp_path / f"a.{suffix}", count, float(rate), draw=counter)
    assert [(one.number, one.reason) for one in cut(footage)] == [(0, ""), (1, "")]
    times = [Fraction(number) / rate for number in range(count)]
    if suffix == "mkv":  # it rounds times to milliseconds
        times = [Fraction(int(1000 * one + Fraction(1, 2)), 1000) - Fraction(1, 2000) for one in times]
    for number in (0, 1):
        assert shown(footage, number) == [at(times, 3 * number + Fraction(k, 30)) for k in range(90)]
        facts = probe(clip(footage, number), full=True)
        assert (facts.decoded, facts.fps, facts.duration, facts.codec) == (90, 30.0, 3.0, "h264")
        assert (facts.width, facts.height) == (640, 480)


def test_a_variable_rate_is_shown_at_its_times(tmp_path: Path) -> None:
    gaps = [Fraction(1, 30), Fraction(1, 24), Fraction(1, 7), Fraction(1, 60), Fraction(1, 2)]
    times = [Fraction(0)]
    while times[-1] < Fraction(32, 5):
        times.append(times[-1] + gaps[len(times) % 5])
    footage = write_clip(tmp_path / "a.mp4", times=[float(one) for one in times], draw=counter)
    assert len(cut(footage)) == 2
    for number in (0, 1):
        assert shown(footage, number) == [at(times, 3 * number + Fraction(k, 30)) for k in range(90)]


def test_footage_of_exactly_a_clip_gives_it_and_a_frame_less_none(tmp_path: Path) -> None:
    assert len(cut(write_clip(tmp_path / "a.mp4", 90, 30, draw=counter))) == 1
    assert len(cut(write_clip(tmp_path / "b.mp4", 72, float(NTSC), draw=counter))) == 1, "3.003 seconds"
    assert cut(write_clip(tmp_path / "c.mp4", 89, 30, draw=counter)) == []
    assert sorted(one.name for one in (tmp_path / "clips").iterdir()) == ["a_000.mp4", "b_000.mp4"]


@pytest.mark.parametrize(
    ("size", "options", "width"),
    [
        ((320, 180), {}, 854),
        ((180, 320), {}, 270),
        ((352, 288), {"aspect": "4:3"}, 586),
        ((720, 480), {}, 720),
    ],
)
def test_the_aspect_is_kept(
    tmp_path: Path, size: tuple[int, int], options: dict[str, str], width: int
) -> None:
    footage = write_clip(tmp_path / "a.mp4", size=size, draw=counter)
    cut(footage)
    facts = probe(clip(footage, 0))
    assert facts.height == 480
    assert abs(facts.width - width) <= 2 and facts.width % 2 == 0


def test_a_turned_picture_is_upright(tmp_path: Path) -> None:
    footage = write_clip(tmp_path / "a.mp4", 90, size=(320, 240), rotation=90, draw=counter)
    cut(footage)
    facts = probe(clip(footage, 0))
    assert (facts.width, facts.height) == (360, 480)
    upright = full_decode(clip(footage, 0))[5].transpose(1, 0, 2)
    assert 5 in (read_counter(upright), read_counter(upright[:, ::-1]))


def test_clips_have_no_sound_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    footage = write_clip(tmp_path / "a.mp4", 90, draw=counter)
    (first,) = cut(footage)
    content = clip(footage, 0).read_bytes()
    with av.open(str(clip(footage, 0))) as container:
        assert [stream.type for stream in container.streams] == ["video"]
    clip(footage, 0).unlink()
    assert cut(footage) == [first]
    assert clip(footage, 0).read_bytes() == content


def test_clips_that_are_there_are_not_written_again(tmp_path: Path) -> None:
    footage = write_clip(tmp_path / "a.mp4", 270, draw=counter)
    whole = cut(footage)
    clip(footage, 1).unlink()
    before = clip(footage, 0).stat().st_mtime_ns
    assert cut(footage, known=(0, 2)) == [Piece(0), whole[1], Piece(2)]
    assert clip(footage, 0).stat().st_mtime_ns == before


def test_what_is_damaged_in_the_middle_is_named_and_the_rest_is_cut(tmp_path: Path) -> None:
    whole = write_clip(
        tmp_path / "whole.mp4", 360, draw=counter, options={"g": "30", "sc_threshold": "0", "bf": "0"}
    )
    assert 120 in key_packets(whole)
    footage = remux(whole, tmp_path / "a.mp4", replaced={125: bytes(range(256)) * 4, 126: b"\0" * 900})
    pieces = cut(footage)
    assert [one.number for one in pieces] == [0, 1, 2, 3]
    assert [bool(one.sha256) for one in pieces] == [True, False, True, True]
    assert pieces[1].reason.startswith("is damaged after second 4.")
    assert not clip(footage, 1).exists()
    assert shown(footage, 2) == list(range(180, 270))


def test_a_clip_of_two_sizes_is_named_and_the_rest_is_cut(tmp_path: Path) -> None:
    footage = write_two_sizes(tmp_path / "a.mkv", 450, ((320, 240), (160, 120)))
    pieces = cut(footage)
    assert [bool(one.sha256) for one in pieces] == [True, True, False, True, True]
    assert pieces[2] == Piece(2, reason="the size of its frames changes at second 7.50")
    for number in (0, 1, 3, 4):
        assert shown(footage, number) == list(range(90 * number, 90 * number + 90))


def test_a_size_that_changes_between_clips_leaves_none_out(tmp_path: Path) -> None:
    footage = write_two_sizes(tmp_path / "a.mkv", 180, ((320, 240), (160, 120)))
    assert [bool(one.sha256) for one in cut(footage)] == [True, True]
    assert shown(footage, 1) == list(range(90, 180))


def test_what_is_no_video_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "a.mkv")
    with pytest.raises(DecodeError, match="has no video stream"):
        cut(sound)
    (tmp_path / "b.mp4").write_bytes(b"no video")
    with pytest.raises(DecodeError, match="is not a readable"):
        cut(tmp_path / "b.mp4")
    assert not (tmp_path / "clips").exists()


def write_groups(path: Path, frames: int, group: int, b_frames: str = "0") -> Path:
    """A video of 30 frames a second that can be decoded from every `group` frames on."""
    options = {"g": str(group), "keyint_min": str(group), "sc_threshold": "0", "bf": b_frames}
    return write_clip(path, frames, draw=counter, options=options)


def cut_to_fault(footage: Path) -> tuple[list[Piece], str]:
    """The clips that were cut or named, and what is wrong with the footage."""
    pieces: list[Piece] = []
    with pytest.raises(DecodeError) as caught:
        for piece in cut_clips(footage, SETTINGS, lambda number: clip(footage, number)):
            pieces.append(piece)
    return pieces, caught.value.reason


@pytest.mark.parametrize("b_frames", ["0", "2"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_damage_that_reaches_to_the_end_is_a_fault(tmp_path: Path, suffix: str, b_frames: str) -> None:
    whole = write_groups(tmp_path / f"whole.{suffix}", 450, 36, b_frames)
    footage = remux(whole, tmp_path / f"a.{suffix}", replaced=dict.fromkeys(range(216, 450), b"\0" * 90))
    pieces, fault = cut_to_fault(footage)
    assert [(one.number, bool(one.sha256)) for one in pieces] == [(0, True), (1, True), (2, False)]
    second = "7.20" if b_frames == "0" else "7.13"  # frames that wait to be put in order are lost, too
    assert pieces[2].reason == f"is damaged after second {second}"
    assert fault == f"is damaged after second {second}, and nothing more of its 15.00 s can be cut"
    assert shown(footage, 1) == list(range(90, 180))


def test_an_end_that_is_gone_is_a_fault(tmp_path: Path) -> None:
    footage = write_groups(tmp_path / "a.mkv", 450, 36)
    content = bytearray(footage.read_bytes())
    begin = packet_places(footage)[216].start
    content[begin:] = bytes(len(content) - begin)
    footage.write_bytes(content)
    pieces, fault = cut_to_fault(footage)
    assert [bool(one.sha256) for one in pieces] == [True, True, False]
    assert "after second 7.20" in fault


def test_damage_after_which_no_frame_can_be_decoded_is_a_fault(tmp_path: Path) -> None:
    whole = write_groups(tmp_path / "whole.mkv", 188, 900)
    pieces, fault = cut_to_fault(remux(whole, tmp_path / "a.mkv", replaced={70: b"\0" * 90}))
    assert [(one.number, bool(one.sha256)) for one in pieces] == [(0, False)]
    assert fault == "is damaged after second 2.33, and nothing more of its 6.27 s can be cut"


def without_packets(footage: Path, first: int, last: int) -> Path:
    """Overwrite the bytes from one packet to another with zeros, the container's own between them, too."""
    content, places = bytearray(footage.read_bytes()), packet_places(footage)
    begin, end = places[first].start, places[last].start
    content[begin:end] = bytes(end - begin)
    footage.write_bytes(content)
    return footage


def test_packets_that_are_passed_over_show_no_still_picture(tmp_path: Path) -> None:
    pieces, fault = cut_to_fault(without_packets(write_groups(tmp_path / "a.mkv", 300, 900), 100, 120))
    assert [(one.number, bool(one.sha256)) for one in pieces] == [(0, True), (1, False)]
    assert fault == "is damaged after second 3.33, and nothing more of its 10.00 s can be cut"


def test_clips_after_packets_that_are_passed_over_are_cut(tmp_path: Path) -> None:
    pieces = cut(without_packets(write_groups(tmp_path / "a.mkv", 450, 30), 100, 120))
    assert [bool(one.sha256) for one in pieces] == [True, False, True, True, True]
    assert shown(tmp_path / "a.mkv", 2) == list(range(180, 270))


def test_a_start_that_is_gone_moves_no_clip(tmp_path: Path) -> None:
    pieces = cut(without_packets(write_groups(tmp_path / "a.mkv", 450, 30), 0, 40))
    assert [bool(one.sha256) for one in pieces] == [False, True, True, True, True]
    assert shown(tmp_path / "a.mkv", 1) == list(range(90, 180))


def test_clips_before_damage_are_whole_and_a_rest_shorter_than_a_clip_is_no_fault(tmp_path: Path) -> None:
    whole = write_groups(tmp_path / "whole.mp4", 200, 30)
    footage = remux(whole, tmp_path / "a.mp4", replaced=dict.fromkeys(range(180, 200), b"\0" * 90))
    assert [(one.number, bool(one.sha256)) for one in cut(footage)] == [(0, True), (1, True)]


@pytest.mark.parametrize("b_frames", ["0", "2"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_damage_at_the_start_moves_no_clip(tmp_path: Path, suffix: str, b_frames: str) -> None:
    whole = write_groups(tmp_path / "whole.mp4", 270, 30, b_frames)
    footage = remux(whole, tmp_path / f"a.{suffix}", replaced=dict.fromkeys(range(30), b"\0" * 90))
    pieces = cut(footage)
    assert [(one.number, bool(one.sha256)) for one in pieces] == [(0, False), (1, True), (2, True)]
    assert pieces[0].reason == "is damaged after second 0.00"
    assert [shown(footage, number)[0] for number in (1, 2)] == [90, 180]
