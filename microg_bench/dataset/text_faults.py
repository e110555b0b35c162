"""Rules for the texts of a dataset: repeated ids and captions, blank texts, lists written as text, counts."""

import re
from collections.abc import Iterator, Sequence

from microg_bench.dataset.annotations import NO_CLIP_NUMBER, Annotation, id_fault, source_of
from microg_bench.dataset.near_duplicates import words
from microg_bench.records import Record

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


Faults = Iterator[DatasetFault]


def text_faults(annotations: Sequence[Annotation]) -> Faults:
    """What is wrong with the texts of records, in the words of the file; no video is looked at."""
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
        yield from odd_id(video_id, *sources)
        if len(set(sources)) > 1:
            detail = f"its records name {', '.join(dict.fromkeys(sources))}; the last counts"
            yield DatasetFault(kind="several-sources", item=video_id, detail=detail)


def odd_id(video_id: str, *sources: str) -> Faults:
    """An id from which its source cannot be told; where a source is given, it needs no clip number."""
    if (fault := id_fault(video_id)) and not (sources and fault == NO_CLIP_NUMBER):
        source = [source_of(video_id), *sources][-1]
        detail = f"the id {video_id!r} {fault}; its source video is taken to be {source!r}"
        yield DatasetFault(kind="odd-id", item=video_id, detail=detail)


def _repeated_captions(annotations: Sequence[Annotation]) -> Faults:
    first: dict[str, str] = {}
    for annotation in annotations:
        caption = annotation.caption
        if caption is None or is_blank(caption):
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
        if text is not None and is_blank(text):
            yield DatasetFault(kind=f"blank-{name}", item=item, detail=f"the {name} is {text!r}")
        elif text is not None and _is_list(text):
            detail = f"the {name} is a list written as text, scored as it stands: {text[:60]!r}"
            yield DatasetFault(kind=f"listed-{name}", item=item, detail=detail)


def _odd_pairs(annotation: Annotation) -> Faults:
    item, count = annotation.video_id, len(annotation.questions)
    asked: dict[str, list[str]] = {}
    for question in annotation.questions:
        asked.setdefault(same_words(question.text), []).append(question.text)
    for texts in asked.values():
        if len(texts) > 1:
            yield DatasetFault(kind="repeated-question", item=item, detail=f"{len(texts)} times: {texts[0]}")
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


def is_blank(text: str) -> bool:
    """Whether a text says nothing: it is empty, or a word for no value, such as "nan"."""
    return text.strip().lower() in BLANK


def same_words(text: str) -> str:
    """The words of a text in their order, alike for texts that differ in case and punctuation alone."""
    return " ".join(words(text)) or text


def _is_list(text: str) -> bool:
    """Whether a text is how Python, NumPy or JSON writes a list of texts: `['a', 'b']`."""
    return _LIST.fullmatch(text.strip()) is not None
