"""How answers follow from the words of a question: the same questions in other words, and what changes.

Each question is asked as published and in as many paraphrases as any other, a run a wording. What the scores
of wordings vary by is told as for repeats: by the words (within the questions) apart from by the source
videos (between clips), both in the interval of the mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Literal

import numpy as np
from pydantic import Field

from microg_bench.errors import DataError
from microg_bench.metrics import METRICS
from microg_bench.metrics.base import Array, Metric
from microg_bench.records import Record
from microg_bench.runs.record import RunRecord
from microg_bench.scoring.coverage import lacking, sampling
from microg_bench.scoring.intervals import Clusters, paired
from microg_bench.scoring.repeats import TaskRepeats, common_statistics, task_repeats
from microg_bench.tasks import question_id

TASK: Literal["vqa"] = "vqa"


class QuestionWordings(Record):
    """One question in all wordings, the published one first: texts, answers and their scores ×100 by metric.

    An answer is None where there is none, `id` that of the published question. `scores` are there where all
    wordings were scored over the same questions.
    """

    id: str
    texts: tuple[str, ...]
    answers: tuple[str | None, ...]
    scores: dict[str, tuple[float, ...]]


class WordingEffect(Record):
    """What other words do to a score ×100.

    `spread` is the standard deviation of the score of one question over its wordings: the root of the mean of
    their sample variances. `difference` is the score in other words, of all paraphrases together, less that
    of the questions as published, with the bounds of its 95% `interval` and the p-value of no difference,
    over source videos; None with fewer than two of them.
    """

    spread: float
    difference: float
    interval: tuple[float, float] | None
    p: float | None


class ParaphrasesReport(Record):
    """The content of paraphrases.json.

    `paraphrases` is how many each question has. Of `compared` answers to them, to whose question as published
    there is an answer too, `other` is the share, from 0 to 1, that is another text than that answer; None
    where there are none. `wordings` tells how all agree: its repeats are the wordings. `effects` are by
    metric. `warnings` say that the model sampled, or why no score is compared and what to do.
    """

    schema_: Literal["microg-bench/paraphrases/1"] = Field(
        default="microg-bench/paraphrases/1", alias="schema"
    )
    title: str
    dataset: str
    fingerprint: str
    paraphrases: int
    warnings: tuple[str, ...]
    compared: int
    other: float | None
    wordings: TaskRepeats
    effects: dict[str, WordingEffect]
    questions: tuple[QuestionWordings, ...]


def paraphrases_report(runs: Sequence[RunRecord], published: dict[str, str]) -> ParaphrasesReport:
    """What the same questions in other words come to.

    Args:
        runs: that of the questions as published, and that of each paraphrase of all.
        published: the text of each question, by the id of its request.

    Raises:
        DataError: two differ in more than their questions.
        RunError: a run is damaged.
    """
    first, *others = runs
    for run in others:
        own = {name: getattr(first.settings, name) for name in ("requests", "paraphrases")}
        if difference := first.settings.difference(run.settings.model_copy(update=own)):
            raise DataError(f"asks not only in other words: {difference}", path=run.path)
    questions = _questions(runs, published)
    pairs = [(one.answers[0], other) for one in questions for other in one.answers[1:]]
    both = [(own, other) for own, other in pairs if own is not None and other is not None]
    wordings = task_repeats(runs, TASK, question_id, by_item=True)
    return ParaphrasesReport(
        title=first.settings.title,
        dataset=first.settings.dataset,
        fingerprint=first.settings.fingerprint,
        paraphrases=len(others),
        warnings=sampling(first) + lacking(TASK, wordings.asked, wordings.answered, "wordings"),
        compared=len(both),
        other=sum(own != other for own, other in both) / len(both) if both else None,
        wordings=wordings,
        effects=_effects(runs),
        questions=questions,
    )


def _questions(runs: Sequence[RunRecord], published: dict[str, str]) -> tuple[QuestionWordings, ...]:
    told = [{question_id(name): one.answer for name, one in run.answers.items()} for run in runs]
    texts = [{question_id(name): text for name, text in run.settings.paraphrases.items()} for run in runs[1:]]
    scores = _scores(runs)
    return tuple(
        QuestionWordings(
            id=name,
            texts=(text, *(own[name] for own in texts)),
            answers=tuple(own.get(name) for own in told),
            scores={metric: own[name] for metric, own in scores.items() if name in own},
        )
        for name, text in published.items()
    )


def _scores(runs: Sequence[RunRecord]) -> dict[str, dict[str, tuple[float, ...]]]:
    """The scores ×100 of each question in all wordings, by metric and id; none where a wording lacks any."""
    found = {}
    for name, rows in common_statistics(runs, TASK, question_id).items():
        by_wording = (map(float, METRICS[name].per_item(one)) for one in rows)
        ids = map(question_id, runs[0].statistics.ids)
        found[name] = dict(zip(ids, zip(*by_wording, strict=True), strict=True))
    return found


def _effects(runs: Sequence[RunRecord]) -> dict[str, WordingEffect]:
    return {
        name: wording_effect(METRICS[name], rows, Clusters.of(runs[0].statistics.sources))
        for name, rows in common_statistics(runs, TASK, question_id).items()
    }


def wording_effect(metric: type[Metric], wordings: Sequence[Array], clusters: Clusters) -> WordingEffect:
    """What other words do to the score of a metric.

    Args:
        metric: whose statistics they are.
        wordings: the statistics of each wording, shape (n, k), that as published first; two or more.
        clusters: the items' clusters.
    """
    published, *others = wordings
    scores = np.stack([metric.per_item(rows) for rows in wordings])
    found = paired(metric, np.mean(others, axis=0), published, clusters)
    spread = sqrt(float(np.var(scores, axis=0, ddof=1).mean()))
    return WordingEffect(spread=spread, difference=found.value, interval=found.interval, p=found.p)
