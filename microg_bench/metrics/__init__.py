"""The metrics room: how near an answer is to its references, under a named protocol.

`score` is the door, `score_tasks` the one for several tasks at once; `METRICS` lists what they can compute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from microg_bench.errors import MetricUnavailableError, UsageError
from microg_bench.metrics.alignments import Alignments
from microg_bench.metrics.base import Metric, MetricOptions, Score, Signature, Unavailable
from microg_bench.metrics.bertscore import BertScore
from microg_bench.metrics.bleu import Bleu1, Bleu2, Bleu3, Bleu4
from microg_bench.metrics.cider import Cider
from microg_bench.metrics.java import JavaRuns
from microg_bench.metrics.meteor import Meteor
from microg_bench.metrics.rouge import RougeL
from microg_bench.metrics.sentence import SentenceBert, SentenceVqa
from microg_bench.metrics.texts import Candidates, Protocol, References, Texts, prepare_tasks
from microg_bench.suggest import unknown

__all__ = [
    "METRICS",
    "Metric",
    "MetricOptions",
    "Protocol",
    "Score",
    "Signature",
    "Texts",
    "Unavailable",
    "score",
    "score_tasks",
]

METRICS: dict[str, type[Metric]] = {
    metric.name: metric
    for metric in (Cider, Bleu1, Bleu2, Bleu3, Bleu4, RougeL, Meteor, SentenceBert, SentenceVqa, BertScore)
}


def score(
    candidates: Candidates,
    references: References,
    metrics: Sequence[str] = ("CIDEr", "BLEU-4", "ROUGE-L"),
    protocol: str = "paper",
    options: MetricOptions | None = None,
) -> dict[str, Score | Unavailable]:
    """Score candidates against their references.

    Args:
        candidates: one text an item, in a sequence or keyed by item.
        references: one text or several an item, in the same form; its order is the order of the items.
        metrics: names out of `METRICS`.
        protocol: ``paper`` (texts as they are), ``coco`` (PTB tokens, lower-cased, without punctuation)
            or ``coco-isolated`` (the same, no item seen by the tokeniser beside another).
        options: encoders and device; None takes the published ones.

    Returns:
        For each name a `Score`, or an `Unavailable` with the reason; one does not stop the others.

    Raises:
        UsageError: a metric or protocol that does not exist.
        DataError: nothing to score, items that do not pair up, or a text that is not a string.
    """
    return score_tasks({"": (candidates, references)}, metrics, protocol, options)[""]


def score_tasks(
    tasks: Mapping[str, tuple[Candidates, References]],
    metrics: Sequence[str] | Mapping[str, Sequence[str]] = ("CIDEr", "BLEU-4", "ROUGE-L"),
    protocol: str = "paper",
    options: MetricOptions | None = None,
) -> dict[str, dict[str, Score | Unavailable]]:
    """Score several tasks, each as `score` does, with one start of Java for all of them.

    Args:
        tasks: candidates and references of each task.
        metrics: names out of `METRICS`; of each task, where they differ.
        protocol: as in `score`.
        options: as in `score`.

    Returns:
        What `score` returns, for each task.

    Raises:
        UsageError, DataError: as in `score`.
    """
    names = {task: metrics[task] if isinstance(metrics, Mapping) else metrics for task in tasks}
    for name in (name for chosen in names.values() for name in chosen):
        if name not in METRICS:
            raise UsageError(unknown("metric", name, METRICS))
    found: dict[str, dict[str, Score | Unavailable]] = {task: {} for task in tasks}
    with JavaRuns() as runs, ExitStack() as stack:
        sets = prepare_tasks(tasks, protocol, runs)
        aligned = [sets[task] for task in tasks if Meteor.name in names[task]]
        alignments = stack.enter_context(Alignments(aligned, runs)) if aligned else None
        # METEOR's JVMs run beside everything else, so that it is waited for last.
        for task, name in sorted(_pairs(names), key=lambda pair: pair[1] == Meteor.name):
            made = options or MetricOptions()
            metric = Meteor(made, alignments) if name == Meteor.name else METRICS[name](made)
            found[task][name] = _score(metric, sets[task])
    return {task: {name: found[task][name] for name in names[task]} for task in tasks}


def _pairs(names: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    return [(task, name) for task, chosen in names.items() for name in chosen]


def _score(metric: Metric, texts: Texts) -> Score | Unavailable:
    try:
        return metric.score(texts)
    except MetricUnavailableError as error:
        return Unavailable(metric.name, str(error))
