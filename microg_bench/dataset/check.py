"""Looks for everything that can be wrong with a dataset, and names the item.

The published annotation file has faults of its own; a user must see them, and see them told apart from
damage done on the way (missing, truncated or re-encoded videos).
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from microg_bench.dataset.annotations import Annotation, read_annotations
from microg_bench.dataset.layout import Layout, find_layout
from microg_bench.dataset.load import fingerprint, locate, merge
from microg_bench.errors import DecodeError
from microg_bench.records import Record
from microg_bench.video import VideoFacts, probe

CLIP_SECONDS = 3.0
CLIP_FPS = 30.0
# A frame more or less, and rates written as 29.97, are how real encoders cut three seconds.
SECONDS_TOLERANCE = 0.1
FPS_TOLERANCE = 0.5
USUAL_PAIRS = 6
# Counts of the paper (section on MicroG-4M): what the annotation file should hold.
PAPER_RECORDS, PAPER_PAIRS = 1238, 7428
BLANK = {"", "nan", "none", "null", "n/a"}


class Fault(Record):
    """One thing that is wrong: `kind` is a stable name for machines, `item` the id or file concerned."""

    kind: str
    item: str
    detail: str


class Report(Record):
    """What `check` found: counts of what is there, and the faults, in dataset order."""

    data: str
    fingerprint: str
    counts: dict[str, int]
    pairs_per_clip: dict[int, int]
    faults: tuple[Fault, ...]


@dataclass(frozen=True)
class _Progress:
    start: Callable[[int], None]
    step: Callable[[], None]


def check(
    data: str | None,
    on_start: Callable[[int], None] = lambda _: None,
    on_step: Callable[[], None] = lambda: None,
) -> Report:
    """Check a dataset folder or annotation file; every video is decoded in full.

    `on_start` is told the number of videos and `on_step` is called after each, for a progress bar.

    Raises:
        DataError: the annotations cannot be read at all.
    """
    path = locate(data)
    layout = find_layout(path)
    annotations = read_annotations(layout.annotations)
    faults = [*_text_faults(annotations)]
    if not path.is_file():
        faults += _video_faults(annotations, layout, _Progress(on_start, on_step))
    clips = merge(annotations)
    pairs = Counter(len(annotation.questions) for annotation in annotations)
    counts = {
        "records": len(annotations),
        "clips": len(clips),
        "sources": len({clip.source for clip in clips}),
        "captions": sum(clip.caption is not None for clip in clips),
        "question-answer pairs": sum(len(annotation.questions) for annotation in annotations),
        "not mentioned": sum(
            q.answer.strip().rstrip(".").lower() == "not mentioned" for a in annotations for q in a.questions
        ),
        "videos": len(layout.videos),
    }
    return Report(
        data=str(data or path.name),
        fingerprint=fingerprint(clips),
        counts=counts,
        pairs_per_clip=dict(sorted(pairs.items())),
        faults=tuple(faults),
    )


def _text_faults(annotations: Sequence[Annotation]) -> Iterator[Fault]:
    yield from _repeated_ids(annotations)
    yield from _repeated_captions(annotations)
    for annotation in annotations:
        yield from _blank_texts(annotation)
        yield from _odd_pairs(annotation)
    yield from _paper_counts(annotations)


def _repeated_ids(annotations: Sequence[Annotation]) -> Iterator[Fault]:
    records: dict[str, list[int]] = {}
    for n, annotation in enumerate(annotations, start=1):
        records.setdefault(annotation.video_id, []).append(n)
    for video_id, places in records.items():
        if len(places) > 1:
            where = ", ".join(map(str, places))
            yield Fault(
                kind="repeated-id",
                item=video_id,
                detail=f"in records {where}; the last caption counts and the questions are joined",
            )


def _repeated_captions(annotations: Sequence[Annotation]) -> Iterator[Fault]:
    first: dict[str, str] = {}
    for annotation in annotations:
        caption = annotation.caption
        if caption is None or _is_blank(caption):
            continue
        if caption in first:
            yield Fault(kind="repeated-caption", item=annotation.video_id, detail=f"same as {first[caption]}")
        first.setdefault(caption, annotation.video_id)


def _blank_texts(annotation: Annotation) -> Iterator[Fault]:
    if annotation.caption is not None and _is_blank(annotation.caption):
        yield Fault(
            kind="blank-caption", item=annotation.video_id, detail=f"the caption is {annotation.caption!r}"
        )
    for k, question in enumerate(annotation.questions, start=1):
        for name, text in (("question", question.text), ("answer", question.answer)):
            if _is_blank(text):
                item = f"{annotation.video_id}#{k}"
                yield Fault(kind=f"blank-{name}", item=item, detail=f"the {name} is {text!r}")


def _odd_pairs(annotation: Annotation) -> Iterator[Fault]:
    texts = Counter(question.text for question in annotation.questions)
    for text, times in texts.items():
        if times > 1:
            yield Fault(kind="repeated-question", item=annotation.video_id, detail=f"{times} times: {text}")
    if annotation.questions and len(annotation.questions) != USUAL_PAIRS:
        yield Fault(
            kind="pair-count",
            item=annotation.video_id,
            detail=f"{len(annotation.questions)} question-answer pairs where {USUAL_PAIRS} are usual",
        )


def _paper_counts(annotations: Sequence[Annotation]) -> Iterator[Fault]:
    """Only a file with as many records as the paper reports is held against the paper's other counts."""
    pairs = sum(len(annotation.questions) for annotation in annotations)
    if len(annotations) != PAPER_RECORDS:
        return
    if pairs != PAPER_PAIRS:
        yield Fault(
            kind="published-count",
            item="question-answer pairs",
            detail=f"{pairs:,} where the paper counts {PAPER_PAIRS:,}",
        )
    distinct = len({annotation.video_id for annotation in annotations})
    if distinct != PAPER_RECORDS:
        yield Fault(
            kind="published-count",
            item="clips",
            detail=f"{distinct:,} distinct ids where the paper counts {PAPER_RECORDS:,}",
        )


