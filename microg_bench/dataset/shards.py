"""Shards: a stable division of clips, so that several machines can share a run."""

import heapq
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from microg_bench.errors import RunError, UsageError
from microg_bench.records import Clip
from microg_bench.text import listed, many

SHARD_FOLDER = re.compile(r"shard-[1-9]\d*-of-[1-9]\d*")
MAX_NAMED = 8  # shards that an error names
Of = TypeVar("Of")


def numbers(shard: str) -> tuple[int, int]:
    """The number of a shard, from 1, and how many there are, of ``3/8``."""
    number, _, count = shard.partition("/")
    return int(number), int(count)


def folder_name(shard: str) -> str:
    """The folder of a shard below that of its run: ``shard-3-of-8``."""
    number, count = numbers(shard)
    return f"shard-{number}-of-{count}"


def divide(items: Sequence[Of], weights: Sequence[int], count: int) -> tuple[tuple[Of, ...], ...]:
    """The items of each of `count` shards, in their order, so that the sums of the weights are nearly equal.

    The heaviest item that is left goes to the shard with the smallest sum; of equal ones the first. The
    division follows from the weights and their order alone. Sums differ by no more than the heaviest item.

    Raises:
        UsageError: there are fewer items than shards.
    """
    if count > len(items):
        raise UsageError(f"{count} shards of {many(len(items), 'clip')}: give fewer", item="--shard")
    shards: list[list[int]] = [[] for _ in range(count)]
    sums = [(0, shard) for shard in range(count)]
    for item in sorted(range(len(items)), key=lambda item: -weights[item]):
        total, shard = sums[0]
        shards[shard].append(item)
        heapq.heapreplace(sums, (total + weights[item], shard))
    return tuple(tuple(items[item] for item in sorted(own)) for own in shards)


def divide_clips(clips: Sequence[Clip], count: int) -> tuple[tuple[Clip, ...], ...]:
    """The clips of each shard, so that captions and questions are shared out; the task does not matter."""
    return divide(clips, [1 + len(clip.questions) for clip in clips], count)


def missing_shards(found: Iterable[tuple[str, Path]]) -> list[str]:
    """The shards of a run that are not among those found, in folders.

    Raises:
        RunError: one is there twice, or they are of different divisions.
    """
    seen: dict[str, Path] = {}
    for shard, path in found:
        first, place = next(iter(seen.items()), (shard, path))
        if numbers(first)[1] != numbers(shard)[1]:
            raise RunError(f"is shard {shard}, but {place} is shard {first}", path=path)
        if shard in seen:
            raise RunError(f"is shard {shard}, as is {seen[shard]}: give one of them", path=path)
        seen[shard] = path
    count = numbers(next(iter(seen)))[1]
    return [name for number in range(1, count + 1) if (name := f"{number}/{count}") not in seen]


def not_all(missing: Sequence[str], path: Path) -> RunError:
    """The error of a run of which shards are missing; `path` is one that is there."""
    said = "a shard is" if len(missing) == 1 else f"{len(missing)} shards are"
    return RunError(f"{said} missing of its run: {listed(missing, MAX_NAMED)}", path=path)
