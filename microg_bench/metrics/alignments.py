"""METEOR's alignments: the published jar run over several sets of texts, while other metrics are computed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import numpy as np

from microg_bench.errors import MetricUnavailableError
from microg_bench.metrics.base import Array
from microg_bench.metrics.java import JavaRuns, find_jar, find_java
from microg_bench.metrics.paraphrases import write_table
from microg_bench.metrics.texts import Texts, one_line

MAX_WORDS = 2000
MAX_CHARACTERS = 20_000
COUNTS = 23

_FLAGS = ("-", "-", "-stdio", "-l", "en", "-norm")
_JVMS = 2
_LINES_PER_JVM = 200
# What a line costs, in units of its squared length in characters: most of it is the search among matches.
_LINE_COST = 20_000


class Alignments:
    """The jar's counts of matches, of every item of some sets, found in threads from the start.

    Leaving the context stops what still runs.
    """

    def __init__(self, sets: Sequence[Texts], runs: JavaRuns | None = None) -> None:
        self._sets = list(sets)
        self._runs = runs or JavaRuns()
        self._pool = ThreadPoolExecutor(1 + _JVMS)
        self._counts = self._pool.submit(self._align)

    def __enter__(self) -> Alignments:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runs.close()
        self._pool.shutdown()

    def counts(self, texts: Texts) -> Array:
        """Of one of the sets, shape (n, 23), as the jar gives them; waits for it.

        Raises:
            MetricUnavailableError: Java or METEOR's files are missing or fail.
        """
        return self._counts.result()[self._sets.index(texts)]

    def _align(self) -> list[Array]:
        sent = [_sent(texts) for texts in self._sets]
        items = [item for some in sent for item in some]
        # What is missing is said at once, not after the seconds that a table takes.
        find_java()
        jar = find_jar("meteor", "meteor-1.5.jar")
        try:
            with tempfile.TemporaryDirectory() as folder:
                table = Path(folder) / "paraphrases.gz"
                write_table(table, {text for refs, _ in items for text in refs}, {text for _, text in items})
                arguments = ("-jar", str(jar), *_FLAGS, "-a", str(table))
                counts = self._ask(arguments, {_line(*item) for item in items})
        except OSError as error:
            raise MetricUnavailableError(
                f"METEOR's paraphrases cannot be read or written: {error}"
            ) from error
        return [np.array([counts[_line(*item)] for item in some]) for some in sent]

    def _ask(self, arguments: Sequence[str], lines: set[str]) -> dict[str, list[float]]:
        """The counts of each line, asked of as many JVMs as help."""
        shares = _shares(lines, min(_JVMS, os.cpu_count() or 1, 1 + len(lines) // _LINES_PER_JVM))
        asked = [self._pool.submit(self._runs.ask, arguments, share) for share in shares]
        return {
            one: _parsed(answer)
            for share, answers in zip(shares, asked, strict=True)
            for one, answer in zip(share, answers.result(), strict=True)
        }


def clean(text: str) -> str:
    """A text as METEOR can be sent it: one line, without the separator of its fields."""
    return one_line(text.replace("|||", ""))


def as_sent(text: str) -> str:
    """A text as it is sent: clean and within the limits."""
    return " ".join(clean(text).split(" ")[:MAX_WORDS])[:MAX_CHARACTERS]


def _sent(texts: Texts) -> list[tuple[tuple[str, ...], str]]:
    """References and candidate of each item, as they are sent."""
    tokenized = texts.tokenized
    return [
        (tuple(map(as_sent, refs)), as_sent(candidate))
        for candidate, refs in zip(tokenized.candidates, tokenized.references, strict=True)
    ]


def _line(references: tuple[str, ...], candidate: str) -> str:
    """What the jar is asked of an item."""
    return " ||| ".join(("SCORE", *references, candidate))


def _shares(lines: set[str], count: int) -> list[list[str]]:
    """The lines in shares of about the same cost, the longest first, so that no JVM ends on a long one."""
    shares: list[list[str]] = [[] for _ in range(count)]
    costs = [0] * count
    for one in sorted(lines, key=lambda text: (-len(text), text)):
        place = costs.index(min(costs))
        shares[place].append(one)
        costs[place] += _LINE_COST + len(one) ** 2
    return shares


def _parsed(answer: str) -> list[float]:
    try:
        counts = [float(count) for count in answer.split()]
    except ValueError:
        counts = []
    if len(counts) != COUNTS:
        raise MetricUnavailableError(f"METEOR answered {answer[:80]!r}, not {COUNTS} counts")
    return counts
