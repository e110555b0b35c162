"""Judges the answers of runs: asks a language model by a rubric, and counts what it says.

What the judge was asked and said is a run of texts in the folder of the run that it judges,
`RUN/judge/JUDGE-RUBRIC-HASH`; its journal, resumption, cache and limit of cost are those of any run.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from microg_bench.annotation.inquiry import Inquiry, Query, Replies, confirmed, expected
from microg_bench.annotation.judgement import (
    JUDGE_FOLDER,
    JUDGEMENT_FILE,
    JudgeCounts,
    JudgedItem,
    JudgeEntry,
    Judgement,
    scored,
    signature_of,
    text_hash,
)
from microg_bench.annotation.verdicts import Counts, JudgedAnswer, Scheme, asked, find_scheme, rating
from microg_bench.dataset.load import Dataset
from microg_bench.engines.base import Engine
from microg_bench.errors import UsageError
from microg_bench.options import Options
from microg_bench.privacy import outgoing
from microg_bench.progress import Progress
from microg_bench.prompts import Rubric, find_rubric
from microg_bench.records import Failure
from microg_bench.runs.budget import Estimate
from microg_bench.runs.configure import Configuration
from microg_bench.runs.record import RunRecord
from microg_bench.scoring.score import served_models
from microg_bench.settings import Settings
from microg_bench.storage import write_json
from microg_bench.tasks import is_unanswerable

# The judge where none is named: an open checkpoint, pinned, that rates without thinking first.
DEFAULT_JUDGE = {
    "model": "vllm:Qwen/Qwen3.5-9B",
    "revision": "c202236235762e1c871ad0ccb60c8ee5ba337b9a",
    "thinking": "off",
}
SECOND_FOLDER = "ratings"  # of the verdicts on answers that the judge itself gave
_UNREAD = ("parse", "thinking")
_UNMOVED = ("task", "title", "dataset", "fingerprint", "clips", "requests")  # settings that move no verdict
_SIGNED = ("adapter_sha256", "model", "checkpoint", "checkpoint_sha256", "revision", "prompt")
# The vendors of engines, as the hub calls them.
_VENDORS = {"anthropic": "anthropic", "openai": "openai", "gemini": "google"}


@dataclass(frozen=True, repr=False)
class JudgedRun:
    """What judging a run gives: its judgement, the folder of the judge, and what the judge was asked.

    `judgement` is None while requests are pending in a batch.
    """

    run: RunRecord
    folder: Path
    judgement: Judgement | None
    replies: tuple[Replies, ...]

    def __repr__(self) -> str:
        return f"JudgedRun({str(self.folder)!r})"


@dataclass(frozen=True)
class Judge:
    """A language model that judges the answers of one run by a rubric.

    Args:
        run: the run whose answers are judged.
        dataset: its references.
        scheme: how they are judged.
        rubric: in which words.
        options: the judge, as `Inquiry` takes it.
    """

    run: RunRecord
    dataset: Dataset
    scheme: Scheme
    rubric: Rubric
    options: Options

    @classmethod
    def of(
        cls, run: RunRecord, options: Options, rubric: str, data: str | Path | Dataset | None = None
    ) -> Judge:
        """The judge of a run.

        Args:
            run: the run.
            options: the judge.
            rubric: its name, or a TOML file.
            data: where the dataset is now; None takes the place that the run was started with.

        Raises:
            UsageError: no such rubric, or it is for another task.
            DataError: the rubric is malformed; or the dataset cannot be read, or has other references.
        """
        scheme, found = find_scheme(rubric)
        if run.settings.task != scheme.task:
            reason = f"holds a run of {run.settings.task}: {rubric} is for {scheme.task}"
            raise UsageError(reason, path=run.path, item="--rubric")
        return cls(run, run.dataset(data), scheme, found, options)

    @cached_property
    def candidates(self) -> tuple[JudgedAnswer, ...]:
        """All items of the run, in dataset order."""
        questions = {clip.video_id: clip.questions for clip in self.dataset.clips}
        answers = self.run.answers
        return tuple(
            JudgedAnswer(
                id=item.request.id,
                source=item.request.source,
                question=item.request.question,
                reference=item.reference,
                answer=answers[item.request.id].answer if item.request.id in answers else None,
                questions=questions[item.request.video_id],
            )
            for item in self.run.items(self.dataset)
        )

    @cached_property
    def queries(self) -> tuple[Query, ...]:
        """What is asked first.

        Raises:
            UsageError: the run has no answer that could be judged.
        """
        found = tuple(
            query for one in self.candidates if one.answer is not None for query in self.scheme.queries(one)
        )
        if not found:
            raise UsageError(f"has no answer that {self.scheme.name} can judge", item=str(self.run.path))
        return found

    @cached_property
    def inquiry(self) -> Inquiry:
        """How it is asked."""
        return Inquiry(self.rubric, self.options, self.dataset)

    @cached_property
    def second(self) -> Inquiry | None:
        """How the answers that the judge gave are judged in turn."""
        if self.scheme.second is None:
            return None
        return Inquiry(find_rubric("judge", self.scheme.second), self.options, self.dataset)

    @property
    def inquiries(self) -> tuple[Inquiry, ...]:
        """All that the judge is asked, in order."""
        return (self.inquiry, self.second) if self.second else (self.inquiry,)

    @cached_property
    def folder(self) -> Path:
        """`RUN/judge/JUDGE-RUBRIC-HASH`: other settings of the judge or other words lead to another one."""
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", outgoing(self.inquiry.model.adapter.name))[:80]
        return self.run.path / JUDGE_FOLDER / f"{name}-{self.scheme.name}-{self._settings_hash()}"

    def _settings_hash(self, *left_out: str) -> str:
        """The first 6 hex digits of a hash of the settings that move a verdict, some `left_out`."""
        settings = [one.model.settings("text") for one in self.inquiries]
        moved_by = [one.model_dump(mode="json", exclude={*_UNMOVED, *left_out}) for one in settings]
        return hashlib.sha256(json.dumps(moved_by, sort_keys=True).encode()).hexdigest()[:6]

    def estimates(self) -> list[Estimate]:
        """What judging takes at most, for each inquiry; dollars are 0 where no price is known."""
        first, *then = (expected(one) for one, _ in self.steps())
        return [first, *(replace(one, prompt_tokens=one.prompt_tokens + first.output_tokens) for one in then)]

    def steps(self) -> Iterator[tuple[Configuration, Path]]:
        """What is asked at most, with its folder; then the rating of the answers that the judge gives."""
        yield self.inquiry.configured(self.queries, weights=False), self.folder
        if self.second:
            ratings = self._ratings({query.name: "" for query in self.queries})
            yield self.second.configured(ratings, weights=False), self.folder / SECOND_FOLDER

    async def judge(self, progress: Progress, yes: bool, engine: Engine) -> JudgedRun:
        """Ask what has no verdict yet, and write the judgement; other judges may share the `engine`.

        Raises:
            UsageError, EngineError, RunError, DataError: as `Inquiry.ask`.
        """
        first = await self.inquiry.ask(self.queries, self.folder, progress, yes, engine=engine)
        if self.second is None or first.outcomes.pending:
            return self._judged((first,), {} if first.outcomes.pending else first.answers)
        told = {name: one["answer"] for name, one in first.answers.items()}
        verdicts = {name: {"rating": "wrong"} for name, text in told.items() if is_unanswerable(text)}
        queries = [query for query in self._ratings(told) if query.name not in verdicts]
        if not queries:
            return self._judged((first,), verdicts)
        second = await self.second.ask(queries, self.folder / SECOND_FOLDER, progress, yes, engine=engine)
        return self._judged((first, second), {**verdicts, **second.answers})

    def _ratings(self, told: Mapping[str, str]) -> Iterator[Query]:
        """What is asked about the answers that the judge gave, by the names of their questions."""
        for one in self.candidates:
            for name, question in asked(one):
                if name in told:
                    yield rating(name, one.source, question.text, question.answer, told[name])

    def _judged(self, replies: tuple[Replies, ...], verdicts: Mapping[str, Any]) -> JudgedRun:
        if any(one.outcomes.pending for one in replies):
            return JudgedRun(self.run, self.folder, None, replies)
        failures = {name: failure for one in replies for name, failure in one.failures.items()}
        found = self._judgement(replies, verdicts, failures)
        write_json(self.folder / JUDGEMENT_FILE, found.model_dump(mode="json", by_alias=True))
        return JudgedRun(self.run, self.folder, found, replies)

    def _judgement(
        self, replies: Sequence[Replies], verdicts: Mapping[str, Any], failures: Mapping[str, Failure]
    ) -> Judgement:
        items = tuple(self._items(verdicts))
        unreadable = sum(one.stage in _UNREAD for one in failures.values())
        everything = sum(len(list(self.scheme.queries(one))) for one in self.candidates)
        counts = JudgeCounts(
            judged=len(verdicts),
            unreadable=unreadable,
            failed=len(failures) - unreadable,
            not_asked=everything - len(verdicts) - len(failures),
        )
        scores, made = scored(items, self.scheme.scores)
        settings, judge = replies[0].record.settings, judge_entry(replies)
        rubrics = [one.rubric.identity for one in self.inquiries]
        return Judgement(
            task=self.scheme.task,
            rubric=self.scheme.name,
            judge=judge,
            dataset=self.dataset.name,
            fingerprint=self.dataset.fingerprint,
            counts=counts,
            scores=scores,
            interval=made,
            signature=signature_of(
                self.scheme.name, judge, rubrics, self._settings_hash(*_SIGNED), len(items), unreadable
            ),
            flags=tuple(kinship(self.run.settings, settings)),
            items=items,
        )

    def _items(self, verdicts: Mapping[str, Any]) -> Iterator[JudgedItem]:
        """The items whose verdicts can all be read; what several verdicts on one item count is added up."""
        for one in self.candidates:
            names = [query.name for query in self.scheme.queries(one)]
            own = [self.scheme.counts(verdicts[name]) for name in names if name in verdicts]
            # What is left of an item would not be what is left of it in another run.
            if names and len(own) == len(names) and one.answer is not None:
                total = {name: _total(own, name) for name in self.scheme.scores}
                yield JudgedItem(id=one.id, source=one.source, answer=text_hash(one.answer), counts=total)


async def judge_all(judges: Sequence[Judge], progress: Progress, yes: bool = False) -> list[JudgedRun]:
    """Have runs judged, one at least; the judges are one model, which is loaded once.

    Raises:
        UsageError, EngineError, RunError, DataError: as `Inquiry.ask`.
    """
    first = judges[0].inquiry
    yes = confirmed(first, (step for one in judges for step in one.steps()), progress, yes)
    with closing(first.model.new_engine()) as engine:
        return [await one.judge(progress, yes, engine) for one in judges]


def _total(counts: Sequence[Counts], score: str) -> tuple[float, float]:
    part, whole = (sum(one[score][place] for one in counts) for place in (0, 1))
    return part, whole


def judge_entry(replies: Sequence[Replies]) -> JudgeEntry:
    """Who judged, as its runs tell."""
    first = replies[0].record
    settings = first.settings
    said = [answer for one in replies for answer in one.record.answers.values()]
    digest = settings.checkpoint_sha256
    return JudgeEntry(
        model=settings.model,
        title=settings.title,
        engine=settings.engine,
        checkpoint=settings.checkpoint,
        commit=digest[:12] if digest else first.engine.get("commit") or settings.revision,
        served=served_models(settings, said),
    )


def kinship(candidate: Settings, judge: Settings) -> Iterator[str]:
    """What makes a judge partial to a candidate, a line each: the same checkpoint, else the same vendor."""
    ours, theirs = _checkpoint(candidate), _checkpoint(judge)
    if ours is not None and ours == theirs:
        yield f"the judge is the candidate's own checkpoint, {judge.checkpoint}"
    elif (vendor := _vendor(judge)) is not None and vendor == _vendor(candidate):
        yield f"judge and candidate are of one vendor, {vendor}"


def _checkpoint(settings: Settings) -> str | None:
    """What two settings of the same weights share: the hash of a folder, else the last part of the name."""
    name = settings.checkpoint_sha256 or settings.checkpoint
    return name.rstrip("/").rpartition("/")[2].lower() if name else None


def _vendor(settings: Settings) -> str | None:
    """Who made the model, as far as its engine or the name of its checkpoint tells."""
    if settings.engine in _VENDORS:
        return _VENDORS[settings.engine]
    owner, slash, _ = (settings.checkpoint or "").partition("/")
    local = settings.checkpoint_sha256 or not re.fullmatch(r"[\w-][\w.-]*", owner)
    return owner.lower() if slash and not local else None
