from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from microg_bench.dataset.near_duplicate_clips import (
    FRAMES,
    MOST_BITS,
    HashedClips,
    NearClip,
    hash_clips,
    near_clips,
    near_pairs,
    nearest,
)
from microg_bench.errors import MissingExtraError
from microg_bench.progress import Progress
from microg_bench.video.decode import decode
from tests.helpers.videos import write_clip

pytestmark = pytest.mark.slow


def blobs(seed: int) -> NDArray[np.uint8]:
    """A picture of smooth random shades, (240, 320, 3)."""
    from PIL import Image

    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC))


def clip(path: Path, image: NDArray[np.uint8], quantiser: int = 22) -> Path:
    """A clip that shows one picture."""
    height, width = image.shape[:2]
    still = image.copy()
    return write_clip(
        path, frames=9, size=(width, height), options={"qp": str(quantiser)}, draw=lambda number, size: still
    )


def hashed(rows: list[tuple[int, int]]) -> HashedClips:
    """Hashes that are given with the place of their clip."""
    names = tuple(f"{'ab'[place % 2]}_{place:03d}" for place in range(max(place for place, _ in rows) + 1))
    places, hashes = zip(*rows, strict=True)
    return HashedClips(names, np.array(places), np.array(hashes, np.uint64), {})


def test_pairs_are_those_that_comparing_all_frames_one_by_one_gives() -> None:
    random = np.random.default_rng(3)
    bases = random.integers(0, 2**63, 40, dtype=np.uint64)
    rows = []
    for place in range(300):
        for _ in range(3):
            flipped = random.choice(64, random.integers(0, 9), replace=False)
            value = int(random.choice(bases))
            for bit in flipped.tolist():
                value ^= 1 << bit
            rows.append((place, value))
    given = hashed(rows)
    expected: dict[tuple[int, int], int] = {}
    for (one, first), (other, second) in combinations(rows, 2):
        bits = (first ^ second).bit_count()
        if one != other and bits <= MOST_BITS:
            expected[one, other] = min(bits, expected.get((one, other), 64))
    assert len(expected) > 1000
    assert near_pairs(given).tolist() == [[*pair, bits] for pair, bits in sorted(expected.items())]


def test_the_nearest_comes_first_and_other_groups_are_told_apart() -> None:
    given = hashed([(0, 0b0), (1, 0b111), (2, 0b1), (3, 0b1)])
    near = near_clips(given, near_pairs(given))
    assert near["a_000"] == [NearClip("a_002", 1), NearClip("b_003", 1), NearClip("b_001", 3)]
    sources = {name: name[0] for name in given.clips}
    assert nearest(near["a_000"], sources, "a") == NearClip("b_003", 1)
    assert nearest(near["b_001"], {**sources, "b_003": "a"}, "b") == NearClip("a_002", 2)
    assert nearest([NearClip("a_002", 1)], sources, "a") is None


def test_clips_that_share_nothing_have_no_pairs() -> None:
    given = hashed([(0, 0), (1, 2**63 - 1)])
    assert near_pairs(given).shape == (0, 3)
    assert near_clips(given, near_pairs(given)) == {}


def test_a_clip_that_is_smaller_darker_and_encoded_worse_is_near_and_other_clips_are_not(
    tmp_path: Path,
) -> None:
    pytest.importorskip("imagehash")
    videos = {f"a_{seed:03d}": clip(tmp_path / f"a_{seed:03d}.mp4", blobs(seed)) for seed in range(8)}
    worse = (blobs(0)[::2, ::2] * 0.8).astype(np.uint8)
    videos["b_000"] = clip(tmp_path / "b_000.mp4", worse, quantiser=38)
    found = hash_clips(videos, Progress())
    assert found.faults == {}
    assert len(found.hashes) == 3 * len(videos)
    pairs = near_pairs(found, 20)  # far above the threshold
    assert [[found.clips[first], found.clips[second]] for first, second, _ in pairs.tolist()] == [
        ["a_000", "b_000"]
    ]
    assert pairs[0, 2] <= MOST_BITS


def test_hashes_are_those_of_the_library(tmp_path: Path) -> None:
    imagehash = pytest.importorskip("imagehash")
    from PIL import Image

    video = write_clip(tmp_path / "a_000.mp4")
    found = hash_clips({"a_000": video}, Progress())
    expected = [imagehash.phash(Image.fromarray(image)).hash for image in decode(video, FRAMES).pixels]
    bits = [[int(bit) for bit in f"{int(one):064b}"] for one in found.hashes]
    assert bits == [one.ravel().astype(int).tolist() for one in expected]


def test_plain_and_broken_clips_have_no_hash_and_are_named(tmp_path: Path) -> None:
    pytest.importorskip("imagehash")
    (tmp_path / "c_000.mp4").write_bytes(b"no video")
    videos = {
        "a_000": clip(tmp_path / "a_000.mp4", np.zeros((64, 64, 3), np.uint8)),
        "b_000": clip(tmp_path / "b_000.mp4", np.full((64, 64, 3), 255, np.uint8)),
        "c_000": tmp_path / "c_000.mp4",
        "d_000": clip(tmp_path / "d_000.mp4", blobs(1)),
    }
    found = hash_clips(videos, Progress())
    assert found.clips == ("d_000",)
    assert found.faults["a_000"] == found.faults["b_000"] == "has no frame with contrast"
    assert "is not a readable" in found.faults["c_000"]
    assert len(near_pairs(found)) == 0


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "imagehash", None)
    with pytest.raises(MissingExtraError, match=r"comparing frames needs an extra .*microg-bench\[curate\]"):
        hash_clips({}, Progress())
