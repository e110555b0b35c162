from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from microg_bench.dataset.load import Dataset, load
from microg_bench.pages.frames import Recorded, Strip, draw, frames_json, jpegs, same_frames, why_none
from microg_bench.settings import Media, Settings
from microg_bench.video.decode import decode
from microg_bench.video.sampling import FrameSpec
from microg_bench.video.transforms import parse_transforms, transformed
from tests.helpers.datasets import make_dataset
from tests.pages.conftest import make_settings


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load(str(make_dataset(tmp_path_factory.mktemp("data"), ["a_001", "b_001", "c_001"])))


def drawn(
    dataset: Dataset, shown: dict[str, tuple[int, ...]], donor: str | None = None, **changed: Any
) -> tuple[dict[str, Strip], dict[str, bytes], int]:
    files: dict[str, bytes] = {}
    steps: list[None] = []
    settings = make_settings("caption", dataset, frames=FrameSpec.parse(4), **changed)
    recorded = {name: Recorded(indices, donor) for name, indices in shown.items()}
    strips = draw(dataset, settings, recorded, files.__setitem__, lambda: steps.append(None))
    return strips, files, len(steps)


def pixels(picture: bytes) -> np.ndarray:
    with av.open(io.BytesIO(picture)) as file:
        return next(file.decode(video=0)).to_ndarray(format="rgb24")


def test_pictures_are_the_frames_that_were_shown(dataset: Dataset) -> None:
    clip = dataset.clips[1]
    assert clip.video
    frames = decode(clip.video, FrameSpec.parse(4, "uniform"))
    strips, files, steps = drawn(dataset, {clip.video_id: frames.indices})
    assert steps == 1 and list(strips) == [clip.video_id]
    assert [index for index, _ in strips[clip.video_id].frames] == list(frames.indices)
    assert list(files) == [f"frames/00001/{place}.jpg" for place in range(4)]
    for picture, frame in zip(files.values(), frames.pixels, strict=True):
        assert np.abs(pixels(picture).astype(int) - frame).mean() < 6
    others = [
        np.abs(pixels(files["frames/00001/0.jpg"]).astype(int) - frame).mean() for frame in frames.pixels
    ]
    assert others[0] == min(others) and others[1] > 10


def test_pictures_are_transformed_as_the_frames_were(dataset: Dataset) -> None:
    shown, other = dataset.clips[1], dataset.clips[2]
    assert shown.video
    frames = decode(shown.video, FrameSpec.parse(4, "uniform"))
    transforms = ("swap", "reverse", "mirror", "rotate:90")
    strips, files, _ = drawn(
        dataset, {other.video_id: frames.indices[::-1]}, shown.video_id, transforms=transforms
    )
    assert [index for index, _ in strips[other.video_id].frames] == list(frames.indices[::-1])
    assert list(files) == [f"frames/00002/{place}.jpg" for place in range(4)]
    expected = transformed(frames, parse_transforms(transforms[1:]), other.video_id)[0].pixels
    for place in range(4):
        (picture,) = jpegs(expected[place : place + 1])
        assert np.abs(pixels(files[f"frames/00002/{place}.jpg"]).astype(int) - pixels(picture)).mean() < 2
    strips, files, _ = drawn(dataset, {other.video_id: frames.indices}, transforms=("reverse",))
    assert files == {} and "not the one that the model was shown" in strips[other.video_id].why


def test_the_seed_counts_where_frames_were_transformed(dataset: Dataset) -> None:
    def shown(seed: int, *transforms: str) -> Settings:
        made = make_settings("caption", dataset, frames=FrameSpec.parse(4), transforms=transforms)
        return made.model_copy(update={"generation": made.generation.model_copy(update={"seed": seed})})

    assert same_frames([shown(0), shown(1)])
    assert same_frames([shown(1, "swap"), shown(1, "swap")])
    assert not same_frames([shown(0, "swap"), shown(1, "swap")])
    assert not same_frames([shown(0, "swap"), shown(0)])


def test_scripts_are_told_of_which_clip_the_frames_are() -> None:
    shown, strip = Recorded((3, 7), "b_001"), Strip(((3, 0.1), (7, 0.2)), "00004")
    told = {"id": "a_001", "other": "b_001"}
    assert frames_json("a_001", shown, strip, "swap/") == {
        **told,
        "folder": "swap/00004",
        "frames": strip.frames,
    }
    bare = {**told, "frames": [[3], [7]]}
    assert frames_json("a_001", shown, None) == bare
    assert frames_json("a_001", shown, Strip(why="gone")) == {**bare, "why": "gone"}
    assert frames_json("a_001", Recorded((3,)), None) == {"id": "a_001", "frames": [[3]]}
    assert frames_json("a_001", None, None) == {"id": "a_001", "frames": []}


def test_other_frames_than_those_shown_are_not_passed_off(dataset: Dataset) -> None:
    strips, files, _ = drawn(dataset, {"a_001": (0, 1, 2, 3)})
    assert files == {} and "not the one that the model was shown" in strips["a_001"].why


def test_a_video_that_cannot_be_decoded_says_so_and_leaves_the_others(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, ["a_001", "b_001"])
    [broken] = root.rglob("a_001.mp4")
    broken.write_bytes(broken.read_bytes()[:500])
    strips, files, steps = drawn(load(str(root)), {"a_001": (11, 33, 56, 78), "b_001": (11, 33, 56, 78)})
    assert steps == 2 and "a_001.mp4" in strips["a_001"].why and not strips["a_001"].folder
    assert strips["b_001"].folder == "00001" and len(files) == 4


def test_pictures_are_small_and_the_same_each_time() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (2, 400, 1000, 3), dtype=np.uint8)
    first, second = jpegs(noise), jpegs(noise)
    assert first == second and first[0] != first[1]
    assert pixels(first[0]).shape == (128, 320, 3)
    assert pixels(jpegs(noise[:, :30, :40])[0]).shape == (30, 40, 3)


@pytest.mark.parametrize(
    ("changed", "wanted", "said"),
    [
        ({"frames": None}, True, "sees no video"),
        ({"frames": None, "media": Media(kind="clip")}, True, "as its file"),
        ({"frames": FrameSpec.parse(4), "transforms": ("no-frames",)}, True, "without frames"),
        ({"frames": FrameSpec.parse(4)}, False, "left out"),
        ({"frames": FrameSpec.parse(4)}, True, None),
        ({"frames": FrameSpec.parse(None, "fps:2")}, True, None),
    ],
)
def test_a_page_without_pictures_says_why(
    dataset: Dataset, changed: dict[str, Any], wanted: bool, said: str | None
) -> None:
    found = why_none(make_settings("caption", dataset, **changed), dataset, wanted)
    assert found is None if said is None else said in str(found)


def test_annotations_alone_give_no_pictures(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, ["a_001"])
    alone = load(str(root / "vqa_and_captioning.json"))
    settings = make_settings("caption", alone, frames=FrameSpec.parse(4))
    assert "no videos were at hand" in str(why_none(settings, alone))
