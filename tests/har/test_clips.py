"""Frames and boxes as a network is shown them, beside OpenCV, and the frames of a key frame."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

import cv2
import numpy as np
import torch

from microg_bench.dataset.load import SAMPLE_FOLDER
from microg_bench.errors import DecodeError
from microg_bench.har.clips import DEVIATION, MEAN, decoded, shown, shown_in_training, stacked, window
from microg_bench.har.recipe import read_recipe
from microg_bench.persons.keyframes import KeyFrame
from microg_bench.video.decode import decode
from microg_bench.video.pool import DecodePool
from microg_bench.video.sampling import FrameSpec

VIDEO = next(SAMPLE_FOLDER.rglob("pedestrians-c_000.mp4"))
SLOW = read_recipe("SLOWONLY_4x16_R50")


def key_frame(frame: int = 46, video: Path = VIDEO, *boxes: list[float]) -> KeyFrame:
    shares = np.array(boxes or [[0.1, 0.2, 0.3, 0.6], [0.7, 0.5, 1.0, 1.0]])
    return KeyFrame(video.stem, video, frame, shares, ((12,), (14,))[: len(shares)])


@pytest.mark.parametrize(
    ("model", "recipe", "positions"),
    [
        ("SLOWONLY_4x16_R50", "fixed", [13, 29, 45, 61]),
        ("SLOWONLY_4x16_R50", "paper", [14, 30, 46, 62]),
        ("X3D_S", "fixed", list(range(6, 84, 6))),
        ("SLOWFAST_8x8_R50", "fixed", list(range(13, 77, 2))),
    ],
)
def test_the_window_is_about_the_key_frame(model: str, recipe: str, positions: list[int]) -> None:
    given = read_recipe(model, recipe).input
    assert window(46, given) == positions
    assert len(positions) == given.frames


def test_the_window_of_a_frame_near_an_end_repeats_the_first_or_last() -> None:
    every = decode(VIDEO, FrameSpec(how="all")).pixels
    frames = [key_frame(5), key_frame(90)]
    with DecodePool(1) as pool:
        found = {one.frame: pixels for one, pixels in decoded(frames, SLOW.input, pool)}
    assert np.array_equal(found[5], every[[0, 0, 4, 20]])
    assert np.array_equal(found[90], every[[57, 73, 89, 89]])


def test_a_clip_is_decoded_once_for_its_key_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    other = next(SAMPLE_FOLDER.rglob("pedestrians-c_001.mp4"))
    with DecodePool(1) as pool:
        asked = []
        submit = pool.submit
        monkeypatch.setattr(pool, "submit", lambda path, spec: asked.append(path) or submit(path, spec))  # type: ignore[func-returns-value]
        found = list(decoded([key_frame(46), key_frame(50), key_frame(46, other)], SLOW.input, pool))
    assert asked == [VIDEO, other]
    assert [one.frame for one, _ in found] == [46, 50, 46]


def test_a_frame_that_the_clip_does_not_have_and_a_broken_clip_fail_alone(tmp_path: Path) -> None:
    broken = tmp_path / "broken_000.mp4"
    broken.write_bytes(VIDEO.read_bytes()[:5000])
    with DecodePool(1) as pool:
        found = [
            pixels
            for _, pixels in decoded([key_frame(91), key_frame(1, broken), key_frame(90)], SLOW.input, pool)
        ]
    assert isinstance(found[0], DecodeError)
    assert "no frame 91" in found[0].reason
    assert isinstance(found[1], DecodeError)
    assert not isinstance(found[2], DecodeError)


@pytest.mark.parametrize("side", [256, 182, 356, 480])
def test_frames_are_scaled_as_opencv_does(side: int) -> None:
    pixels = decode(VIDEO, FrameSpec(count=2)).pixels
    one = shown(key_frame(), pixels, side)
    width = int(640 / 480 * side)
    assert one.frames.shape == (3, 2, side, width)
    scaled = cv2.resize(pixels[1], (width, side), interpolation=cv2.INTER_LINEAR)
    ours = one.frames[:, 1].permute(1, 2, 0).numpy() * DEVIATION * 255 + MEAN * 255
    assert np.abs(ours - scaled).max() <= 1.01
    assert one.boxes[0].tolist() == pytest.approx(
        [0.1 * width, 0.2 * side, 0.3 * width, 0.6 * side], rel=1e-5
    )
    assert one.boxes[1].tolist() == pytest.approx([0.7 * width, 0.5 * side, width - 1, side - 1], rel=1e-5)


def test_an_upright_picture_keeps_its_width() -> None:
    pixels = np.zeros((1, 90, 60, 3), np.uint8)
    assert shown(key_frame(), pixels, 30).frames.shape == (3, 1, 45, 30)


def test_a_square_is_cropped_from_the_middle_with_its_boxes() -> None:
    pixels = np.arange(2 * 60 * 100 * 3, dtype=np.uint32).reshape(2, 60, 100, 3).astype(np.uint8)
    whole, square = (shown(key_frame(), pixels, 60, square=crop) for crop in (False, True))
    assert square.frames.shape == (3, 2, 60, 60)
    assert torch.equal(square.frames, whole.frames[:, :, :, 20:80])
    assert square.boxes[0].tolist() == pytest.approx([0, 12, 10, 36])
    assert square.boxes[1].tolist() == pytest.approx([50, 30, 59, 59])


def test_boxes_follow_the_crops_and_mirrors_of_training() -> None:
    """A bright rectangle where the box is stays where the box is."""
    training = SLOW.training.model_copy(update={"short_sides": (60, 90), "crop": 50})
    pixels = np.zeros((1, 60, 100, 3), np.uint8)
    pixels[:, 15:45, 30:60] = 255
    box = [0.3, 0.25, 0.6, 0.75]
    seen, mirrored = 0, set()
    for seed in range(40):
        one = shown_in_training(
            key_frame(1, VIDEO, box), pixels, training, np.random.default_rng(seed), flat=False
        )
        assert one.frames.shape == (3, 1, 50, 50)
        bright = (one.frames[0, 0] > 1).nonzero()
        if not one.kept:
            assert len(bright) <= 150
            continue
        (x1, y1, x2, y2), (top, left), (bottom, right) = (
            one.boxes[0].tolist(), bright.min(dim=0).values.tolist(), bright.max(dim=0).values.tolist(),
        )  # fmt: skip
        assert [left, top, right, bottom] == pytest.approx([x1, y1, x2, y2], abs=2.1)
        seen += 1
        mirrored.add(left > 50 - right)
    assert seen > 20
    assert mirrored == {True, False}


def test_a_box_that_the_crop_leaves_no_area_of_is_kept_only_if_flat() -> None:
    training = SLOW.training.model_copy(update={"short_sides": (60, 60), "crop": 60})
    pixels = np.zeros((1, 60, 300, 3), np.uint8)
    counts = set()
    for seed in range(10):
        kept = [
            shown_in_training(
                key_frame(1, VIDEO, [0.0, 0, 0.1, 1]),
                pixels,
                training,
                np.random.default_rng(seed),
                flat=flat,
            )
            for flat in (True, False)
        ]
        assert len(kept[0].boxes) == 1
        counts.add(len(kept[1].boxes))
    assert counts == {0, 1}


def test_a_batch_numbers_the_clips_of_its_boxes() -> None:
    pixels = np.zeros((1, 60, 60, 3), np.uint8)
    frames, boxes = stacked(
        [shown(key_frame(), pixels, 60), shown(key_frame(1, VIDEO, [0.0, 0, 1, 1]), pixels, 60)]
    )
    assert frames.shape == (2, 3, 1, 60, 60)
    assert boxes[:, 0].tolist() == [0, 0, 1]
