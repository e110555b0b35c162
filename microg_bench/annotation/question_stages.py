"""Makes questions of a dataset's captions: five inquiries, each a run, and what their answers lead to."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from microg_bench.annotation.consistency import has_caption
from microg_bench.annotation.inquiry import Inquiry, Query, Replies, confirmed
from microg_bench.annotation.questions import (
    PER_CLIP,
    SPARE,
    UNANSWERABLE_SHARE,
    AnswerComparison,
    Candidate,
    Ratings,
    answered_again,
    candidate_count,
    compared,
    proposed,
    proposed_unanswerable,
    rated,
    selected,
    unanswerable_counts,
)
from microg_bench.annotation.rubrics import STAGES, StageRubrics
from microg_bench.dataset.annotations import source_of
from microg_bench.dataset.load import ANNOTATION_NAMES, Dataset
from microg_bench.engines.base import Engine
from microg_bench.errors import DataError, RunError, UsageError
from microg_bench.options import Options
from microg_bench.progress import Progress
from microg_bench.records import Clip, Record
from microg_bench.runs.configure import Configuration
from microg_bench.storage import write_json, write_text
from microg_bench.text import many

FACTS_FILE = "questions.json"
CANDIDATES_FILE = "candidates.jsonl"
PAIRS_FILE = ANNOTATION_NAMES[0]
ASKED_FOLDER = "asked"
MOST_PER_CLIP = 20
USUAL_QUESTION, USUAL_ANSWER = 12, 8  # words


class QuestionFacts(Record):
    """How a set of questions was made; the content of `questions.json`.

    `reviewed` is false: no person has looked at the pairs. `short` are clips with fewer pairs than
    wanted, with the number that they have; `failed` those without candidates, with the reason.
    """

    schema_: Literal[1] = Field(default=1, alias="schema")
    data: str
    fingerprint: str
    model: str
    rubrics: dict[str, str]
    per_clip: int
    unanswerable_share: float
    clips: int
    without_caption: int
    candidates: int
    failures: int
    pairs: int
    unanswerable: int
    short: dict[str, int]
    failed: dict[str, str]
    reviewed: bool = False


@dataclass(frozen=True, repr=False)
class Made:
    """A set of questions, or as much as could be asked.

    Attributes:
        replies: those of each stage that was asked, in order.
        facts: None where a stage is not done: the limit of cost was reached, or a batch is pending.
    """

    replies: Mapping[str, Replies]
    facts: QuestionFacts | None

    def __repr__(self) -> str:
        return f"Made({many(self.facts.pairs, 'pair') if self.facts else 'unfinished'})"


class _UnfinishedError(Exception):
    """A stage has queries that were not asked."""


@dataclass
class QuestionMaker:
    """Makes questions of the captions of a dataset.

    Args:
        dataset: its captions are read, its questions are not.
        options: the model, with a limit of cost over all stages.
        folder: what is asked and made; the same call continues it.
        rubrics: what is asked in each stage.
        per_clip: how many pairs a clip is to have.
        share: of unanswerable pairs, over all clips; 0 to 1.

    Raises:
        DataError: no clip has a caption.
        UsageError: a number of pairs or a share that cannot be.
    """

    dataset: Dataset
    options: Options
    folder: Path
    rubrics: StageRubrics
    per_clip: int = PER_CLIP
    share: float = UNANSWERABLE_SHARE
    _replies: dict[str, Replies] = field(default_factory=dict, init=False)
    _engine: Engine | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.per_clip, int) or not 1 <= self.per_clip <= MOST_PER_CLIP:
            raise UsageError(f"give a whole number from 1 to {MOST_PER_CLIP}", item="--per-clip")
        if not isinstance(self.share, (int, float)) or not 0 <= self.share <= 1:
            raise UsageError("give a share from 0 to 1", item="--unanswerable")
        self.clips = {clip.video_id: clip for clip in self.dataset.clips if has_caption(clip)}
        if not self.clips:
            raise DataError("no clip has a caption", item=self.dataset.name)
        counts = unanswerable_counts(len(self.clips), self.per_clip, self.share)
        self.unanswerable = dict(zip(self.clips, counts, strict=True))

    async def make(self, progress: Progress, yes: bool = False) -> Made:
        """Ask what has no answer yet, and write the files of `folder`.

        Raises:
            RunError: `folder` holds annotations that were not made here; or as `Inquiry.ask`.
            UsageError, EngineError: as `Inquiry.ask`.
        """
        if (self.folder / PAIRS_FILE).exists() and not (self.folder / FACTS_FILE).exists():
            reason = f"holds a {PAIRS_FILE} that was not made here: give another folder"
            raise RunError(reason, path=self.folder)
        self._replies.clear()
        first = self._inquiry("candidates")
        steps = ((one, self.folder / ASKED_FOLDER / stage) for stage, one in self.expected())
        yes = confirmed(first, steps, progress, yes)
        try:
            with closing(first.model.new_engine()) as self._engine:
                found = await self._propose(progress, yes)
                for stage in ("ratings", "answers", "comparisons"):
                    found = await self._judge(stage, found, progress, yes)
        except _UnfinishedError:
            return Made(self._replies, None)
        chosen = self._select(found)
        facts = self._facts(chosen)
        self._write(chosen, facts)
        return Made(self._replies, facts)

    def expected(self) -> Iterator[tuple[str, Configuration]]:
        """Each stage with what it would ask at most; of later stages, with texts of a usual length."""
        clips = self.clips.values()
        usual = [one for clip in clips for one in _usual(clip, self._count("candidates", clip))]
        asked = {stage: self._queries(stage) for stage in ("candidates", "unanswerable")}
        asked |= {stage: self._queries_of(stage, usual) for stage in ("ratings", "answers", "comparisons")}
        for stage, queries in asked.items():
            if queries:
                yield stage, self._inquiry(stage).configured(queries, weights=False)

    def _inquiry(self, stage: str) -> Inquiry:
        """What is asked in a stage, with what is left of the limit of cost."""
        options = self.options
        if options.max_cost is not None:
            spent = sum(one.dollars or 0.0 for one in self._replies.values())
            options = options.model_copy(update={"max_cost": max(options.max_cost - spent, 0.0)})
        return Inquiry(getattr(self.rubrics, stage), options, self.dataset)

    async def _ask(self, stage: str, queries: Sequence[Query], progress: Progress, yes: bool) -> None:
        """Ask a stage, if it has something to ask."""
        if not queries:
            return
        inquiry = self._inquiry(stage)
        progress.note(f"{stage}: {many(len(queries), 'request')} to {inquiry.model.title}")
        folder = self.folder / ASKED_FOLDER / stage
        self._replies[stage] = await inquiry.ask(queries, folder, progress, yes, engine=self._engine)

    def _check_asked(self) -> None:
        """Go on only where each query that there was has an answer or has failed.

        Raises:
            _UnfinishedError: some were not asked.
        """
        if not all(one.is_whole for one in self._replies.values()):
            raise _UnfinishedError

    def _said(self, stage: str) -> Mapping[str, Any]:
        """The answers of a stage by the names of its queries."""
        return self._replies[stage].answers if stage in self._replies else {}

    def _queries(self, stage: str) -> list[Query]:
        """What a stage asks of clips: a query for each that is to have candidates."""
        return [
            Query(name=clip, source=one.source, fields={"caption": _caption(one), "count": count})
            for clip, one in self.clips.items()
            if (count := self._count(stage, one))
        ]

    def _count(self, stage: str, clip: Clip) -> int:
        """How many candidates a clip is to have."""
        if stage == "unanswerable":
            return SPARE * self.unanswerable[clip.video_id]
        return candidate_count(_caption(clip), self.per_clip)

    async def _propose(self, progress: Progress, yes: bool) -> list[Candidate]:
        for stage in ("candidates", "unanswerable"):
            await self._ask(stage, self._queries(stage), progress, yes)
        self._check_asked()
        found: list[Candidate] = []
        for stage, take in (("candidates", proposed), ("unanswerable", proposed_unanswerable)):
            for clip, said in self._said(stage).items():
                own = self.clips[clip]
                found += take(clip, _caption(own), said["candidates"], self._count(stage, own))
        return found

    async def _judge(
        self, stage: str, found: Sequence[Candidate], progress: Progress, yes: bool
    ) -> list[Candidate]:
        """The candidates after a stage that asks about each that is open."""
        await self._ask(stage, self._queries_of(stage, found), progress, yes)
        self._check_asked()
        failures = self._replies[stage].failures if stage in self._replies else {}
        said = self._said(stage)
        return [
            _taken(stage, one, said[one.id])
            if one.id in said
            else one.ended("failed", f"{stage}: {failures[one.id].reason}")
            if one.id in failures
            else one
            for one in found
        ]

    def _queries_of(self, stage: str, found: Iterable[Candidate]) -> list[Query]:
        """What a stage asks of candidates: a query for each that is open and not judged by a rule."""
        clips = self.clips
        return [
            Query(name=one.id, source=clips[one.video_id].source, fields=fields)
            for one in found
            if one.outcome == "open" and (fields := _fields(stage, one, _caption(clips[one.video_id])))
        ]

    def _select(self, found: Sequence[Candidate]) -> list[Candidate]:
        own: dict[str, list[Candidate]] = {clip: [] for clip in self.clips}
        for one in found:
            own[one.video_id].append(one)
        return [
            one
            for clip, candidates in own.items()
            for one in selected(candidates, self.per_clip, self.unanswerable[clip])
        ]

    def _facts(self, candidates: Sequence[Candidate]) -> QuestionFacts:
        chosen = [one for one in candidates if one.outcome == "chosen"]
        counts = Counter(one.video_id for one in chosen)
        asked = self._replies["candidates"]
        return QuestionFacts(
            data=self.dataset.name,
            fingerprint=self.dataset.fingerprint,
            model=asked.record.settings.title,
            rubrics={stage: str(getattr(self.rubrics, stage).identity) for stage in STAGES},
            per_clip=self.per_clip,
            unanswerable_share=self.share,
            clips=len(self.clips),
            without_caption=len(self.dataset.clips) - len(self.clips),
            candidates=len(candidates),
            failures=sum(len(one.failures) for one in self._replies.values()),
            pairs=len(chosen),
            unanswerable=sum(one.unanswerable for one in chosen),
            short={clip: counts[clip] for clip in self.clips if counts[clip] < self.per_clip},
            failed={clip: one.reason for clip, one in asked.failures.items()},
        )

    def _write(self, candidates: Sequence[Candidate], facts: QuestionFacts) -> None:
        """Write all files; the pairs last, so that none are there without the facts of how they were made."""
        lines = [json.dumps(one.model_dump(mode="json"), ensure_ascii=False) for one in candidates]
        write_text(self.folder / CANDIDATES_FILE, "".join(f"{line}\n" for line in lines))
        write_json(self.folder / FACTS_FILE, facts.model_dump(mode="json", by_alias=True))
        pairs: dict[str, list[Candidate]] = {clip: [] for clip in self.clips}
        for one in candidates:
            if one.outcome == "chosen":
                pairs[one.video_id].append(one)
        records = [
            annotation_record(
                self.clips[clip],
                [(one.question, one.answer) for one in sorted(own, key=lambda one: one.place or 0)],
            )
            for clip, own in pairs.items()
        ]
        write_json(self.folder / PAIRS_FILE, records)


def annotation_record(clip: Clip, pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """A clip with questions and answers as a record of the published layout."""
    source = {} if clip.source == source_of(clip.video_id) else {"source": clip.source}
    asked = [{"Q": question, "A": answer} for question, answer in pairs]
    return {"video_id": clip.video_id, **source, "caption": clip.caption, "qa_pairs": asked}


def _caption(clip: Clip) -> str:
    return clip.caption or ""


def _fields(stage: str, one: Candidate, caption: str) -> dict[str, Any] | None:
    """What a stage is told of a candidate; None where a rule has decided already."""
    asked = {"caption": caption, "question": one.question}
    match stage:
        case "ratings":
            return {**asked, "answer": one.answer}
        case "answers":
            return asked
        case _:
            if one.comparison or one.second_answer is None:
                return None
            return {"question": one.question, "reference": one.answer, "answer": one.second_answer}


def _taken(stage: str, one: Candidate, said: Mapping[str, Any]) -> Candidate:
    """The candidate with what a stage said of it."""
    match stage:
        case "ratings":
            return rated(one, Ratings.model_validate(said))
        case "answers":
            return answered_again(one, said["answer"])
        case _:
            same = said["rating"] == "right"
            return compared(one, AnswerComparison(by="model", same=same, reason=said["reason"]))


def _usual(clip: Clip, count: int) -> Iterator[Candidate]:
    """Candidates of a clip with texts of a usual length, to estimate what they cost."""
    told = _caption(clip).split()
    question, answer = " ".join(told[:USUAL_QUESTION]), " ".join(told[:USUAL_ANSWER])
    for number in range(1, count + 1):
        yield Candidate(
            id=f"{clip.video_id}#c{number}",
            video_id=clip.video_id,
            question=question,
            answer=answer,
            form="what",
            scope="broad",
            span=answer,
            second_answer=answer,
        )
