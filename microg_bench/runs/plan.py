"""What is left to ask, clip by clip: all requests of one clip stay together, so that it is decoded once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from microg_bench.records import Clip, Request, TaskName
from microg_bench.tasks import TASKS


@dataclass(frozen=True)
class Work:
    """The open requests of one clip, the caption before the questions."""

    clip: Clip
    requests: tuple[Request, ...]


def plan(
    clips: Iterable[Clip], tasks: Sequence[TaskName], done: Mapping[TaskName, Collection[str]]
) -> Iterator[Work]:
    """The work left, in dataset order; `done` holds the ids of answered requests by task."""
    for clip in clips:
        requests = tuple(
            item.request
            for task in tasks
            for item in TASKS[task].items(clip)
            if item.request.id not in done.get(task, ())
        )
        if requests:
            yield Work(clip, requests)
