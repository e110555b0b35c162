"""PTB tokens as COCO captioning papers use them: the Stanford tokeniser, lower-cased, punctuation dropped.

The tokeniser reads a stream, and what it makes of a final "No." depends on the line after it. Protocol
``coco`` keeps that as published; ``coco-isolated`` sets a line of its own between any two texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from microg_bench.metrics.java import JavaRuns, find_jar

_CLASS = "edu.stanford.nlp.process.PTBTokenizer"
_BRACKETS = ("-LRB-", "-RRB-", "-LCB-", "-RCB-")
# Brackets come out lower-cased, so the published list never drops them; it is kept as it is.
_DROPPED = frozenset(("''", "'", "``", "`", *_BRACKETS, ".", "?", "!", ",", ":", "-", "--", "...", ";"))
_BETWEEN = "---"


def ptb_tokenize(
    streams: Sequence[Sequence[str]], *, isolated: bool, runs: JavaRuns | None = None
) -> list[list[str]]:
    """Tokenise streams of one-line texts, each stream as if it were alone.

    Args:
        streams: the texts.
        isolated: whether each text is tokenised as if it were alone, too.
        runs: the context that the tokeniser runs in; None makes one.

    Returns:
        For each text its tokens, parted by single spaces.

    Raises:
        MetricUnavailableError: Java or the tokeniser's jar is missing or fails.
    """
    lines: list[str] = []
    for stream in streams:
        for text in stream:
            lines += (text, _BETWEEN) if isolated else (text,)
        lines.append(_BETWEEN)
    jar = find_jar("tokenizer", "stanford-corenlp-3.4.1.jar")
    arguments = ("-cp", str(jar), _CLASS, "-preserveLines", "-lowerCase")
    with nullcontext(runs) if runs else JavaRuns() as running:
        answers = iter(running.ask(arguments, lines))
    tokenized = []
    for stream in streams:
        texts = []
        for _ in stream:
            texts.append(_without_punctuation(next(answers)))
            if isolated:
                next(answers)
        next(answers)
        tokenized.append(texts)
    return tokenized


def _without_punctuation(line: str) -> str:
    return " ".join(word for word in line.rstrip().split(" ") if word not in _DROPPED)
