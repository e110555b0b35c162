"""What a judge is asked about answers in the words of each rubric, and what its verdicts count.

Short answers are rated against the reference on three levels (LAVE, arXiv 2310.02567). Captions are taken
apart into facts that are checked one by one (arXiv 2405.19092), or answer the questions of their clip.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from microg_bench.annotation.inquiry import Query
from microg_bench.annotation.rubrics import rubric_like
from microg_bench.errors import UsageError
from microg_bench.prompts import Rubric, find_rubric
from microg_bench.records import AnswerTask, Question
from microg_bench.tasks import is_unanswerable
from microg_bench.text import unknown

Counts = Mapping[str, tuple[float, float]]  # by score: what was counted, and of how many
POINTS = {"right": 1.0, "partly": 0.5, "wrong": 0.0}
RATED = "short-answer"  # the rubric that rates an answer to a question


@dataclass(frozen=True)
class JudgedAnswer:
    """An item that is judged: what a run answered to a request, its reference, and the questions of the clip.

    `answer` is None where the run has none.
    """

    id: str
    source: str
    question: str | None
    reference: str
    answer: str | None
    questions: tuple[Question, ...] = ()


class Scheme(ABC):
    """How answers to one task are judged by one rubric.

    Attributes:
        name: of the rubric.
        task: whose answers it judges.
        scores: what its verdicts are counted as, each of which is a `Ratio` of two sums.
        second: the rubric by which the answers to the first are judged in turn, if any.
    """

    name: ClassVar[str]
    task: ClassVar[AnswerTask]
    scores: ClassVar[tuple[str, ...]]
    lower_is_better: ClassVar[tuple[str, ...]] = ()
    second: ClassVar[str | None] = None

    @abstractmethod
    def queries(self, one: JudgedAnswer) -> Iterator[Query]:
        """What is asked about a candidate; its answer is taken as empty where there is none."""

    @abstractmethod
    def counts(self, verdict: Any) -> Counts:
        """What one verdict, which fits the schema of the last rubric, counts."""


class ShortAnswer(Scheme):
    """An answer to a question: right counts 1, partly right 0.5, wrong 0."""

    name = RATED
    task = "vqa"
    scores = ("rating",)

    def queries(self, one: JudgedAnswer) -> Iterator[Query]:
        """One: the rating of the answer."""
        yield rating(one.id, one.source, one.question or "", one.reference, one.answer or "")

    def counts(self, verdict: Any) -> Counts:
        """The points of the rating."""
        return {"rating": (POINTS[verdict["rating"]], 1.0)}


class CaptionFacts(Scheme):
    """A caption, fact by fact.

    Precision is the share of its facts that the reference supports, hallucination of those that it
    contradicts, recall the share of the facts of the reference that the caption has.
    """

    name = "caption-facts"
    task = "caption"
    scores = ("precision", "recall", "hallucination")
    lower_is_better = ("hallucination",)

    def queries(self, one: JudgedAnswer) -> Iterator[Query]:
        """One: the facts of both texts."""
        fields = {"reference": one.reference, "caption": one.answer or ""}
        yield Query(name=one.id, source=one.source, fields=fields)

    def counts(self, verdict: Any) -> Counts:
        """Supported and contradicted facts of the caption, and those of the reference that were found."""
        own = [fact["verdict"] for fact in verdict["caption_facts"]]
        found = [fact["found"] for fact in verdict["reference_facts"]]
        return {
            "precision": (float(own.count("supported")), float(len(own))),
            "recall": (float(found.count("yes")), float(len(found))),
            "hallucination": (float(own.count("contradicted")), float(len(own))),
        }


class CaptionQuestions(Scheme):
    """A caption by what it tells: the judge answers the questions of the clip from it, and rates the answers.

    Questions whose reference is "Not mentioned." are left out: an empty caption would answer them.
    """

    name = "caption-questions"
    task = "caption"
    scores = ("answered",)
    second = RATED

    def queries(self, one: JudgedAnswer) -> Iterator[Query]:
        """One for each question that the clip answers."""
        for name, question in asked(one):
            fields = {"question": question.text, "caption": one.answer or ""}
            yield Query(name=name, source=one.source, fields=fields)

    def counts(self, verdict: Any) -> Counts:
        """The points of the rating."""
        return {"answered": (POINTS[verdict["rating"]], 1.0)}


SCHEMES: dict[str, Scheme] = {one.name: one for one in (ShortAnswer(), CaptionFacts(), CaptionQuestions())}


def asked(one: JudgedAnswer) -> list[tuple[str, Question]]:
    """The questions of a candidate's clip that have an answer, each by its request id."""
    numbered = enumerate(one.questions, start=1)
    return [(f"{one.id}#{k}", question) for k, question in numbered if not is_unanswerable(question.answer)]


def rating(name: str, source: str, question: str, reference: str, answer: str) -> Query:
    """The query that rates an answer to a question."""
    fields = {"question": question, "reference": reference, "answer": answer}
    return Query(name=name, source=source, fields=fields)


def find_scheme(name: str) -> tuple[Scheme, Rubric]:
    """The scheme of a rubric, and the rubric: a shipped one, or a TOML file with other words.

    Raises:
        UsageError: no rubric of that name, or of a judge.
        DataError: the file is malformed, does not render, or has other fields or another schema.
    """
    found = find_rubric("judge", name)
    known = {f"judge-{one}": scheme for one, scheme in SCHEMES.items()}
    if found.id not in known:
        raise UsageError(f"is no rubric of a judge: {unknown('id', found.id, known)}", item=name)
    scheme = known[found.id]
    return scheme, rubric_like("judge", scheme.name, name)
