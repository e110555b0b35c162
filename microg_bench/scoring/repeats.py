"""How much of a score is chance: variance between repeated answers of a model, apart from that between clips.

A model that samples gives other answers to the same clip each time. With K repeats of all requests, the score
of a repeat varies by the chance of sampling (within the model), and by which source videos were asked about
(between clips). The interval of the mean score holds both: it resamples source videos with their answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from typing import Literal

import numpy as np
from pydantic import Field

from microg_bench.errors import DataError
from microg_bench.metrics import METRICS
from microg_bench.metrics.base import Array, Metric
from microg_bench.records import AnswerTask, Record
from microg_bench.runs.record import RunRecord
from microg_bench.scoring.coverage import asked_count, is_whole, lacking
from microg_bench.scoring.intervals import (
    Clusters,
    bootstrap_t,
    cut,
    influences,
    linearised,
    resample,
    with_sample,
)
from microg_bench.tasks import TASKS

Repeats = Sequence[Mapping[AnswerTask, RunRecord]]


class RepeatedScore(Record):
    """A score ×100 over repeats: the `mean` of the `scores` of all, and what it varies by.

    `interval` holds the bounds of the 95% interval of the mean, over source videos and sampling; None where
    there are fewer than two source videos, or where it would hold every possible score. `within` is the
    standard deviation of the score of one repeat by the chance of sampling, `between` that by the choice of
    source videos, None with fewer than two; a repeat varies by the root of the sum of their squares.
    """

    mean: float
    interval: tuple[float, float] | None
    within: float
    between: float | None
    scores: tuple[float, ...]


class TaskRepeats(Record):
    """The repeats of one task: the scores by metric, and how often all repeats agree.

    `asked` is how many requests each repeat has, `answered` how many of them have an answer in each. Of
    `items` requests, which have an answer in all, `same` is the share, from 0 to 1, whose answers are the
    same text in all; None where there are none. `metrics` are empty where a repeat lacks an answer.
    """

    task: AnswerTask
    asked: int
    answered: tuple[int, ...]
    items: int
    same: float | None
    metrics: dict[str, RepeatedScore]


class RepeatsReport(Record):
    """The content of repeats.json. `warnings` say why no score is compared, and what to do."""

    schema_: Literal["microg-bench/repeats/1"] = Field(default="microg-bench/repeats/1", alias="schema")
    title: str
    dataset: str
    fingerprint: str
    repeats: int
    warnings: tuple[str, ...]
    tasks: tuple[TaskRepeats, ...]


def repeats_report(repeats: Repeats) -> RepeatsReport:
    """What repeats of the same requests come to.

    Args:
        repeats: scored runs by task, two or more, which differ in the seed alone.

    Raises:
        DataError: two differ in more than the seed.
        RunError: a run is damaged.
    """
    first = next(iter(repeats[0].values())).settings
    tasks = tuple(_task([one[task] for one in repeats], task) for task in repeats[0])
    return RepeatsReport(
        title=first.title,
        dataset=first.dataset,
        fingerprint=first.fingerprint,
        repeats=len(repeats),
        warnings=tuple(
            line for one in tasks for line in lacking(one.task, one.asked, one.answered, "repeats")
        ),
        tasks=tasks,
    )


def _task(runs: Sequence[RunRecord], task: AnswerTask) -> TaskRepeats:
    for other in runs[1:]:
        seed = {"seed": runs[0].settings.generation.seed}
        generation = other.settings.generation.model_copy(update=seed)
        same = other.settings.model_copy(update={"generation": generation})
        if difference := runs[0].settings.difference(same):
            raise DataError(f"is no repeat: {difference}", path=other.path)
    return task_repeats(runs, task)


def task_repeats(
    runs: Sequence[RunRecord],
    task: AnswerTask,
    known_as: Callable[[str], str] = str,
    by_item: bool = False,
) -> TaskRepeats:
    """How the answers and scores of runs agree that ask the same.

    Args:
        runs: of one task, two or more.
        task: that task.
        known_as: what a request is known as in all runs, of its id.
        by_item: see `repeated_score`.

    Raises:
        RunError: a run is damaged.
    """
    told = [{known_as(name): one.answer for name, one in run.answers.items()} for run in runs]
    common = [name for name in told[0] if all(name in own for own in told)]
    same = sum(len({own[name] for own in told}) == 1 for name in common)
    return TaskRepeats(
        task=task,
        asked=max(map(asked_count, runs)),
        answered=tuple(map(len, told)),
        items=len(common),
        same=same / len(common) if common else None,
        metrics={
            name: repeated_score(METRICS[name], rows, Clusters.of(runs[0].statistics.sources), by_item)
            for name, rows in common_statistics(runs, task, known_as).items()
        },
    )


def common_statistics(
    runs: Sequence[RunRecord], task: AnswerTask, known_as: Callable[[str], str] = str
) -> dict[str, list[Array]]:
    """The statistics of each run under the metrics that all have; none where one lacks answers.

    For the arguments see `task_repeats`.
    """
    if not all(map(is_whole, runs)):
        return {}
    statistics = [run.statistics for run in runs]
    first, *others = ([known_as(name) for name in one.ids] for one in statistics)
    if not first or any(ids != first for ids in others):
        return {}
    return {
        name: [one.metrics[name] for one in statistics]
        for name in TASKS[task].metrics
        if all(name in one.metrics for one in statistics)
    }


def repeated_score(
    metric: type[Metric], repeats: Sequence[Array], clusters: Clusters, by_item: bool = False
) -> RepeatedScore:
    """The mean score of repeats, its interval, and the two variances.

    `within` is the sample variance W of the scores, or that of `item_variance`. The squared linearised error
    of the mean over K repeats estimates B + W / K, since answers of different clips are sampled
    independently; `between` is the B that follows, and 0 where W / K alone is more.

    Args:
        metric: whose statistics they are.
        repeats: the statistics of each repeat, shape (n, k), the same items in the same order; two or more.
        clusters: the items' clusters.
        by_item: whether which repeat is which means nothing across items, as that of paraphrases of
            different questions: only the variance of each item over its repeats then counts.
    """
    scores = [metric.aggregate(rows) for rows in repeats]
    within = item_variance(metric, repeats) if by_item else float(np.var(scores, ddof=1))
    found: dict[str, float | tuple[float, float] | None] = {"interval": None, "between": None}
    if clusters.count > 1:
        weights = with_sample(resample(clusters.count))
        factors = [1 / len(repeats)] * len(repeats)
        sums = [clusters.sums(rows) for rows in repeats]
        means, errors = linearised(metric, sums, clusters.sizes(), weights, factors)
        found["interval"] = cut(bootstrap_t(means, errors), *metric.extremes)
        found["between"] = sqrt(max(0.0, float(errors[0]) ** 2 - within / len(repeats)))
    mean = float(np.mean(scores))
    return RepeatedScore.model_validate(
        {"mean": mean, "within": sqrt(within), "scores": tuple(scores), **found}
    )


def item_variance(metric: type[Metric], repeats: Sequence[Array]) -> float:
    """The variance of the score ×100 where each item takes one of its repeats by chance, to first order.

    It is the sum of the sample variances of the items' influences on the score over their repeats. For a
    metric that is a mean of n items: the sum of the variances of their scores, by n².

    Args:
        metric: whose statistics they are.
        repeats: see `repeated_score`.
    """
    moved = len(repeats) * influences(metric, np.concatenate(repeats)).reshape(len(repeats), -1)
    return float(np.var(moved, axis=0, ddof=1).sum())
