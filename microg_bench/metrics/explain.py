"""What each metric computes, in plain words and with its source, for `microg-bench score --explain`."""

from __future__ import annotations

from microg_bench.errors import UsageError
from microg_bench.metrics import METRICS
from microg_bench.suggest import unknown

_BLEU = """\
How many of the candidate's word sequences of one to {order} word(s) stand in the reference, counted
over the whole set: the geometric mean of the {order} precision(s), times a penalty where the
candidates are shorter than the references together. A sequence counts at most as often as the
reference has it. It is a score of the set; the mean of the items' scores is another number.
Papineni et al., "BLEU: a Method for Automatic Evaluation of Machine Translation", ACL 2002;
smoothing constants and the nearest reference length as in pycocoevalcap."""

_SENTENCE = """\
Each text is turned into one vector by the sentence encoder all-MiniLM-L6-v2; the score of an item
is the cosine of the angle between candidate and reference, and the score of a set is the mean. It
rewards the same meaning in other words, and gives some points to any fluent sentence about the same
subject.
Reimers and Gurevych, "Sentence-BERT", EMNLP 2019. On answers it is called S-VQA, on captions
S-BERT."""

_TEXTS = {
    "CIDEr": """\
How much of the candidate's wording is shared with the reference, where a word sequence counts the
more the rarer it is among the references of the set. For sequences of one to four words: the cosine
of the two count vectors weighted by rarity (tf-idf), counts clipped to the reference's, lowered
where the lengths differ; the mean of the four, times ten. Rarity is taken over the evaluated set,
so a subset scores differently; slices and intervals keep the rarities of the full set. Values above
100 are possible.
Vedantam et al., "CIDEr: Consensus-based Image Description Evaluation", CVPR 2015: the variant
CIDEr-D, which pycocoevalcap calls CIDEr.""",
    "ROUGE-L": """\
The longest sequence of words that candidate and reference share in the same order, gaps allowed:
its share of the reference (recall) and of the candidate (precision), combined with recall weighing
more (beta = 1.2). The mean over the items.
Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004; beta as in pycocoevalcap.""",
    "METEOR": """\
Words are aligned one to one between candidate and reference where they are equal, share a stem, are
synonyms or are paraphrases; recall weighs more than precision, content words more than function
words, and an alignment in many pieces is penalised. The score of a set comes from summed counts,
not from the mean of the items.
Denkowski and Lavie, "Meteor Universal", WMT 2014: version 1.5, its own program, English parameters.""",
    "S-BERT": _SENTENCE,
    "S-VQA": _SENTENCE,
    "BERTScore": """\
Each token of the candidate is matched with the most similar token of the reference by the cosine of
their contextual embeddings (roberta-large, layer 17), and the other way round; precision and recall
are the means, the score is their F1. Without rescaling, unrelated English sentences already reach
about 80.
Zhang et al., "BERTScore: Evaluating Text Generation with BERT", ICLR 2020.""",
}


def explain(name: str) -> str:
    """What the metric `name` computes.

    Raises:
        UsageError: there is no such metric; the nearest are suggested.
    """
    if name not in METRICS:
        raise UsageError(unknown("metric", name, METRICS))
    if name in _TEXTS:
        return f"{name} (×100, higher is better)\n\n{_TEXTS[name]}"
    return f"{name} (×100, higher is better)\n\n{_BLEU.format(order=name[-1])}"
