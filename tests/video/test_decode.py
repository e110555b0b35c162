"""The frames that come out are exactly those that a full decode gives."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import av
import numpy as np
import pytest

from microg_bench.errors import DecodeError
from microg_bench.video.decode import Frames, decode
from microg_bench.video.sampling import FrameSpec
from tests.helpers.videos import full_decode, write_clip

SPECS = [
    FrameSpec(count=8),
    FrameSpec(count=5, how="endpoints"),
    FrameSpec(how="fps", rate=4),
    FrameSpec(how="all"),
    FrameSpec(count=70),
]
KINDS = {
    "b-frames.mp4": ("libx264", {"bf": "3"}),
    "h264.mkv": ("libx264", {}),
    "vp9.webm": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
    "mpeg4.avi": ("mpeg4", {"bf": "2"}),
}
IRREGULAR = [0.0, 0.01, 0.02, 0.5, 0.51, 0.52, 0.8, 1.3, 1.31, 1.9]


def assert_exact(frames: Frames, path: Path) -> None:
    """The pixels are, byte for byte, those of the full decode at the indices."""
    reference = full_decode(path)
    assert frames.total == len(reference)
    assert frames.pixels.dtype == np.uint8
    assert frames.pixels.flags.c_contiguous
    assert np.array_equal(frames.pixels, reference[list(frames.indices)])


@pytest.fixture(scope="module", params=sorted(KINDS))
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    codec, options = KINDS[request.param]
    path = tmp_path_factory.mktemp("kinds") / request.param
    return write_clip(path, frames=31, size=(96, 64), codec=codec, options=options)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_every_container_gives_the_frames_of_a_full_decode(kind: Path, spec: FrameSpec) -> None:
    assert_exact(decode(kind, spec), kind)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_every_container_gives_the_same_indices(kind: Path, spec: FrameSpec) -> None:
    expected = {
        "uniform:8": (1, 5, 9, 13, 17, 21, 25, 29),
        "endpoints:5": (0, 8, 15, 23, 30),
        "fps:4": (0, 7, 15, 22, 30),
        "all": tuple(range(31)),
        "uniform:70": tuple((2 * i + 1) * 31 // 140 for i in range(70)),
    }
    assert decode(kind, spec).indices == expected[str(spec)]


def test_every_container_tells_its_times(kind: Path) -> None:
    frames = decode(kind, FrameSpec(how="all"))
    assert frames.timestamps == pytest.approx([i / 30 for i in range(31)], abs=0.0011)
    assert frames.timestamps[0] == 0.0
    assert frames.fps == 30.0
    assert frames.duration == pytest.approx(31 / 30)


def test_threads_change_nothing(clip: Path) -> None:
    one, many = (decode(clip, FrameSpec(count=6), threads=threads) for threads in (1, 3))
    assert np.array_equal(one.pixels, many.pixels)
    assert {**vars(one), "pixels": None} == {**vars(many), "pixels": None}


def test_b_frames_come_in_the_order_of_display(clip: Path) -> None:
    with av.open(str(clip)) as container:
        kinds = {frame.pict_type for frame in container.decode(video=0)}
    assert av.video.frame.PictureType.B in kinds
    frames = decode(clip, FrameSpec(how="all"))
    assert list(frames.timestamps) == sorted(frames.timestamps)
    assert_exact(frames, clip)


@pytest.mark.parametrize("name", ["variable.mkv", "variable.mp4"])
def test_a_variable_frame_rate_is_sampled_by_time_only_for_fps(tmp_path: Path, name: str) -> None:
    path = write_clip(tmp_path / name, size=(96, 64), times=IRREGULAR)
    by_number, by_time = decode(path, FrameSpec(count=5)), decode(path, FrameSpec(how="fps", rate=2))
    assert by_number.indices == (1, 3, 5, 7, 9)
    assert by_time.indices == (0, 3, 6, 8, 9)  # on display at 0, 0.5, 1, 1.5 and 2 seconds
    assert by_time.timestamps == pytest.approx([0.0, 0.5, 0.8, 1.31, 1.9], abs=0.0011)
    assert by_time.fps == pytest.approx(9 / 1.9, rel=0.15)
    for frames in (by_number, by_time):
        assert_exact(frames, path)


def test_a_clip_cut_without_reencoding_is_whole_and_starts_at_its_first_shown_frame(
    clip: Path, tmp_path: Path
) -> None:
    path = tmp_path / "cut.mp4"
    with (
        av.open(str(clip)) as source,
        av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as sink,
    ):
        stream = sink.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None and packet.pts is not None and packet.time_base is not None:
                shift = round(10 / 30 / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, stream
                sink.mux(packet)
    frames = decode(path, FrameSpec(count=4))
    assert (frames.total, frames.indices) == (20, (2, 7, 12, 17))
    assert np.array_equal(frames.pixels, full_decode(clip)[[12, 17, 22, 27]])


def test_a_header_without_a_length_costs_nothing_but_a_second_pass(clip: Path, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "live.mkv", frames=20, size=(96, 64), muxer={"live": "1"})
    with av.open(str(path)) as container:
        assert container.duration is None
    assert_exact(decode(path, FrameSpec(count=6)), path)


@pytest.mark.parametrize("rotation", [90, 180, 270])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_frames_are_turned_upright(tmp_path: Path, rotation: int, suffix: str) -> None:
    path = write_clip(tmp_path / f"turned.{suffix}", frames=4, size=(96, 64), rotation=rotation)
    frames = decode(path, FrameSpec(how="all"))
    assert np.array_equal(frames.pixels, np.rot90(full_decode(path), rotation // 90, axes=(1, 2)))
    assert frames.pixels.flags.c_contiguous


@pytest.mark.parametrize(
    ("matrix", "axes"),
    [((-1, 0, 0, 1), (2,)), ((1, 0, 0, -1), (1,))],
    ids=["mirrored", "upside down"],
)
def test_mirrored_frames_are_mirrored_back(
    tmp_path: Path, matrix: tuple[int, int, int, int], axes: tuple[int, ...]
) -> None:
    path = turned_by(tmp_path / "mirrored.mp4", matrix)
    reference = np.flip(full_decode(path), axes)
    assert np.array_equal(decode(path, FrameSpec(how="all")).pixels, reference)


def test_a_transposed_display_matrix_swaps_the_axes(tmp_path: Path) -> None:
    path = turned_by(tmp_path / "transposed.mp4", (0, 1, 1, 0))
    assert np.array_equal(decode(path, FrameSpec(how="all")).pixels, full_decode(path).transpose(0, 2, 1, 3))


def test_an_oblique_picture_is_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "oblique.mp4", frames=3, size=(96, 64), rotation=45)
    with pytest.raises(DecodeError, match=r"^oblique\.mp4: .* multiple of 90 degrees$"):
        decode(path, FrameSpec(count=2))


def turned_by(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write a clip and put a display matrix (a, b, c, d) into its track header."""
    data = bytearray(write_clip(path, frames=4, size=(96, 64)).read_bytes())
    # The matrix is the 9 numbers after 40 bytes of version, times, ids, layer and volume.
    at = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (part << 16 for part in matrix)
    numbers = (a, b, 0, c, d, 0, 0, 0, 1 << 30)
    assert data[at : at + 4] == (1 << 16).to_bytes(4, "big")
    data[at : at + 36] = b"".join(number.to_bytes(4, "big", signed=True) for number in numbers)
    path.write_bytes(data)
    return path


def test_frames_cannot_be_reassigned(clip: Path) -> None:
    frames = decode(clip, FrameSpec(count=1))
    with pytest.raises(dataclasses.FrozenInstanceError):
        frames.total = 3  # type: ignore[misc]


def test_real_footage_is_decoded_exactly(shared: Path) -> None:
    path = shared / "media" / "vtest.avi"
    frames = decode(path, FrameSpec(count=4))
    assert (frames.total, frames.fps, frames.duration) == (795, 10.0, 79.5)
    with av.open(str(path)) as container:
        for position, frame in enumerate(container.decode(video=0)):
            if position in frames.indices:
                taken = frames.pixels[frames.indices.index(position)]
                assert np.array_equal(taken, frame.to_ndarray(format="rgb24"))
