"""Consistency of captions with questions and answers: rules, and what a language model finds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from microg_bench.annotation.inquiry import Query, Replies
from microg_bench.dataset.annotations import Annotation
from microg_bench.dataset.load import Dataset
from microg_bench.dataset.near_duplicates import words
from microg_bench.dataset.text_faults import is_blank, text_faults
from microg_bench.errors import DataError
from microg_bench.records import Clip, Question, Record
from microg_bench.tasks import is_unanswerable

NOT_A_QUESTION, ANSWER_IN_QUESTION = "not-a-question", "answer-in-question"
_YES_NO = frozenset({"yes", "no"})
_ARTICLES = frozenset({"a", "an", "the"})


class TextFinding(Record):
    """One thing that is wrong with a caption or a pair.

    `item` is the id of the clip, or `video_id#k` for its k-th pair, from 1; `kind` is a stable name for
    machines.
    """

    item: str
    kind: str
    reason: str


def text_findings(annotations: Sequence[Annotation]) -> tuple[TextFinding, ...]:
    """What rules find in the texts of records, without a model: those of `data check`, then of each pair."""
    found = [TextFinding(item=one.item, kind=one.kind, reason=one.detail) for one in text_faults(annotations)]
    for annotation in annotations:
        for k, pair in enumerate(annotation.questions, start=1):
            item = f"{annotation.video_id}#{k}"
            found += [TextFinding(item=item, kind=kind, reason=why) for kind, why in pair_faults(pair)]
    return tuple(found)


def pair_faults(pair: Question) -> Iterator[tuple[str, str]]:
    """What is wrong with a question and its answer by themselves: kind and reason; blank ones have none."""
    if is_blank(pair.text):
        return
    if not pair.text.rstrip("\"'”’) ").endswith(("?", "？")):
        yield NOT_A_QUESTION, f"does not end in a question mark: {pair.text}"
    if _tells(pair):
        yield ANSWER_IN_QUESTION, f"{pair.text} – {pair.answer}"


def _tells(pair: Question) -> bool:
    """Whether the words of the answer stand in a row in its question, which offers no choice."""
    asked, answer = words(pair.text), words(pair.answer)
    if answer and answer[0] in _ARTICLES:
        answer = answer[1:]
    if not answer or "or" in asked or _YES_NO.issuperset(answer) or is_unanswerable(pair.answer):
        return False
    return contains(asked, answer)


def contains(text: Sequence[str], part: Sequence[str]) -> bool:
    """Whether the words of `part`, one at least, stand in a row in those of `text`."""
    length = len(part)
    return bool(part) and any(list(text[k : k + length]) == list(part) for k in range(len(text) - length + 1))


def queries(dataset: Dataset) -> tuple[Query, ...]:
    """What a language model is asked: a query a clip that has a caption and pairs.

    Raises:
        DataError: there is none.
    """
    found = tuple(
        Query(
            name=clip.video_id,
            source=clip.source,
            fields={"caption": clip.caption, "pairs": _numbered(clip)},
        )
        for clip in dataset.clips
        if has_caption(clip) and clip.questions
    )
    if not found:
        raise DataError("no clip has a caption and questions", item=dataset.name)
    return found


def has_caption(clip: Clip) -> bool:
    """Whether a clip has a caption that says something."""
    return clip.caption is not None and not is_blank(clip.caption)


def _numbered(clip: Clip) -> list[dict[str, object]]:
    return [
        {"number": k, "question": pair.text, "answer": pair.answer}
        for k, pair in enumerate(clip.questions, start=1)
    ]


def verdict_fault(dataset: Dataset) -> Callable[[str, Any], str | None]:
    """Why a verdict on a clip cannot be used though it fits the schema: it names a pair that there is not."""
    pairs = {clip.video_id: len(clip.questions) for clip in dataset.clips}

    def fault(clip: str, verdict: Any) -> str | None:
        wrong = [one["pair"] for one in verdict["findings"] if one["pair"] > pairs[clip]]
        return f"the verdict names pair {wrong[0]} of {pairs[clip]}" if wrong else None

    return fault


@dataclass(frozen=True)
class Judged:
    """What a language model found.

    Attributes:
        findings: in the order of the dataset.
        unread: why there is no verdict on a clip, by its id; such a clip is neither right nor wrong.
    """

    findings: tuple[TextFinding, ...]
    unread: Mapping[str, str]


def judged(dataset: Dataset, replies: Replies) -> Judged:
    """The findings in the answers to `queries`; a verdict that names a pair that there is not is not read."""
    unread = {name: failure.reason for name, failure in replies.failures.items()}
    found: list[TextFinding] = []
    fault = verdict_fault(dataset)
    for clip in dataset.clips:
        if clip.video_id not in replies.answers:
            continue
        if reason := fault(clip.video_id, replies.answers[clip.video_id]):
            unread[clip.video_id] = reason
            continue
        own = replies.answers[clip.video_id]["findings"]
        found += [
            TextFinding(
                item=f"{clip.video_id}#{one['pair']}" if one["pair"] else clip.video_id,
                kind=one["kind"].replace(" ", "-"),
                reason=one["reason"],
            )
            for one in own
        ]
    return Judged(tuple(found), unread)
