"""Looks for everything that can be wrong with a dataset, and names the item.

The published annotation file has faults of its own. A user must see them, and tell them from damage to a
copy: missing, truncated or re-encoded videos.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from microg_bench.dataset.annotations import (
    NO_CLIP_NUMBER,
    Annotation,
    id_fault,
    plain_id,
    read_annotations,
    source_notes,
    source_of,
)
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
USUAL_PAIRS = 6
# Counts of the paper (section on MicroG-4M): what the annotation file should hold.
PAPER_RECORDS, PAPER_PAIRS = 1238, 7428
BLANK = {"", "nan", "none", "null", "n/a"}
_LIST = re.compile(r"""\[\s*(?:["'].*["']\s*)?\]""", re.DOTALL)


class DatasetFault(Record):
    """One thing that is wrong: `kind` is a stable name for machines, `item` the id or file concerned."""

    kind: str
    item: str
    detail: str


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


Faults = Iterator[DatasetFault]


def check(data: str | Path | None, progress: Progress | None = None) -> DatasetReport:
    """Check a dataset folder or annotation file; every video is decoded in full.

    Raises:
        DataError: the annotations cannot be read at all.
    """
    path = locate(data)
    layout = find_layout(path)
    annotations = read_annotations(layout.annotations)
    faults = list(_text_faults(annotations))
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


def _text_faults(annotations: Sequence[Annotation]) -> Faults:
    yield from _repeated_ids(annotations)
    yield from _sources(annotations)
    yield from _repeated_captions(annotations)
    for annotation in annotations:
        yield from _odd_texts(annotation)
        yield from _odd_pairs(annotation)
    if len(annotations) == PAPER_RECORDS:
        yield from _paper_counts(annotations)


def _repeated_ids(annotations: Sequence[Annotation]) -> Faults:
    records: dict[str, list[str]] = {}
    for n, annotation in enumerate(annotations, start=1):
        records.setdefault(annotation.video_id, []).append(str(n))
    for video_id, numbers in records.items():
        if len(numbers) > 1:
            detail = f"in records {', '.join(numbers)}; the last caption counts and the questions are joined"
            yield DatasetFault(kind="repeated-id", item=video_id, detail=detail)


def _sources(annotations: Sequence[Annotation]) -> Faults:
    """Ids that a source cannot be told from, and ids that are given several."""
    given: dict[str, list[str]] = {}
    for annotation in annotations:
        given.setdefault(annotation.video_id, []).extend(filter(None, [annotation.source]))
    for video_id, sources in given.items():
        yield from _odd_id(video_id, *sources)
        if len(set(sources)) > 1:
            detail = f"its records name {', '.join(dict.fromkeys(sources))}; the last counts"
            yield DatasetFault(kind="several-sources", item=video_id, detail=detail)


def _odd_id(video_id: str, *sources: str) -> Faults:
    """A source that is given needs no clip number."""
    if (fault := id_fault(video_id)) and not (sources and fault == NO_CLIP_NUMBER):
        source = [source_of(video_id), *sources][-1]
        detail = f"the id {video_id!r} {fault}; its source video is taken to be {source!r}"
        yield DatasetFault(kind="odd-id", item=video_id, detail=detail)


def _repeated_captions(annotations: Sequence[Annotation]) -> Faults:
    first: dict[str, str] = {}
    for annotation in annotations:
        caption = annotation.caption
        if caption is None or _is_blank(caption):
            continue
        if caption in first:
            detail = f"same as {first[caption]}"
            yield DatasetFault(kind="repeated-caption", item=annotation.video_id, detail=detail)
        first.setdefault(caption, annotation.video_id)


def _odd_texts(annotation: Annotation) -> Faults:
    texts = [("caption", annotation.video_id, annotation.caption)]
    for k, question in enumerate(annotation.questions, start=1):
        item = f"{annotation.video_id}#{k}"
        texts += [("question", item, question.text), ("answer", item, question.answer)]
    for name, item, text in texts:
        if text is not None and _is_blank(text):
            yield DatasetFault(kind=f"blank-{name}", item=item, detail=f"the {name} is {text!r}")
        elif text is not None and _is_list(text):
            detail = f"the {name} is a list written as text, scored as it stands: {text[:60]!r}"
            yield DatasetFault(kind=f"listed-{name}", item=item, detail=detail)


def _odd_pairs(annotation: Annotation) -> Faults:
    item, count = annotation.video_id, len(annotation.questions)
    for text, times in Counter(question.text for question in annotation.questions).items():
        if times > 1:
            yield DatasetFault(kind="repeated-question", item=item, detail=f"{times} times: {text}")
    if count not in (0, USUAL_PAIRS):
        detail = f"{count} question-answer pairs where {USUAL_PAIRS} are usual"
        yield DatasetFault(kind="pair-count", item=item, detail=detail)


def _paper_counts(annotations: Sequence[Annotation]) -> Faults:
    """The counts that differ from the paper's, of a file with as many records as the paper reports."""
    pairs = sum(len(annotation.questions) for annotation in annotations)
    if pairs != PAPER_PAIRS:
        detail = f"{pairs:,} where the paper counts {PAPER_PAIRS:,}"
        yield DatasetFault(kind="published-count", item="question-answer pairs", detail=detail)
    distinct = len({annotation.video_id for annotation in annotations})
    if distinct != PAPER_RECORDS:
        detail = f"{distinct:,} distinct ids where the paper counts {PAPER_RECORDS:,}"
        yield DatasetFault(kind="published-count", item="clips", detail=detail)


def _is_blank(text: str) -> bool:
    return text.strip().lower() in BLANK


def _is_list(text: str) -> bool:
    """Whether a text is how Python, NumPy or JSON writes a list of texts: `['a', 'b']`."""
    return _LIST.fullmatch(text.strip()) is not None


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
                yield from _odd_id(video_id)
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
