"""How near an answer is to its references, under a named protocol.

`score` scores one set of answers, `score_tasks` several at once; `METRICS` lists what they can compute.
"""

from collections.abc import Mapping, Sequence

from microg_bench.errors import MetricUnavailableError, UsageError
from microg_bench.metrics.base import Metric, Score, Unavailable
from microg_bench.metrics.bertscore import BertScore
from microg_bench.metrics.lexical import Bleu1, Bleu2, Bleu3, Bleu4, Cider, RougeL
from microg_bench.metrics.meteor.metric import Alignments, Meteor
from microg_bench.metrics.sentence import SentenceBert, SentenceVqa
from microg_bench.metrics.texts import Candidates, Protocol, References, Texts, prepare_tasks
from microg_bench.options import ScoringOptions
from microg_bench.text import unknown

__all__ = ["METRICS", "Metric", "Protocol", "Score", "Texts", "Unavailable", "score", "score_tasks"]

METRICS: dict[str, type[Metric]] = {
    metric.name: metric
    for metric in (Cider, Bleu1, Bleu2, Bleu3, Bleu4, RougeL, Meteor, SentenceBert, SentenceVqa, BertScore)
}


def score(
    candidates: Candidates,
    references: References,
    metrics: Sequence[str] = ("CIDEr", "BLEU-4", "ROUGE-L"),
    protocol: str = "paper",
    options: ScoringOptions | None = None,
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
    options: ScoringOptions | None = None,
) -> dict[str, dict[str, Score | Unavailable]]:
    """Score several tasks, each as `score` does, but read METEOR's table and run the tokeniser once for all.

    Args:
        tasks: candidates and references of each task.
        metrics: names out of `METRICS`; of each task, where they differ.
        protocol: as in `score`.
        options: as in `score`.
    """
    names = {task: metrics[task] if isinstance(metrics, Mapping) else metrics for task in tasks}
    for name in (name for chosen in names.values() for name in chosen):
        if name not in METRICS:
            raise UsageError(unknown("metric", name, METRICS))
    sets = prepare_tasks(tasks, protocol)
    aligned = [sets[task] for task in tasks if Meteor.name in names[task]]
    alignments = Alignments(aligned) if aligned else None
    chosen = options or ScoringOptions()
    found: dict[str, dict[str, Score | Unavailable]] = {}
    for task, texts in sets.items():
        metrics_of = [
            Meteor(chosen, alignments) if name == Meteor.name else METRICS[name](chosen)
            for name in names[task]
        ]
        found[task] = {metric.name: _score(metric, texts) for metric in metrics_of}
    return found


def _score(metric: Metric, texts: Texts) -> Score | Unavailable:
    try:
        return metric.score(texts)
    except MetricUnavailableError as error:
        return Unavailable(metric.name, str(error))
