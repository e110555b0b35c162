"""Finds answers that were given to other video files than are there now."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from microg_bench.adapters.base import Baseline
from microg_bench.progress import Progress
from microg_bench.runs.execute import DESCRIPTORS_FILE, Variant
from microg_bench.runs.frames import changed, clip_sha256, read_descriptions

MOST_NAMED = 10  # clips


def find_changes(variants: Sequence[Variant], root: Path, progress: Progress) -> None:
    """Set `Variant.changed` to the answers to clips whose file is another one than was shown, and name these.

    Files that are not there any more, and answers that do not tell which file was shown, are left alone. A
    baseline that sees answers from what it has seen of all clips: one that changed changes all its answers.

    Args:
        variants: they share their clips.
        root: the folder of what they share.
        progress: is told which clips have changed.

    Raises:
        RunError: a file in `root` is damaged.
    """
    named: dict[str, None] = {}
    digest = cache(clip_sha256)
    for variant in variants:
        described = list(_described(variant, root, digest))
        named |= dict.fromkeys(described)
        for clip in variant.configuration.clips:
            requests = variant.configuration.requests[clip.video_id]
            answers = [variant.records[one.task].answers.get(one.id) for one in requests]
            donor = variant.configuration.donors.get(clip.video_id)
            for answer in filter(None, answers):
                if answer.clip_sha256 and digest((donor or clip).video) not in (None, answer.clip_sha256):
                    named[clip.video_id] = None
                    variant.changed[answer.id] = "the video file has changed since it was shown"
                elif described:
                    variant.changed[answer.id] = (
                        f"the video file of {described[0]} has changed since it was described"
                    )
    for name in list(named)[:MOST_NAMED]:
        progress.note(f"{name}: the video file has changed since it was shown: asked again")
    if len(named) > MOST_NAMED:
        progress.note(
            f"{len(named) - MOST_NAMED} more video files have changed since they were shown: asked again"
        )


def _described(variant: Variant, root: Path, digest: Callable[[Path | None], str | None]) -> Iterator[str]:
    """The clips that a baseline has described from other files than are there now."""
    one = replace(variant.configuration, transforms=())  # it compares what is shown with clips as they are
    sees = isinstance(one.adapter, Baseline) and one.adapter.sees_video
    if sees and variant.configuration.decoded == one.decoded:
        known = read_descriptions(root / DESCRIPTORS_FILE, one.described_with)
        for clip in one.dataset.clips:
            if clip.video_id in known and changed(clip, known[clip.video_id], digest):
                yield clip.video_id
