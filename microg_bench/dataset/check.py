"""Looks for everything that can be wrong with a dataset, and names the item.

The published annotation file has faults of its own. A user must see them, and tell them from damage to a
copy: missing, truncated or re-encoded videos.
"""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from microg_bench.dataset.annotations import Annotation, plain_id, read_annotations, source_notes
from microg_bench.dataset.labels import read_actions, read_label_map
from microg_bench.dataset.load import (
    NO_CONTAINER,
    Layout,
    find_layout,
    fingerprint,
    is_video,
    locate,
    merge,
)
from microg_bench.dataset.text_faults import DatasetFault, Faults, odd_id, text_faults
from microg_bench.errors import DataError, DecodeError
from microg_bench.progress import Progress
from microg_bench.records import Record
from microg_bench.tasks import is_unanswerable
from microg_bench.video.source import probe

CLIP_SECONDS = 3.0
CLIP_FPS = 30.0
# A frame more or less, and rates written as 29.97, are how real encoders cut three seconds.
SECONDS_TOLERANCE = 0.1
FPS_TOLERANCE = 0.5


class DatasetReport(Record):
    """What `check` found: counts of what is there, and the faults, in dataset order.

    `notes` tell what is no fault, but must be known of the intervals.
    """

    data: str
    fingerprint: str
    counts: dict[str, int]
    pairs_per_clip: dict[int, int]
    faults: tuple[DatasetFault, ...]
    notes: tuple[str, ...] = ()


def check(data: str | Path | None, progress: Progress | None = None) -> DatasetReport:
    """Check a dataset folder or annotation file; every video is decoded in full.

    Raises:
        DataError: the annotations cannot be read at all.
    """
    path = locate(data)
    layout = find_layout(path)
    annotations = read_annotations(layout.annotations)
    faults = list(text_faults(annotations))
    labels = _read_labels(layout)
    if not path.is_file():
        faults += _file_faults(annotations, labels, layout)
        faults += _video_faults(layout, progress or Progress())
    clips = merge(annotations)
    questions = [question for annotation in annotations for question in annotation.questions]
    pairs = Counter(len(annotation.questions) for annotation in annotations)
    counts = {
        "records": len(annotations),
        "clips": len(clips),
        "sources": len({clip.source for clip in clips}),
        "captions": sum(clip.caption is not None for clip in clips),
        "question-answer pairs": len(questions),
        "unanswerable": sum(is_unanswerable(question.answer) for question in questions),
        "videos": len(layout.videos),
    }
    if layout.actions and isinstance(labels, Counter):
        counts[f"rows of {layout.actions.name}"] = labels.total()
    return DatasetReport(
        data=str(data or path.name),
        fingerprint=fingerprint(clips),
        counts=counts,
        pairs_per_clip=dict(sorted(pairs.items())),
        faults=tuple(faults),
        notes=tuple(source_notes({clip.video_id: clip.source for clip in clips})),
    )


def _read_labels(layout: Layout) -> Counter[str] | DatasetFault:
    """The number of rows of each clip in the table of actions, or what keeps the table from being read."""
    if layout.actions is None:
        return Counter()
    try:
        return Counter(read_actions(layout.actions, read_label_map())["video_id"])
    except DataError as error:
        detail = ": ".join(filter(None, [error.item, error.reason]))
        return DatasetFault(kind="unreadable-actions", item=layout.actions.name, detail=detail)


def _file_faults(
    annotations: Sequence[Annotation], labels: Counter[str] | DatasetFault, layout: Layout
) -> Faults:
    """Videos that are missing, unusable, superfluous or there twice, and faults of the table of actions."""
    annotated = dict.fromkeys(annotation.video_id for annotation in annotations)
    for video_id in annotated:
        if video_id not in layout.videos:
            detail = "annotated, but there is no video file"
            yield DatasetFault(kind="missing-video", item=video_id, detail=detail)
    for path, reason in layout.rejected.items():
        yield DatasetFault(kind="rejected-video", item=path.name, detail=f"{reason}; it is not opened")
    for path, reason in layout.rejected_actions.items():
        yield DatasetFault(kind="unreadable-actions", item=path.name, detail=f"{reason}; it is not opened")
    if isinstance(labels, DatasetFault):
        yield labels
    else:
        for video_id in labels:
            if video_id not in annotated:
                yield from odd_id(video_id)
        known = {plain_id(video_id) for video_id in (*annotated, *labels)}
        for video_id, path in layout.videos.items():
            if plain_id(video_id) not in known:
                detail = "there is no annotation for it"
                yield DatasetFault(kind="extra-video", item=path.name, detail=detail)
    for path in layout.doubles:
        detail = f"a second file of this id; {layout.videos[path.stem].name} is used"
        yield DatasetFault(kind="double-video", item=path.name, detail=detail)


def _video_faults(layout: Layout, progress: Progress) -> Faults:
    progress.stage("decoding videos", len(layout.videos))
    with ThreadPoolExecutor() as threads:
        for found in threads.map(lambda path: list(_one_video(path)), layout.videos.values()):
            yield from found
            progress.advance()


def _one_video(path: Path) -> Faults:
    if not is_video(path):
        detail = f"{NO_CONTAINER}; it is not used"
        yield DatasetFault(kind="rejected-video", item=path.name, detail=detail)
        return
    try:
        facts = probe(path, full=True)
    except DecodeError as error:
        yield DatasetFault(kind="undecodable-video", item=path.name, detail=error.reason)
        return
    if abs(facts.duration - CLIP_SECONDS) > SECONDS_TOLERANCE:
        detail = f"{facts.duration:.2f} s where {CLIP_SECONDS:g} s is expected"
        yield DatasetFault(kind="wrong-duration", item=path.name, detail=detail)
    if abs(facts.fps - CLIP_FPS) > FPS_TOLERANCE:
        detail = f"{facts.fps:.2f} fps where {CLIP_FPS:g} is expected"
        yield DatasetFault(kind="wrong-frame-rate", item=path.name, detail=detail)
