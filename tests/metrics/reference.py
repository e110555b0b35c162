"""What pycocoevalcap, which defined these numbers, makes of the same texts."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from microg_bench.metrics.packages import package_path


def scorers() -> dict[str, Any]:
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    return {"BLEU": Bleu(4), "CIDEr": Cider(), "ROUGE-L": Rouge()}


def needs_java() -> None:
    """Skip a test that starts the published drivers, where they cannot run."""
    if shutil.which("java") is None:
        pytest.skip("java absent: the published drivers need it on PATH")


def jar_counts(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """The 23 counts that METEOR's jar gives of each item, of its best reference."""
    jar = package_path("pycocoevalcap", "meteor", "meteor-1.5.jar")
    command = ["java", "-Dfile.encoding=UTF-8", "-Duser.language=en", "-jar", str(jar)]
    items = zip(references, candidates, strict=True)
    lines = "".join(" ||| ".join(("SCORE", *refs, candidate)) + "\n" for refs, candidate in items)
    flags = ["-", "-", "-stdio", "-l", "en", "-norm"]
    done = subprocess.run([*command, *flags], input=lines.encode(), capture_output=True, check=True)
    return np.array([line.split() for line in done.stdout.decode().splitlines()], dtype=np.float64)


def published_tokens(texts: Sequence[str]) -> list[str]:
    """PTB tokens, parted by spaces, of texts in their order, white space made single: breaks misalign."""
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    given = {index: [{"caption": " ".join(text.split())}] for index, text in enumerate(texts)}
    return [tokens[0] for tokens in PTBTokenizer().tokenize(given).values()]


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
