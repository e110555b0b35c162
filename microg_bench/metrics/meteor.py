"""METEOR 1.5, English, its ``-norm`` tokens: alignments by the published jar, the final formula by us.

Denkowski and Lavie 2014, "Meteor Universal". The jar turns a candidate and its references into 23 counts;
scores of items, sets and resamples follow from their sums.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from microg_bench.errors import MetricUnavailableError
from microg_bench.metrics.base import Array, Metric
from microg_bench.metrics.java import find_jar, run_lines
from microg_bench.metrics.paraphrases import reduced_table
from microg_bench.metrics.texts import Texts, one_line

MAX_WORDS = 2000
MAX_CHARACTERS = 20_000

# The jar's parameters for English, and its weights of exact, stem, synonym and paraphrase matches.
_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.20, 0.60, 0.75
_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])
_COUNTS = 23
_CHUNKS = 20
_LINES_PER_JVM = 200


class Meteor(Metric):
    """METEOR 1.5. Statistics: the jar's counts, with no chunk for a perfect item, as the jar sums them."""

    name = "METEOR"

    def measure(self, texts: Texts) -> Array:
        """Shape (n, 23); see `Metric.measure`."""
        candidates = [_line(text) for text in texts.tokenized.candidates]
        references = [[_line(text) for text in refs] for refs in texts.tokenized.references]
        lines = [
            " ||| ".join(("SCORE", *refs, candidate))
            for candidate, refs in zip(candidates, references, strict=True)
        ]
        table = reduced_table([line for refs in references for line in refs])
        arguments = [
            "-jar",
            str(find_jar("meteor", "meteor-1.5.jar")),
            "-",
            "-",
            "-stdio",
            "-l",
            "en",
            "-norm",
        ]
        if table is not None:
            arguments += ["-a", str(table)]
        answers = _ask(arguments, lines)
        return _without_perfect_chunks(np.array([_counts(answers[line]) for line in lines]))

    @classmethod
    def combine(cls, totals: Array, items: Array | float) -> Array:
        """Weighted harmonic mean of precision and recall, less the fragmentation; see `Metric.combine`."""
        stages = totals[..., 4:20].reshape(*totals.shape[:-1], 4, 2, 2)
        matched = _WEIGHTS @ (_DELTA * stages[..., 0, :] + (1 - _DELTA) * stages[..., 1, :])
        words, function = totals[..., 0:2], totals[..., 2:4]
        weighted = _DELTA * (words - function) + (1 - _DELTA) * function
        with np.errstate(divide="ignore", invalid="ignore"):
            precision, recall = np.moveaxis(matched / weighted, -1, 0)
            mean = 1.0 / ((1 - _ALPHA) / precision + _ALPHA / recall)
            fragmentation = totals[..., _CHUNKS] / (totals[..., 21:23].sum(axis=-1) / 2)
            score = mean * (1 - _GAMMA * fragmentation**_BETA)
        points: Array = 100.0 * np.maximum(np.nan_to_num(score, nan=0.0), 0.0)
        return points

    def settings(self, texts: Texts) -> Mapping[str, str]:
        """Version and flags of the jar; see `Metric.settings`."""
        return {"jar": "1.5", "flags": "-l en -norm"}

    def notes(self, texts: Texts) -> tuple[str, ...]:
        """How many texts were cut to the limit; see `Metric.notes`."""
        sent = [*texts.tokenized.candidates, *(text for refs in texts.tokenized.references for text in refs)]
        cut = sum(_line(text) != _clean(text) for text in sent)
        if not cut:
            return ()
        return (f"{cut} text(s) cut to their first {MAX_WORDS} words and {MAX_CHARACTERS} characters",)


def _clean(text: str) -> str:
    return one_line(text.replace("|||", ""))


def _line(text: str) -> str:
    """A text as it is sent: one line, no separator in it, within the limits."""
    return " ".join(_clean(text).split(" ")[:MAX_WORDS])[:MAX_CHARACTERS]


def _ask(arguments: Sequence[str], lines: Sequence[str]) -> dict[str, str]:
    """The jar's answer to each distinct line, asked of as many JVMs as help."""
    distinct = sorted(set(lines), key=lambda line: (-len(line), line))
    jvms = min(2, os.cpu_count() or 1, 1 + len(distinct) // _LINES_PER_JVM)
    shares = [distinct[start::jvms] for start in range(jvms)]

    def ask(share: Sequence[str]) -> list[str]:
        return run_lines(arguments, share, words=sum(line.count(" ") + 1 for line in share))

    with ThreadPoolExecutor(jvms) as pool:
        answers = list(pool.map(ask, shares))
    return {
        line: answer
        for share, answered in zip(shares, answers, strict=True)
        for line, answer in zip(share, answered, strict=True)
    }


def _counts(answer: str) -> list[float]:
    try:
        counts = [float(count) for count in answer.split()]
    except ValueError:
        counts = []
    if len(counts) != _COUNTS:
        raise MetricUnavailableError(f"METEOR answered {answer[:80]!r}, not {_COUNTS} counts")
    return counts


def _without_perfect_chunks(counts: Array) -> Array:
    """Counts less the chunk of items whose words all match in one, which the jar leaves out of its sums."""
    matches = counts[:, 4:20].reshape(-1, 4, 2, 2).sum(axis=(1, 2))
    perfect = (matches == counts[:, 0:2]).all(axis=1) & (counts[:, _CHUNKS] == 1)
    counts[perfect, _CHUNKS] = 0
    return counts
