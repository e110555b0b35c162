"""Transforms of frames: each exactly what it says, and the same for the same clip."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microg_bench.errors import UsageError
from microg_bench.video.decode import Frames
from microg_bench.video.transforms import Transform, parse_transforms, transformed


def clip(count: int = 4, height: int = 6, width: int = 9) -> Frames:
    """Frames of chance, of every tenth frame of a clip."""
    pixels = np.random.default_rng(7).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    indices = tuple(range(5, 10 * count, 10))
    times = tuple(one / 30 for one in indices)
    return Frames(pixels, indices, times, 30.0, 10 * count, count / 3)


def shown(
    frames: Frames, *given: str, clip_id: str = "a_000", seed: int = 0
) -> tuple[Frames, tuple[int, ...]]:
    return transformed(frames, parse_transforms(given), clip_id, seed)


def test_without_transforms_frames_are_as_decoded() -> None:
    frames = clip()
    found, indices = shown(frames)
    assert np.array_equal(found.pixels, frames.pixels)
    assert indices == frames.indices


@pytest.mark.parametrize("size", [(6, 9), (7, 9), (8, 8), (480, 854)])
def test_rotations_are_on_the_square_around_the_frame(size: tuple[int, int]) -> None:
    frames = clip(2, *size)
    plain = shown(frames, "rotate:0")[0].pixels
    side = int(np.ceil(np.hypot(*size)))
    assert plain.shape == (2, side, side, 3)
    assert plain.sum() == frames.pixels.sum(), "padding is black, and nothing is lost"
    turned = plain
    for degrees in (90, 180, 270, 360):
        turned = np.rot90(turned, axes=(1, 2))
        assert np.array_equal(shown(frames, f"rotate:{degrees}")[0].pixels, turned)
    assert np.array_equal(turned, plain), "a whole turn changes nothing"
    assert np.array_equal(shown(frames, "rotate:-90")[0].pixels, shown(frames, "rotate:270")[0].pixels)


def test_a_quarter_turn_is_counter_clockwise() -> None:
    frames = clip(1, 8, 8)
    frames.pixels[:] = 0
    frames.pixels[:, :4, 4:] = 255  # top right
    turned = shown(frames, "rotate:90")[0].pixels[0, :, :, 0]
    middle = len(turned) // 2
    assert turned[:middle, :middle].mean() > 100
    assert turned[:middle, middle:].mean() < 20


def test_other_angles_are_close_to_the_turns_that_they_are_near() -> None:
    frames = clip(1, 40, 60)
    frames.pixels[:] = np.linspace(0, 255, 60, dtype=np.uint8)[:, None]
    near, exact = (shown(frames, f"rotate:{degrees}")[0].pixels.astype(float) for degrees in (90.01, 90))
    assert near.shape == exact.shape
    assert np.abs(near - exact).mean() < 1
    assert np.abs(shown(frames, "rotate:45")[0].pixels.astype(float) - exact).mean() > 5


def test_orders_move_frames_and_leave_their_times() -> None:
    frames = clip()
    back, indices = shown(frames, "reverse")
    assert indices == frames.indices[::-1]
    assert np.array_equal(back.pixels, frames.pixels[::-1])
    assert (back.indices, back.timestamps) == (frames.indices, frames.timestamps)
    still, indices = shown(frames, "freeze")
    assert indices == (frames.indices[2],) * 4
    assert all(np.array_equal(one, frames.pixels[2]) for one in still.pixels)
    twice, indices = shown(frames, "reverse", "reverse")
    assert np.array_equal(twice.pixels, frames.pixels)
    assert indices == frames.indices


def test_a_shuffle_follows_from_clip_and_seed_and_is_never_the_order_of_the_clip() -> None:
    frames = clip(3)
    orders = {
        (name, seed): shown(frames, "shuffle", clip_id=name, seed=seed)[1]
        for name in "abcdefgh"
        for seed in range(8)
    }
    assert all(sorted(order) == list(frames.indices) for order in orders.values())
    assert all(any(one > two for one, two in pairwise(order)) for order in orders.values())
    assert len(set(orders.values())) == 5, "each of the others occurs"
    assert orders["a", 0] == shown(frames, "shuffle", clip_id="a")[1]
    found, order = shown(frames, "shuffle")
    for place, index in enumerate(order):
        assert np.array_equal(found.pixels[place], frames.pixels[frames.indices.index(index)])
    assert shown(clip(1), "shuffle")[1] == clip(1).indices


def test_mirror_crop_and_noise() -> None:
    frames = clip(2, 10, 20)
    assert np.array_equal(shown(frames, "mirror")[0].pixels, frames.pixels[:, :, ::-1])
    assert np.array_equal(shown(frames, "crop:0.5")[0].pixels, frames.pixels[:, 2:7, 5:15])
    assert np.array_equal(shown(frames, "crop:1")[0].pixels, frames.pixels)
    assert np.array_equal(shown(frames, "noise:0")[0].pixels, frames.pixels)
    grey = clip(2, 100, 100)
    grey.pixels[:] = 128
    noisy = shown(grey, "noise:10")[0].pixels.astype(float)
    assert noisy.mean() == pytest.approx(128, abs=0.3)
    assert noisy.std() == pytest.approx(10, abs=0.2)
    assert not np.array_equal(noisy[0], noisy[1])
    assert np.array_equal(noisy, shown(grey, "noise:10")[0].pixels)
    assert not np.array_equal(noisy, shown(grey, "noise:10", clip_id="b")[0].pixels)


@given(st.lists(st.sampled_from(["rotate:90", "mirror", "reverse", "freeze", "crop:0.8"]), max_size=4))
def test_transforms_follow_one_another(names: list[str]) -> None:
    frames = clip()
    found, indices = shown(frames, *names)
    step, places = frames, frames.indices
    for name in names:
        step, moved = shown(step, name)
        places = tuple(places[frames.indices.index(one)] for one in moved)
    assert np.array_equal(found.pixels, step.pixels)
    assert indices == places
    assert found.pixels.flags.c_contiguous


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("spin",), "spin"),
        (("rotate",), "rotate:NUMBER"),
        (("rotate:x",), "rotate:NUMBER"),
        (("rotate:nan",), "takes -360 to 360"),
        (("rotate:400",), "takes -360 to 360"),
        (("crop:0",), "takes 0.01 to 1"),
        (("noise:-1",), "takes 0 to 255"),
        (("mirror:1",), "takes no amount"),
        (("no-frames", "mirror"), "give it alone"),
        (("swap", "swap"), "twice"),
    ],
)
def test_what_is_no_transform_is_refused(given: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_transforms(given)


def test_transforms_have_one_written_form() -> None:
    assert list(map(str, parse_transforms(["rotate:-90", " mirror ", "noise:5.0"]))) == [
        "rotate:270",
        "mirror",
        "noise:5",
    ]
    assert Transform("crop", 0.25) == parse_transforms(["crop:.25"])[0]
