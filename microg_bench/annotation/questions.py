"""Questions made from captions: how many, which are kept, in which order. Nothing here asks a model.

The procedure is that of the paper's annotation: over-generate, rank by four criteria, verify, and choose
diverse pairs from broad context to detailed action. Where the paper gives no number, ours is stated here.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

from microg_bench.annotation.consistency import contains, pair_faults
from microg_bench.dataset.near_duplicates import words
from microg_bench.dataset.text_faults import is_blank, same_words
from microg_bench.records import Question, Record
from microg_bench.tasks import is_unanswerable
from microg_bench.text import one_line

PER_CLIP = 6
UNANSWERABLE_SHARE = 0.1
NOT_MENTIONED = "Not mentioned."
WORDS, FACTS = 80, 10  # of a caption that gets as many candidates twice as pairs are wanted
MOST_CANDIDATES = 4  # for each pair that is wanted
SPARE = 3  # unanswerable candidates for each that is wanted
LEAST_RATING = 3  # of each criterion
MOST_ALIKE = 0.5  # Jaccard similarity of the words of two chosen pairs
CRITERIA = ("logical_consistency", "fluency", "relevance", "information_value")
_FACT_ENDS = re.compile(r"[.;:,!?]+|\b(?:and|while|with|as)\b", re.IGNORECASE)
_FACT_WORDS = 3  # the fewest of a fact

Outcome = Literal["open", "chosen", "not chosen", "rejected", "failed"]


class Ratings(Record):
    """The four criteria of the paper, each from 1 to 5, and the reason."""

    reason: str
    logical_consistency: int
    fluency: int
    relevance: int
    information_value: int

    @property
    def total(self) -> int:
        """Their sum, from 4 to 20."""
        return sum(getattr(self, name) for name in CRITERIA)


class AnswerComparison(Record):
    """Whether a second answer, given from the caption alone, says the same as the first.

    `by` tells what decided: equal words, the rule for "Not mentioned.", or the model.
    """

    by: Literal["words", "rule", "model"]
    same: bool
    reason: str = ""


class Candidate(Record):
    """A question with its answer, and all that was said of it.

    `id` is `video_id#c3`, or `video_id#u3` where the caption does not answer it; `span` are the words of
    the caption that give the answer, None where there are none. `outcome` is "open" until all is decided,
    and `reason` tells why. `place` is that among the pairs of the clip, from 1.
    """

    id: str
    video_id: str
    question: str
    answer: str
    form: str
    scope: Literal["broad", "detailed"]
    span: str | None = None
    ratings: Ratings | None = None
    second_answer: str | None = None
    comparison: AnswerComparison | None = None
    outcome: Outcome = "open"
    reason: str = ""
    place: int | None = None

    @property
    def unanswerable(self) -> bool:
        """Whether its answer is that the caption does not tell."""
        return self.span is None

    def ended(self, outcome: Outcome, reason: str) -> "Candidate":
        """The candidate with its outcome."""
        return self.model_copy(update={"outcome": outcome, "reason": reason})


def facts(caption: str) -> int:
    """How many facts a caption has, about: parts of three words or more between marks and conjunctions."""
    return sum(len(words(part)) >= _FACT_WORDS for part in _FACT_ENDS.split(caption))


def candidate_count(caption: str, per_clip: int = PER_CLIP) -> int:
    """How many candidates to ask for: `per_clip · (words / 80 + facts / 10)`, rounded up.

    At least `per_clip`, and at most four times as many.
    """
    share = len(words(caption)) / WORDS + facts(caption) / FACTS
    return max(per_clip, min(MOST_CANDIDATES * per_clip, math.ceil(per_clip * share)))


def unanswerable_counts(clips: int, per_clip: int, share: float) -> list[int]:
    """How many unanswerable pairs each clip gets, spread evenly, so that they are `share` of all."""
    ends = [math.floor(share * per_clip * k + 0.5) for k in range(clips + 1)]
    return [after - before for before, after in pairwise(ends)]


def proposed(video_id: str, caption: str, said: Sequence[Mapping[str, Any]], asked: int) -> list[Candidate]:
    """The answerable candidates that a model proposed for a clip, those with a fault rejected."""
    found = [
        Candidate(
            id=f"{video_id}#c{number}",
            video_id=video_id,
            question=one_line(one["question"]),
            answer=one_line(one["answer"]),
            span=one_line(one["span"]),
            form=one["form"],
            scope=one["scope"],
        )
        for number, one in enumerate(said, start=1)
    ]
    return _checked(found, caption, asked)


def proposed_unanswerable(
    video_id: str, caption: str, said: Sequence[Mapping[str, Any]], asked: int
) -> list[Candidate]:
    """The unanswerable candidates that a model proposed for a clip, those with a fault rejected."""
    found = [
        Candidate(
            id=f"{video_id}#u{number}",
            video_id=video_id,
            question=one_line(one["question"]),
            answer=NOT_MENTIONED,
            form=one["form"],
            scope=one["scope"],
        )
        for number, one in enumerate(said, start=1)
    ]
    return _checked(found, caption, asked)


def _checked(found: Sequence[Candidate], caption: str, asked: int) -> list[Candidate]:
    seen: set[str] = set()
    checked = []
    for number, one in enumerate(found, start=1):
        why = next(_faults(one, caption), "")
        if number > asked:
            why = f"more than the {asked} that were asked for"
        if not why and same_words(one.question) in seen:
            why = "asks the same as one before"
        if not why:
            seen.add(same_words(one.question))
        checked.append(one.ended("rejected", why) if why else one)
    return checked


def _faults(one: Candidate, caption: str) -> Iterator[str]:
    """What code finds wrong with a candidate."""
    if is_blank(one.question) or is_blank(one.answer):
        yield "question or answer is blank"
    yield from (kind for kind, _ in pair_faults(Question(text=one.question, answer=one.answer)))
    if one.span is None:
        return
    if is_unanswerable(one.answer):
        yield "the answer is missing"
    if not contains(words(caption), words(one.span)):
        yield "the span does not occur in the caption"


def rated(one: Candidate, ratings: Ratings) -> Candidate:
    """The candidate with its ratings; rejected where one of them is below 3."""
    found = one.model_copy(update={"ratings": ratings})
    low = [name for name in CRITERIA if getattr(ratings, name) < LEAST_RATING]
    return found.ended("rejected", f"{low[0].replace('_', ' ')} is below {LEAST_RATING}") if low else found


def answered_again(one: Candidate, answer: str) -> Candidate:
    """The candidate with an answer that was given without the first one, compared as far as rules go.

    Where words differ, there is no comparison yet: a model decides.
    """
    found = one.model_copy(update={"second_answer": one_line(answer)})
    silent = is_unanswerable(answer)
    if one.unanswerable:
        told = "" if silent else "the caption answers it"
        return compared(found, AnswerComparison(by="rule", same=silent, reason=told))
    if silent:
        return compared(
            found, AnswerComparison(by="rule", same=False, reason="the caption does not answer it")
        )
    if same_words(one.answer) == same_words(answer):
        return compared(found, AnswerComparison(by="words", same=True))
    return found


def compared(one: Candidate, comparison: AnswerComparison) -> Candidate:
    """The candidate with the comparison of its answers; rejected where they differ."""
    found = one.model_copy(update={"comparison": comparison})
    if comparison.same:
        return found
    return found.ended("rejected", f"the second answer differs: {comparison.reason}")


def selected(candidates: Sequence[Candidate], count: int, unanswerable: int) -> list[Candidate]:
    """The candidates of a clip: of those that are open, `count` are chosen and put in order.

    Unanswerable ones are chosen first, at most `unanswerable`. Better ones come before others. No two that
    are chosen are more alike than `MOST_ALIKE`. Neither scope has more than two thirds, as long as there are
    others.
    """
    ranked = sorted((one for one in candidates if one.outcome == "open"), key=_rank(candidates))
    most = count - count // 3
    picked: list[Candidate] = []
    for one in ranked:
        if one.unanswerable and len(picked) < unanswerable and not _alike(one, picked):
            picked.append(one)
    for limit in (most, count):
        for one in ranked:
            full = len(picked) == count or sum(other.scope == one.scope for other in picked) >= limit
            if not (one.unanswerable or full or one in picked or _alike(one, picked)):
                picked.append(one)
    places = {one.id: place for place, one in enumerate(_ordered(picked, candidates), start=1)}
    return [
        one
        if one.outcome != "open"
        else one.ended("chosen", "").model_copy(update={"place": places[one.id]})
        if one.id in places
        else one.ended("not chosen", _alike(one, picked) or "others are better")
        for one in candidates
    ]


def _rank(candidates: Sequence[Candidate]) -> Any:
    """The key of a candidate: sum of its ratings, then logical consistency, then as they were proposed."""
    place = {one.id: number for number, one in enumerate(candidates)}

    def key(one: Candidate) -> tuple[int, int, int]:
        total = one.ratings.total if one.ratings else 0
        return -total, -(one.ratings.logical_consistency if one.ratings else 0), place[one.id]

    return key


def _ordered(picked: Sequence[Candidate], candidates: Sequence[Candidate]) -> list[Candidate]:
    """From broad to detailed; of each, unanswerable ones last, and else as they were proposed."""
    place = {one.id: number for number, one in enumerate(candidates)}
    return sorted(picked, key=lambda one: (one.scope == "detailed", one.unanswerable, place[one.id]))


def likeness(one: Candidate, other: Candidate) -> float:
    """Jaccard similarity of the words of two pairs, "Not mentioned." apart; 0 to 1."""
    mine, its = _words(one), _words(other)
    return len(mine & its) / len(mine | its) if mine | its else 0.0


def _words(one: Candidate) -> set[str]:
    return set(words(one.question if one.unanswerable else f"{one.question} {one.answer}"))


def _alike(one: Candidate, picked: Sequence[Candidate]) -> str:
    """What of those that are picked a candidate is too much like; empty where of none."""
    for other in picked:
        if (alike := likeness(one, other)) > MOST_ALIKE:
            return f"is like {other.id} ({alike:.2f})"
    return ""
