"""The texts of one evaluation: checked, put in order, and tokenised once however many metrics read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Literal, get_args

from microg_bench.errors import DataError, UsageError
from microg_bench.metrics.java import JavaRuns
from microg_bench.metrics.ngrams import NgramSums, ngram_sums
from microg_bench.metrics.once import Once
from microg_bench.metrics.tokenize import ptb_tokenize
from microg_bench.suggest import unknown

Protocol = Literal["paper", "coco", "coco-isolated"]
Candidates = Sequence[str] | Mapping[str, str]
References = Sequence[str | Sequence[str]] | Mapping[str, str | Sequence[str]]

_TOKENIZERS: dict[Protocol, str] = {"paper": "none", "coco": "ptb", "coco-isolated": "ptb-isolated"}
_SURROGATE = re.compile("[\ud800-\udfff]")


def well_formed(text: str) -> str:
    """The text with lone surrogates, which have no UTF-8 form, replaced by U+FFFD."""
    return _SURROGATE.sub("\ufffd", text)


def one_line(text: str) -> str:
    """The text as one line that a Java program reads as one: white space and NUL become single spaces."""
    return " ".join(well_formed(text).replace("\0", " ").split())


@dataclass(frozen=True)
class Tokenized:
    """Texts as a protocol's tokeniser leaves them: strings whose words are parted by spaces."""

    candidates: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Texts:
    """Candidates with their references, as given, and what metrics derive from them once.

    `ids` name the items in messages; each item has at least one reference. `tokenize` gives their tokens
    where they are tokenised together with other texts; None tokenises them alone.
    """

    ids: tuple[str, ...]
    candidates: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]
    protocol: Protocol = "paper"
    tokenize: Callable[[], Tokenized] | None = field(default=None, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def tokenizer(self) -> str:
        """The protocol's tokeniser, as signatures name it."""
        return _TOKENIZERS[self.protocol]

    @cached_property
    def tokenized(self) -> Tokenized:
        """The texts after the protocol's tokeniser.

        Raises:
            MetricUnavailableError: the protocol needs Java, which is missing or fails.
        """
        return self.tokenize() if self.tokenize else _tokenize([self])[0]

    @cached_property
    def ngrams(self) -> NgramSums:
        """Sums over the n-grams of the tokenised texts, words parted by any white space."""
        return ngram_sums(self.tokenized.candidates, self.tokenized.references)


def _tokenize(sets: Sequence[Texts], runs: JavaRuns | None = None) -> list[Tokenized]:
    """All sets in one run of the tokeniser."""
    protocol = sets[0].protocol
    if protocol == "paper":
        return [Tokenized(texts.candidates, texts.references) for texts in sets]
    streams = []
    for texts in sets:
        streams.append([one_line(text) for text in texts.candidates])
        streams.append([one_line(text) for refs in texts.references for text in refs])
    answers = iter(ptb_tokenize(streams, isolated=protocol == "coco-isolated", runs=runs))
    tokenized = []
    for texts in sets:
        candidates, flat = next(answers), iter(next(answers))
        references = tuple(tuple(next(flat) for _ in refs) for refs in texts.references)
        tokenized.append(Tokenized(tuple(candidates), references))
    return tokenized


def prepare_tasks(
    tasks: Mapping[str, tuple[Candidates, References]], protocol: str, runs: JavaRuns | None = None
) -> dict[str, Texts]:
    """The texts of several tasks, as `prepare` makes them, tokenised together when the first is asked for.

    Raises:
        UsageError, DataError: as `prepare`.
    """
    alone = {task: prepare(*given, protocol) for task, given in tasks.items()}
    together = Once(lambda: dict(zip(alone, _tokenize(list(alone.values()), runs), strict=True)))

    def tokens(task: str) -> Tokenized:
        return together()[task]

    return {task: replace(texts, tokenize=partial(tokens, task)) for task, texts in alone.items()}


def prepare(candidates: Candidates, references: References, protocol: str) -> Texts:
    """Check what a caller gave and put it in order; of two mappings, the references' order counts.

    Raises:
        UsageError: no such protocol.
        DataError: no items, keys or lengths that differ, or a text that is not a string.
    """
    if protocol not in get_args(Protocol):
        raise UsageError(unknown("protocol", protocol, get_args(Protocol)))
    ids, ours, theirs = _paired(candidates, references)
    if not ids:
        raise DataError("nothing to score: the set of candidates is empty")
    return Texts(
        ids=ids,
        candidates=tuple(_text(text, "candidate", name) for name, text in zip(ids, ours, strict=True)),
        references=tuple(_references(texts, name) for name, texts in zip(ids, theirs, strict=True)),
        protocol=protocol,  # type: ignore[arg-type]
    )


def _paired(candidates: Any, references: Any) -> tuple[tuple[str, ...], Sequence[Any], Sequence[Any]]:
    """Names of the items, the candidate of each and the references of each."""
    if isinstance(candidates, Mapping) and isinstance(references, Mapping):
        lost = [key for key in references if key not in candidates]
        extra = [key for key in candidates if key not in references]
        if lost or extra:
            side, keys = ("no candidate", lost) if lost else ("no reference", extra)
            raise DataError(f"{len(keys)} item(s) have {side}, the first is {keys[0]!r}")
        ours = [candidates[key] for key in references]
        return tuple(map(str, references)), ours, list(references.values())
    for what, given in (("candidates", candidates), ("references", references)):
        if isinstance(given, str | Mapping) or not isinstance(given, Sequence):
            raise DataError(f"{what} must be a sequence, or both candidates and references a mapping")
    if len(candidates) != len(references):
        raise DataError(f"{len(candidates)} candidates but {len(references)} references")
    return tuple(map(str, range(len(candidates)))), candidates, references


def _text(text: Any, what: str, item: str) -> str:
    if not isinstance(text, str):
        raise DataError(f"{what} of item {item!r} is not a string but {type(text).__name__}")
    return text


def _references(given: Any, item: str) -> tuple[str, ...]:
    if isinstance(given, str):
        return (given,)
    if not isinstance(given, Sequence) or not given:
        raise DataError(f"references of item {item!r} must be a string or a non-empty sequence of strings")
    return tuple(_text(text, "a reference", item) for text in given)
