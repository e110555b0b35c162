"""Counts clips whose frames look like those of other clips, and those among them that a split parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from microg_bench.dataset.annotations import source_of
from microg_bench.dataset.load import find_layout, load, locate
from microg_bench.dataset.near_duplicate_clips import (
    MOST_BITS,
    HashedClips,
    NearClip,
    hash_clips,
    near_clips,
    near_pairs,
    nearest,
)
from microg_bench.dataset.stats import CountTable, Stats
from microg_bench.errors import DataError
from microg_bench.progress import Progress

Near = Mapping[str, Sequence[NearClip]]


def with_frames(
    found: Stats, data: str | Path | None, parts: Mapping[str, str] | None, progress: Progress
) -> Stats:
    """Add the tables of near-duplicate clips, and, where the part of each clip is given, of those that leak.

    Args:
        found: the other counts of the dataset.
        data: as `--data` takes it.
        parts: the part of a split that each clip is in, by id; clips that it lacks are in none.
        progress: told of the comparison.

    Raises:
        DataError: the dataset has no videos.
        MissingExtraError: ImageHash is not installed.
    """
    folder = locate(data)
    videos = find_layout(folder).videos
    if not videos:
        raise DataError("has no videos whose frames could be compared", path=folder)
    given = {clip.video_id: clip.source for clip in load(data).clips}
    sources = {clip: given.get(clip) or source_of(clip) for clip in videos}
    hashed = hash_clips(videos, progress)
    pairs = near_pairs(hashed)
    near = near_clips(hashed, pairs)
    tables = [_counts(hashed, near, sources), _listed(near, sources)]
    if parts is not None:
        tables += [_leaks(near, sources, parts), _leaking(hashed, pairs, sources, parts)]
    added = {table.name: table for table in tables if table.rows}
    return replace(found, tables={**found.tables, **added}, notes=(*found.notes, *_notes(hashed)))


def _notes(hashed: HashedClips) -> Iterator[str]:
    if hashed.faults:
        clip, reason = next(iter(hashed.faults.items()))
        yield f"{len(hashed.faults):,} clips have no frame that can be compared (first {clip}: {reason})"


def _counts(hashed: HashedClips, near: Near, sources: Mapping[str, str]) -> CountTable:
    """As that of texts: the same hash, or nearly, in another clip or another source."""
    first = [own[0].bits for own in near.values()]
    elsewhere = [one.bits for clip, own in near.items() if (one := nearest(own, sources, sources[clip]))]
    row = (len(hashed.clips), first.count(0), len(first), elsewhere.count(0), len(elsewhere))
    return CountTable(
        "near_duplicate_frames",
        f"Clips with a frame like one of another clip (of 64 bits at most {MOST_BITS} differ)",
        ("clips", "same, other clip", "near, other clip", "same, other source", "near, other source"),
        (row,),
    )


def _listed(near: Near, sources: Mapping[str, str]) -> CountTable:
    rows = []
    for clip in sorted(near):
        elsewhere = nearest(near[clip], sources, sources[clip])
        there = (elsewhere.clip, elsewhere.bits) if elsewhere else ("", "")
        rows.append((clip, near[clip][0].clip, near[clip][0].bits, *there))
    columns = ("clip", "nearest clip", "bits", "nearest in another source", "bits in another source")
    return CountTable("near_duplicate_clips", "Near-duplicate clips", columns, tuple(rows), detail=True)


def _leaks(near: Near, sources: Mapping[str, str], parts: Mapping[str, str]) -> CountTable:
    """How many clips of each part are like a clip of another part, and how many sources the parts share."""
    rows = []
    own_sources = {
        part: {sources.get(clip) or source_of(clip) for clip, own in parts.items() if own == part}
        for part in dict.fromkeys(parts.values())
    }
    for part, held in own_sources.items():
        others = set().union(*(some for other, some in own_sources.items() if other != part))
        clips = [clip for clip, own in parts.items() if own == part]
        like = [
            {
                sources[one.clip] == sources[clip]
                for one in near.get(clip, ())
                if parts.get(one.clip, part) != part
            }
            for clip in clips
        ]
        counts = sum(map(bool, like)), sum(False in same for same in like)
        rows.append((part, len(clips), len(held), len(held & others), *counts))
    columns = (
        *("part", "clips", "sources", "sources of other parts too"),
        *("clips near one of another part", "of another part and source"),
    )
    return CountTable("leaks", "Leaks between the parts of the split", columns, tuple(rows))


def _leaking(
    hashed: HashedClips, pairs: NDArray[np.int64], sources: Mapping[str, str], parts: Mapping[str, str]
) -> CountTable:
    """All pairs of near-duplicate clips in different parts."""
    rows = []
    for first, second, bits in pairs.tolist():
        one, other = hashed.clips[first], hashed.clips[second]
        if one in parts and other in parts and parts[one] != parts[other]:
            same = "yes" if sources[one] == sources[other] else "no"
            rows.append((one, parts[one], other, parts[other], bits, same))
    columns = ("clip", "part", "near clip", "part of the near clip", "bits", "same source")
    title = "Near-duplicate clips in different parts"
    return CountTable("leaking_clips", title, columns, tuple(rows), detail=True)
