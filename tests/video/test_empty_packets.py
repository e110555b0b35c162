"""Containers that count what is no picture: frames that a recorder dropped, pictures that are not coded."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from microg_bench.errors import DecodeError
from microg_bench.video.decode import decode
from microg_bench.video.sampling import FrameSpec
from microg_bench.video.source import probe
from tests.helpers.videos import full_decode, key_packets, packet_places, remux, write_clip

ALL = FrameSpec(how="all")
# A P-picture (01) of no whole second (0) with a marker (1), 5 bits of time, a marker (1), not coded (0) and
# padding (011...), as at 30 frames a second.
NOT_CODED = bytes.fromhex("000001b6") + int("0101" + "00011" + "10" + "01111", 2).to_bytes(2, "big")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An AVI file of 30 frames, each made from the one before."""
    path = tmp_path_factory.mktemp("recordings") / "recording.avi"
    return write_clip(path, frames=30, size=(128, 96), codec="mpeg4")


@pytest.fixture(scope="module")
def reordered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a B-picture between any other two: I P B P B ..."""
    path = tmp_path_factory.mktemp("recordings") / "reordered.avi"
    return write_clip(
        path, frames=31, size=(128, 96), codec="mpeg4", options={"bf": "1", "b_strategy": "0", "g": "10"}
    )


def why(path: Path) -> str:
    with pytest.raises(DecodeError) as caught:
        decode(path, ALL)
    return caught.value.reason


def assert_exact(path: Path, count: int) -> None:
    reference, frames = full_decode(path), decode(path, ALL)
    assert frames.total == len(reference) == count
    assert np.array_equal(frames.pixels, reference)


def test_frames_that_a_recorder_dropped_are_none(recording: Path, tmp_path: Path) -> None:
    path = remux(recording, tmp_path / "gap.avi", without=range(10, 20))
    assert probe(path).frames == 30
    assert_exact(path, 20)
    times = decode(path, ALL).timestamps
    assert times == pytest.approx([i / 30 for i in (*range(10), *range(20, 30))])


def test_frames_that_were_dropped_at_the_end_are_none(recording: Path, tmp_path: Path) -> None:
    path = tmp_path / "end.avi"
    path.write_bytes(with_length(with_chunk(recording.read_bytes(), b"00dc" + bytes(4)), 31))
    assert probe(path).frames == 31
    assert_exact(path, 30)


def test_chunks_of_other_streams_do_not_count(recording: Path, tmp_path: Path) -> None:
    path = tmp_path / "end.avi"
    path.write_bytes(with_length(with_chunk(recording.read_bytes(), b"01dc" + bytes(4)), 31))
    assert why(path) == "only 30 of the 31 frames that its header promises decode"


def test_a_recording_that_was_cut_short_is_refused_or_has_all_its_frames(
    recording: Path, tmp_path: Path
) -> None:
    path = remux(recording, tmp_path / "gap.avi", without=range(10, 20))
    whole, frames, refused = path.read_bytes(), full_decode(path), 0
    for share in range(5, 100, 5):
        path.write_bytes(whole[: len(whole) * share // 100])
        try:
            assert np.array_equal(decode(path, ALL).pixels, frames)
        except DecodeError:
            refused += 1
    assert refused >= 16  # the index comes last, and may be missing


def with_chunk(data: bytes, chunk: bytes) -> bytes:
    """An AVI file with one more chunk at the end of its list of frames."""
    at = data.rindex(b"idx1")
    return data[:at] + chunk + data[at:]


def with_length(data: bytes, count: int) -> bytes:
    """An AVI file whose header promises `count` frames: the number is 32 bytes into that of the stream."""
    at = data.index(b"strh") + 8 + 32
    return data[:at] + count.to_bytes(4, "little") + data[at + 4 :]


def packed(source: Path, path: Path, *, lag: int = 0) -> Path:
    """Pack each B-picture into the packet before it, and write one that is not coded in its place.

    After the first picture there are `lag` empty chunks, for which an encoder waits with the next.
    """
    with av.open(str(source)) as given, av.open(str(path), "w") as taken:
        stream = taken.add_stream_from_template(given.streams.video[0])
        # What the encoder calls itself tells the decoder that it packs.
        stream.codec_context.extradata = (stream.codec_context.extradata or b"") + b"\0\0\1\xb2DivX503b1393p"
        first, *packets = [packet for packet in given.demux(video=0) if packet.size]
        bodies = [(bytes(first), True)]
        for reference, b in zip(packets[::2], packets[1::2], strict=True):
            bodies += [(bytes(reference) + bytes(b), reference.is_keyframe), (NOT_CODED, False)]
        for number, (body, key) in enumerate(bodies):
            packet = av.Packet(body)
            packet.pts = packet.dts = number + lag * (number > 0)
            packet.time_base, packet.stream, packet.is_keyframe = stream.time_base, stream, key
            taken.mux(packet)
    return path


@pytest.mark.parametrize("lag", [0, 2])
def test_packed_pictures_are_the_frames_that_were_packed(reordered: Path, tmp_path: Path, lag: int) -> None:
    path = packed(reordered, tmp_path / "packed.avi", lag=lag)
    assert probe(path).frames == 31 + lag
    assert_exact(path, 31)
    assert np.array_equal(decode(path, ALL).pixels, full_decode(reordered))


def test_a_cut_between_packed_pictures_hides_those_that_refer_to_some_before_it(
    reordered: Path, tmp_path: Path
) -> None:
    whole = packed(reordered, tmp_path / "packed.avi")
    start = key_packets(whole)[1]
    assert_exact(remux(whole, tmp_path / "cut.avi", start=start), 31 - start - 1)


@pytest.mark.parametrize("suffix", ["avi", "mp4"])
def test_a_picture_that_is_not_coded_is_none(
    recording: Path, reordered: Path, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"repeated.{suffix}"
    assert_exact(remux(recording, path, replaced=dict.fromkeys((1, 10, 11), NOT_CODED)), 27)
    assert probe(path).frames == 30
    assert_exact(remux(reordered, path, replaced=dict.fromkeys((10, 20), NOT_CODED)), 29)
    assert probe(path).frames == 31


def test_an_index_entry_without_bytes_is_no_frame(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "entry.mp4", frames=12, size=(96, 64), options={"bf": "0"})
    data = bytearray(path.read_bytes())
    # The sizes follow a version, a size for all and their number.
    at = data.index(b"stsz") + 4 + 3 * 4 + 11 * 4
    assert data[at - 12 * 4 : at - 11 * 4] == (12).to_bytes(4, "big")
    data[at : at + 4] = bytes(4)
    path.write_bytes(data)
    assert probe(path).frames == 11
    assert_exact(path, 11)


@pytest.mark.parametrize("number", [0, 1, 2, 15, -2, -1])
@pytest.mark.parametrize("kind", ["gap", "packed", "not coded"])
def test_a_damaged_packet_is_refused(
    recording: Path, reordered: Path, tmp_path: Path, kind: str, number: int
) -> None:
    path = tmp_path / "damaged.avi"
    if kind == "gap":
        remux(recording, path, without=range(5, 10))
    elif kind == "packed":
        packed(reordered, path)
    else:
        remux(reordered, path, replaced={4: NOT_CODED})
    data = bytearray(path.read_bytes())
    places = [place for place in packet_places(path) if place.stop - place.start > len(NOT_CODED)]
    place = places[number]
    data[place] = bytes(place.stop - place.start)
    path.write_bytes(data)
    why(path)
