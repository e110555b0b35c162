"""Streams cut without re-encoding: whole, though their first pictures may refer to some before the cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from microg_bench.errors import DecodeError
from microg_bench.video.decode import decode
from microg_bench.video.sampling import FrameSpec
from tests.helpers.videos import full_decode, key_packets, packet_places, remux, write_clip

pytestmark = pytest.mark.slow

ALL = FrameSpec(how="all")
OPEN = "keyint=20:scenecut=0:b-adapt=0:open-gop=1"
REFRESH = "keyint=30:scenecut=0:b-adapt=0:intra-refresh=1"
# At the cut all of these lack pictures that later ones refer to.
STREAMS = {
    "open": ("libx264", {"x264-params": f"{OPEN}:bframes=3:b-pyramid=none"}),
    "open, B-pictures as references": ("libx264", {"x264-params": f"{OPEN}:bframes=3:b-pyramid=normal"}),
    "open, weighted, six references": ("libx264", {"x264-params": f"{OPEN}:bframes=2:ref=6:weightp=2"}),
    "open, four slices": ("libx264", {"x264-params": f"{OPEN}:bframes=3:slices=4"}),
    "open, interlaced": ("libx264", {"x264-params": f"{OPEN}:bframes=3:interlaced=1"}),
    "refreshed": ("libx264", {"x264-params": f"{REFRESH}:bframes=0"}),
    "refreshed, B-pictures": ("libx264", {"x264-params": f"{REFRESH}:bframes=3:b-pyramid=normal"}),
    "HEVC": ("libx265", {"x265-params": "keyint=20:scenecut=0:open-gop=1:bframes=4:log-level=none"}),
    "MPEG-4": ("mpeg4", {"bf": "2", "g": "20"}),
    "MPEG-2": ("mpeg2video", {"bf": "2", "g": "20"}),
}
CONTAINERS = {
    "edit list.mp4": {"avoid_negative_ts": "disabled"},
    "no edit list.mp4": {"use_editlist": "0", "avoid_negative_ts": "make_zero"},
    "fragments.mp4": {"movflags": "frag_keyframe+empty_moov"},
    "matroska.mkv": {},
}
PLAIN = CONTAINERS["no edit list.mp4"]


@pytest.fixture(scope="module", params=sorted(STREAMS))
def stream(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stream(tmp_path_factory.mktemp("streams") / "stream.mp4", request.param)


def write_stream(path: Path, name: str) -> Path:
    codec, options = STREAMS[name]
    return write_clip(path, frames=75, size=(128, 96), codec=codec, options=options)


def cut(stream: Path, path: Path, muxer: dict[str, str]) -> Path:
    """The stream from its second key picture on."""
    return remux(stream, path, start=key_packets(stream)[1], muxer=muxer)


@pytest.mark.parametrize("name", sorted(CONTAINERS))
def test_what_was_cut_at_a_key_picture_gives_the_frames_that_libav_shows(
    stream: Path, tmp_path: Path, name: str
) -> None:
    path = cut(stream, tmp_path / name, CONTAINERS[name])
    reference, frames = full_decode(path), decode(path, ALL)
    assert frames.total == len(reference)
    assert np.array_equal(frames.pixels, reference)
    assert frames.timestamps[0] == 0.0
    assert list(frames.timestamps) == sorted(frames.timestamps)


def test_the_frames_are_those_of_the_stream_before_the_cut(stream: Path, tmp_path: Path) -> None:
    path, whole = cut(stream, tmp_path / "cut.mp4", PLAIN), full_decode(stream)
    shown = decode(path, ALL).pixels
    assert len(shown) < len(packet_places(path)), "no picture refers to one before the cut"
    assert np.array_equal(shown, whole[-len(shown) :])


def test_sampling_numbers_the_shown_frames_only(tmp_path: Path) -> None:
    path = cut(write_stream(tmp_path / "stream.mp4", "refreshed"), tmp_path / "cut.mp4", PLAIN)
    every = decode(path, ALL)
    for spec in (FrameSpec(count=5), FrameSpec(count=5, how="endpoints"), FrameSpec(how="fps", rate=4)):
        some = decode(path, spec)
        assert some.total == every.total
        assert some.timestamps == every.only(some.indices).timestamps
        assert np.array_equal(some.pixels, every.pixels[list(some.indices)])


def test_threads_change_nothing(tmp_path: Path) -> None:
    stream = write_stream(tmp_path / "stream.mp4", "open, B-pictures as references")
    path = cut(stream, tmp_path / "cut.mp4", PLAIN)
    one, many = (decode(path, ALL, threads=threads) for threads in (1, 3))
    assert np.array_equal(one.pixels, many.pixels)
    assert {**vars(one), "pixels": None} == {**vars(many), "pixels": None}


def test_another_reader_counts_the_same_frames(stream: Path, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    path = cut(stream, tmp_path / "cut.mp4", PLAIN)
    reader, count = cv2.VideoCapture(str(path)), 0
    while reader.grab():
        count += 1
    assert decode(path, FrameSpec(count=1)).total == count


def why(path: Path) -> str:
    with pytest.raises(DecodeError) as caught:
        decode(path, ALL)
    return caught.value.reason


def test_a_cut_that_is_no_key_picture_is_refused(stream: Path, tmp_path: Path) -> None:
    path = remux(stream, tmp_path / "late.mp4", start=key_packets(stream)[1] + 1, muxer=PLAIN)
    assert "decode" in why(path)


@pytest.mark.parametrize("name", sorted(CONTAINERS))
def test_what_was_cut_short_as_well_is_refused(stream: Path, tmp_path: Path, name: str) -> None:
    path = cut(stream, tmp_path / name, CONTAINERS[name])
    whole = path.read_bytes()
    for share in (25, 50, 75, 90):
        path.write_bytes(whole[: len(whole) * share // 100])
        why(path)


def noise(count: int) -> bytes:
    return np.random.default_rng(5).bytes(count)


@pytest.mark.parametrize("share", [0, 50, 80])
def test_a_damaged_packet_is_refused(stream: Path, tmp_path: Path, share: int) -> None:
    path = cut(stream, tmp_path / "damaged.mp4", PLAIN)
    places, data = packet_places(path), bytearray(path.read_bytes())
    place = places[len(places) * share // 100]
    data[place] = noise(place.stop - place.start)
    path.write_bytes(data)
    why(path)


@pytest.mark.parametrize("name", ["refreshed", "refreshed, B-pictures"])
def test_damage_to_hidden_pictures_is_refused_or_does_not_show(tmp_path: Path, name: str) -> None:
    path = cut(write_stream(tmp_path / "stream.mp4", name), tmp_path / "cut.mp4", PLAIN)
    whole, places, reference = path.read_bytes(), packet_places(path), decode(path, ALL).pixels
    hidden, refused = len(places) - len(reference), 0
    for place in places[:hidden]:
        data = bytearray(whole)
        data[place.start + 16 : place.stop] = noise(place.stop - place.start - 16)
        path.write_bytes(data)
        try:
            assert np.array_equal(decode(path, ALL).pixels, reference)
        except DecodeError as error:
            refused += error.reason == "a picture before its first frame is damaged"
    assert refused >= hidden / 3


@pytest.mark.parametrize("name", ["open", "HEVC"])
def test_a_lost_packet_that_others_refer_to_is_refused(tmp_path: Path, name: str) -> None:
    stream = write_stream(tmp_path / "stream.mp4", name)
    assert "cannot be decoded" in why(remux(stream, tmp_path / "lost.mp4", without={5}))
