"""The metrics room: how near an answer is to its references, under a named protocol.

`score` is the door; `METRICS` lists what it can compute.
"""

from __future__ import annotations

from collections.abc import Sequence

from microg_bench.errors import MetricUnavailableError, UsageError
from microg_bench.metrics.base import Metric, MetricOptions, Score, Signature, Unavailable
from microg_bench.metrics.bertscore import BertScore
from microg_bench.metrics.bleu import Bleu1, Bleu2, Bleu3, Bleu4
from microg_bench.metrics.cider import Cider
from microg_bench.metrics.meteor import Meteor
from microg_bench.metrics.rouge import RougeL
from microg_bench.metrics.sentence import SentenceBert, SentenceVqa
from microg_bench.metrics.texts import Candidates, Protocol, References, Texts, prepare
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
    for name in metrics:
        if name not in METRICS:
            raise UsageError(unknown("metric", name, METRICS))
    texts = prepare(candidates, references, protocol)
    return {name: _score(METRICS[name](options or MetricOptions()), texts) for name in metrics}


def _score(metric: Metric, texts: Texts) -> Score | Unavailable:
    try:
        return metric.score(texts)
    except MetricUnavailableError as error:
        return Unavailable(metric.name, str(error))