def _is_blank(text: str) -> bool:
    return text.strip().lower() in BLANK


def _video_faults(annotations: Sequence[Annotation], layout: Layout, progress: _Progress) -> Iterator[Fault]:
    wanted = dict.fromkeys(annotation.video_id for annotation in annotations)
    for video_id in wanted:
        if video_id not in layout.videos:
            yield Fault(kind="missing-video", item=video_id, detail="annotated, but there is no video file")
    known = wanted.keys() | _ids_with_actions(layout)
    for video_id, path in layout.videos.items():
        if video_id not in known:
            yield Fault(kind="extra-video", item=path.name, detail="there is no annotation for it")
    for path in layout.doubles:
        used = layout.videos[path.stem]
        yield Fault(
            kind="double-video", item=path.name, detail=f"a second file of this id; {used.name} is used"
        )
    progress.start(len(layout.videos))
    with ThreadPoolExecutor() as threads:
        for found in threads.map(_one_video, layout.videos.values()):
            yield from found
            progress.step()


def _ids_with_actions(layout: Layout) -> set[str]:
    if layout.actions is None:
        return set()
    with layout.actions.open(encoding="utf-8", newline="") as file:
        return {row["video_id"] for row in csv.DictReader(file) if row.get("video_id")}


def _one_video(path: Path) -> list[Fault]:
    try:
        facts = probe(path, full=True)
    except DecodeError as error:
        return [
            Fault(kind="undecodable-video", item=path.name, detail=str(error).removeprefix(f"{path.name}: "))
        ]
    return list(_wrong_measures(path.name, facts))


def _wrong_measures(name: str, facts: VideoFacts) -> Iterator[Fault]:
    if abs(facts.duration - CLIP_SECONDS) > SECONDS_TOLERANCE:
        yield Fault(
            kind="wrong-duration",
            item=name,
            detail=f"{facts.duration:.2f} s where {CLIP_SECONDS:g} s is expected",
        )
    if abs(facts.fps - CLIP_FPS) > FPS_TOLERANCE:
        yield Fault(
            kind="wrong-frame-rate", item=name, detail=f"{facts.fps:.2f} fps where {CLIP_FPS:g} is expected"
        )
