"""What the headings of columns say of themselves."""

from collections.abc import Iterable

from microg_bench.scoring.probes import PROBES
from microg_bench.tables.on_board import CLIPS

_ABOUT = {
    "Model": "What answered; the name leads to all its answers. Baselines answer without a model.",
    "#f": "How many frames of a clip the model was shown at most; clip where it was sent the whole file.",
    CLIPS: "How many clips were measured. Times of few clips vary more, and other clips may take longer.",
    "CIDEr": "Agreement with the references in phrases of one to four words; rare phrases count more.",
    "BLEU-1": "Precision of words, over all answers together.",
    "BLEU-2": "Precision of phrases of up to two words, over all answers together.",
    "BLEU-3": "Precision of phrases of up to three words, over all answers together.",
    "BLEU-4": "Precision of phrases of up to four words, over all answers together.",
    "ROUGE-L": "The longest common subsequence of words with a reference; recall counts more than precision.",
    "METEOR": "Agreement in words, stems, synonyms and paraphrases, and in their order.",
    "S-BERT": "Cosine similarity of sentence embeddings of caption and reference.",
    "S-VQA": "Cosine similarity of sentence embeddings of answer and reference.",
    "BERTScore": "F1 of the similarity of contextual word embeddings, not rescaled.",
    "mAP": "Mean average precision over the actions, of boxes that overlap the true ones by half or more.",
    "F1": "The mean over the actions of F1, where an action is claimed if its logit is at least 0.5.",
    "recall": "The mean over the actions of recall, where an action is claimed if its logit is at least 0.5.",
    "AUROC": "The mean over the actions of the area under the ROC curve.",
    "Architecture": "The network.",
    "TC": "Frames of a window, and every how many frames one is taken.",
    "Backbone": "The network that the features come from.",
    "Params (M)": "Parameters of the network, in millions.",
    "Pretraining": "What the network was trained on before.",
    "rating": "How a language model rates the answers: right counts 1, partly right 0.5, wrong 0.",
    "precision": "The share of the facts of the caption that the reference supports.",
    "hallucination": "The share of the facts of the caption that the reference contradicts; lower is better.",
    "answered": "How well the questions of the clip can be answered from the caption alone.",
}
_SPLITS = {"validation": "On the validation split.", "test": "On the test split."}
_JUDGED = {"recall": "The share of the facts of the reference that the caption has."}
_CONDITIONS = {label: probe.what for probe in PROBES.values() for label in probe.conditions}


def explanations(names: Iterable[str], judged: bool = False) -> dict[str, str]:
    """A sentence or two on each of these headings that is known.

    Args:
        names: of labels, scores, scores by split (``test mAP``) or conditions of probes.
        judged: whether the scores are those of a judge.
    """
    told = {name: _about(name, judged) for name in names}
    return {name: text for name, text in told.items() if text}


def _about(name: str, judged: bool) -> str:
    if name in _CONDITIONS:
        return f"Changed: {_CONDITIONS[name]}."
    split, _, score = name.rpartition(" ")
    if split in _SPLITS and score in _ABOUT:
        return f"{_ABOUT[score]} {_SPLITS[split]}"
    return (judged and _JUDGED.get(name)) or _ABOUT.get(name, "")
