"""What pycocoevalcap, which defined these numbers, makes of the same texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def scorers() -> dict[str, Any]:
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    return {"BLEU": Bleu(4), "CIDEr": Cider(), "ROUGE-L": Rouge()}


def published(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    names: Sequence[str] = ("BLEU", "CIDEr", "ROUGE-L"),
) -> dict[str, tuple[float, np.ndarray]]:
    """Corpus score and scores of the items, times 100, by our names of the metrics."""
    ours = {index: [text] for index, text in enumerate(candidates)}
    theirs = {index: list(texts) for index, texts in enumerate(references)}
    answers: dict[str, tuple[float, np.ndarray]] = {}
    for name in names:
        scorer = scorers()[name]
        if name == "BLEU":
            corpus, items = scorer.compute_score(theirs, ours, verbose=0)
            for order in range(4):
                answers[f"BLEU-{order + 1}"] = (100 * corpus[order], 100 * np.array(items[order]))
        else:
            corpus, items = scorer.compute_score(theirs, ours)
            answers[name] = (100 * float(corpus), 100 * np.asarray(items))
    return answers
