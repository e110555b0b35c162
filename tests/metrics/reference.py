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


class MeteorJar:
    """The published program of METEOR, asked one line at a time; a context that ends it."""

    def __enter__(self) -> MeteorJar:
        jar = package_path("pycocoevalcap", "meteor", "meteor-1.5.jar")
        command = ["java", "-Dfile.encoding=UTF-8", "-Duser.language=en", "-jar", str(jar)]
        flags = ["-", "-", "-stdio", "-l", "en", "-norm"]
        self._process = subprocess.Popen([*command, *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def _answers(self, line: str, count: int) -> list[str]:
        sent, answered = self._process.stdin, self._process.stdout
        assert sent is not None and answered is not None
        sent.write(f"{line}\n".encode())
        sent.flush()
        return [answered.readline().decode().strip() for _ in range(count)]

    def counts(self, candidates: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
        """The 23 counts of each item, of its best reference; texts are one line without three bars."""
        items = zip(references, candidates, strict=True)
        answers = [self._answers(" ||| ".join(("SCORE", *refs, text)), 1)[0].split() for refs, text in items]
        return np.array(answers, dtype=np.float64)

    def scores(self, counts: np.ndarray) -> tuple[np.ndarray, float]:
        """The score of each item and of all, 0 to 1."""
        items = [" ".join(map(str, one)) for one in counts.tolist()]
        *scores, corpus = map(float, self._answers(" ||| ".join(("EVAL", *items)), len(items) + 1))
        return np.array(scores), corpus


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
