"""Turns a dataset folder, or an annotation file, into clips, by the rule that the paper's code applies.

A repeated `video_id` keeps its last caption; a question is known by (video_id, stripped question) and keeps
its last answer. The order is that of first appearance.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from microg_bench.dataset.annotations import Annotation, read_annotations
from microg_bench.dataset.fetch import fetched_folder
from microg_bench.dataset.layout import find_layout
from microg_bench.errors import DataError, UsageError
from microg_bench.records import Clip, Question
from microg_bench.resources import sample_folder
from microg_bench.suggest import unknown

SAMPLE = "sample"
MICROG_4M = "microg-4m"


@dataclass(frozen=True)
class Dataset:
    """Clips with their references, in published order.

    `fingerprint` identifies the references (ids, captions, questions, answers), not the video files, so that
    an annotation file alone and a full folder of the same references agree. `repeated` names the ids that
    stood in more than one record.
    """

    name: str
    clips: tuple[Clip, ...]
    fingerprint: str
    repeated: tuple[str, ...] = ()

    @property
    def has_video(self) -> bool:
        """Whether any clip has its video at hand."""
        return any(clip.video for clip in self.clips)


def locate(data: str | None) -> Path:
    """The path that `--data` means: `sample`, `microg-4m` (as fetched) or a path; None takes what is there.

    Raises:
        DataError: `microg-4m` was asked for and has not been fetched.
    """
    fetched = fetched_folder()
    if data is None:
        return fetched if fetched.is_dir() else sample_folder()
    if data == SAMPLE:
        return sample_folder()
    if data == MICROG_4M:
        if not fetched.is_dir():
            raise DataError("MicroG-4M has not been fetched yet: run `microg-bench data fetch` first")
        return fetched
    return Path(data)


def load(data: str | None = None) -> Dataset:
    """Load a dataset by the name or path given to `--data`.

    Raises:
        DataError: see `find_layout` and `read_annotations`.
    """
    path = locate(data)
    layout = find_layout(path)
    annotations = read_annotations(layout.annotations)
    clips = tuple(
        clip.model_copy(update={"video": layout.videos.get(clip.video_id)}) for clip in merge(annotations)
    )
    return Dataset(_name(path), clips, fingerprint(clips), _repeated(annotations))


def merge(annotations: Iterable[Annotation]) -> tuple[Clip, ...]:
    """One clip for each id, by the published rule (see the head of this module)."""
    captions: dict[str, str | None] = {}
    answers: dict[str, dict[str, str]] = {}
    for annotation in annotations:
        video_id = annotation.video_id
        captions[video_id] = annotation.caption if annotation.caption is not None else captions.get(video_id)
        answers.setdefault(video_id, {}).update((q.text, q.answer) for q in annotation.questions)
    sources = {annotation.video_id: annotation.source for annotation in annotations}
    return tuple(
        Clip(
            video_id=video_id,
            source=sources[video_id],
            caption=caption,
            questions=tuple(Question(text=text, answer=answer) for text, answer in answers[video_id].items()),
        )
        for video_id, caption in captions.items()
    )


def fingerprint(clips: Iterable[Clip]) -> str:
    """SHA-256 over the references of `clips` in order, as canonical JSON."""
    digest = hashlib.sha256()
    for clip in clips:
        pairs = [[question.text, question.answer] for question in clip.questions]
        digest.update(json.dumps([clip.video_id, clip.caption, pairs], ensure_ascii=True).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def select(dataset: Dataset, clips: Sequence[str] = (), limit: int | None = None) -> tuple[Clip, ...]:
    """The clips that a run asks about: those named, or all, and of these the first `limit`.

    Raises:
        UsageError: a named clip does not exist, or `limit` is not positive.
    """
    by_id = {clip.video_id: clip for clip in dataset.clips}
    for name in clips:
        if name not in by_id:
            raise UsageError(
                unknown(f"clip of {dataset.name}", name, by_id)
                if len(by_id) < 50
                else f"unknown clip {name!r}: {dataset.name} has no such video_id"
            )
    if limit is not None and limit < 1:
        raise UsageError(f"--limit must be at least 1, not {limit}")
    chosen = [clip for clip in dataset.clips if not clips or clip.video_id in set(clips)]
    return tuple(chosen[:limit])


def _repeated(annotations: Sequence[Annotation]) -> tuple[str, ...]:
    seen: set[str] = set()
    again: dict[str, None] = {}
    for annotation in annotations:
        if annotation.video_id in seen:
            again[annotation.video_id] = None
        seen.add(annotation.video_id)
    return tuple(again)


def _name(path: Path) -> str:
    if path == sample_folder():
        return SAMPLE
    if path == fetched_folder():
        return MICROG_4M
    return path.stem if path.is_file() else path.resolve().name
