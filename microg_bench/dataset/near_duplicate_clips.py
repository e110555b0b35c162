"""Finds clips of which a frame looks nearly like one of another clip, by a perceptual hash.

The hash has 64 bits, which say of the lowest frequencies of the cosine transform of the grey frame whether
they are above their median (Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions,
2010). It changes little with size, compression and brightness. All frames are compared with all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microg_bench.errors import DecodeError, MissingExtraError
from microg_bench.progress import Progress
from microg_bench.text import first_line
from microg_bench.video.decode import Frames
from microg_bench.video.pool import DecodePool
from microg_bench.video.sampling import FrameSpec

FRAMES = FrameSpec(count=3)
MOST_BITS = 6  # of 64 that differ between near-duplicates
LEAST_CONTRAST = 4.0  # standard deviation of grey, of 255; the hash of a plain frame tells nothing
_TOGETHER = 256  # frames compared with all others at once
Hashes = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class HashedClips:
    """The hashes of the frames of clips.

    Attributes:
        clips: the ids of all clips that have a hash.
        places: of the clip of each hash among these, ascending, shape (n,).
        hashes: shape (n,).
        faults: why a clip has none, by id.
    """

    clips: tuple[str, ...]
    places: NDArray[np.int64]
    hashes: Hashes
    faults: Mapping[str, str]


@dataclass(frozen=True)
class NearClip:
    """Another clip that looks like one: its id, and the bits by which their most alike frames differ."""

    clip: str
    bits: int


def hash_clips(videos: Mapping[str, Path], progress: Progress) -> HashedClips:
    """Hash three frames of each video, evenly spaced; those without contrast have no hash.

    Raises:
        MissingExtraError: ImageHash is not installed.
    """
    phash = _perceptual_hash()
    found: dict[str, list[int]] = {}
    faults: dict[str, str] = {}

    def take(clip: str, future: Future[Frames]) -> None:
        try:
            hashes = [phash(image) for image in future.result().pixels if _contrast(image) >= LEAST_CONTRAST]
        except DecodeError as error:
            faults[clip] = error.reason
        else:
            if hashes:
                found[clip] = hashes
            else:
                faults[clip] = "has no frame with contrast"
        progress.advance()

    progress.stage("comparing frames", len(videos))
    waiting: deque[tuple[str, Future[Frames]]] = deque()
    with DecodePool() as pool:
        for clip, video in videos.items():
            if len(waiting) == pool.ahead:
                take(*waiting.popleft())
            waiting.append((clip, pool.submit(video, FRAMES)))
        while waiting:
            take(*waiting.popleft())
    places = [place for place, hashes in enumerate(found.values()) for _ in hashes]
    flat = [one for hashes in found.values() for one in hashes]
    return HashedClips(tuple(found), np.array(places, np.int64), np.array(flat, np.uint64), faults)


def near_pairs(hashed: HashedClips, most: int = MOST_BITS) -> NDArray[np.int64]:
    """The pairs of clips of which two frames differ in at most `most` bits.

    Returns:
        Shape (n, 3), ordered: the places of the two clips, the first before the second, and the fewest bits.
    """
    found = [np.empty((0, 3), np.int64)]
    for start in range(0, len(hashed.hashes), _TOGETHER):
        own, others = hashed.hashes[start : start + _TOGETHER], hashed.hashes[start:]
        bits = np.bitwise_count(own[:, None] ^ others)
        rows, columns = np.nonzero(bits <= most)
        one, other = hashed.places[start + rows], hashed.places[start + columns]
        near = np.stack([one, other, bits[rows, columns]], axis=1)
        found.append(near[one < other])
    pairs = np.concatenate(found)
    pairs = pairs[np.lexsort(pairs.T[::-1])]
    changes = np.diff(pairs[:, :2], axis=0, prepend=-1) != 0
    return pairs.compress(changes[:, 0] | changes[:, 1], axis=0)


def near_clips(hashed: HashedClips, pairs: NDArray[np.int64]) -> dict[str, list[NearClip]]:
    """For each clip in a pair, the others that it is near, those that differ least first."""
    found: dict[str, list[NearClip]] = {}
    both = np.concatenate([pairs, pairs[:, [1, 0, 2]]])
    for first, second, bits in both[np.lexsort(both[:, [1, 2, 0]].T)].tolist():
        found.setdefault(hashed.clips[first], []).append(NearClip(hashed.clips[second], bits))
    return found


def nearest(near: Sequence[NearClip], groups: Mapping[str, str], not_in: str) -> NearClip | None:
    """The first of the clips that is in another group than `not_in`, if any; `groups` has that of each."""
    return next((one for one in near if groups[one.clip] != not_in), None)


def _contrast(image: NDArray[np.uint8]) -> float:
    return float(image.mean(axis=2).std())


def _perceptual_hash() -> Any:
    """A function from a frame, (H, W, 3) in RGB, to its 64 bits as a whole number."""
    try:
        import imagehash
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("comparing frames", "curate", first_line(error)) from None

    def phash(image: NDArray[np.uint8]) -> int:
        return int(str(imagehash.phash(Image.fromarray(image))), 16)

    return phash
