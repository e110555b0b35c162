"""The texts of one evaluation: checked, put in order, and tokenised once however many metrics read them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Generic, Literal, TypeVar, get_args

from microg_bench.errors import DataError, MetricUnavailableError, UsageError
from microg_bench.metrics.ngrams import NgramSums, ngram_sums
from microg_bench.metrics.tokenize import ptb_tokenize
from microg_bench.text import unknown, well_formed

Protocol = Literal["paper", "coco", "coco-isolated"]
Candidates = Sequence[str] | Mapping[str, str]
References = Sequence[str | Sequence[str]] | Mapping[str, str | Sequence[str]]

_TOKENIZERS: dict[Protocol, str] = {"paper": "none", "coco": "ptb", "coco-isolated": "ptb-isolated"}

Value = TypeVar("Value")


class Lazy(Generic[Value]):
    """A value computed at first need and never again, even where it cannot be computed."""

    def __init__(self, compute: Callable[[], Value]) -> None:
        self._compute = compute

    @cached_property
    def _outcome(self) -> Value | MetricUnavailableError:
        try:
            return self._compute()
        except MetricUnavailableError as error:
            return error

    def __call__(self) -> Value:
        """The value; raises MetricUnavailableError where it could not be computed, now or before."""
        if isinstance(self._outcome, MetricUnavailableError):
            raise self._outcome
        return self._outcome


def single_spaced(text: str) -> str:
    """The text as METEOR and the tokeniser read it: white space and NUL become single spaces."""
    return " ".join(well_formed(text).replace("\0", " ").split())


def sameness(references: Sequence[Sequence[str]]) -> str:
    """Why the references of items cannot be told apart: empty, of one item, or alike; "" where they can."""
    if not any(text.strip() for texts in references for text in texts):
        return "all references are empty"
    if len(references) == 1:
        return "one item"
    return "all references are alike" if len(set(map(frozenset, references))) == 1 else ""


@dataclass(frozen=True)
class Tokenized:
    """Texts as a protocol's tokeniser leaves them: strings whose words are parted by spaces."""

    candidates: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Texts:
    """Candidates with their references, as given, and what metrics derive from them once.

    `ids` name the items in messages; each item has at least one reference. `tokens` are shared with the sets
    that are tokenised together with this one; None tokenises it alone.
    """

    ids: tuple[str, ...]
    candidates: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]
    protocol: Protocol = "paper"
    tokens: Callable[[], Tokenized] | None = field(default=None, compare=False, repr=False)

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
        return self.tokens() if self.tokens else _tokenize([self])[0]

    @cached_property
    def ngrams(self) -> NgramSums:
        """Sums over the n-grams of the tokenised texts, words parted by any white space."""
        return ngram_sums(self.tokenized.candidates, self.tokenized.references)


def _tokenize(sets: Sequence[Texts]) -> list[Tokenized]:
    """All sets in one run of the tokeniser."""
    protocol = sets[0].protocol
    if protocol == "paper":
        return [Tokenized(texts.candidates, texts.references) for texts in sets]
    streams = []
    for texts in sets:
        streams.append([single_spaced(text) for text in texts.candidates])
        streams.append([single_spaced(text) for refs in texts.references for text in refs])
    answers = iter(ptb_tokenize(streams, isolated=protocol == "coco-isolated"))
    tokenized = []
    for texts in sets:
        candidates, flat = next(answers), iter(next(answers))
        references = tuple(tuple(next(flat) for _ in refs) for refs in texts.references)
        tokenized.append(Tokenized(tuple(candidates), references))
    return tokenized


def prepare_tasks(tasks: Mapping[str, tuple[Candidates, References]], protocol: str) -> dict[str, Texts]:
    """The texts of several tasks, each as `prepare` makes them, but tokenised together at first need."""
    alone = [prepare(*given, protocol) for given in tasks.values()]
    together = Lazy(lambda: _tokenize(alone))
    return {
        task: replace(texts, tokens=partial(lambda place: together()[place], place))
        for place, (task, texts) in enumerate(zip(tasks, alone, strict=True))
    }


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
        raise DataError(f"{what} is not a string but {type(text).__name__}", item=item)
    return text


def _references(given: Any, item: str) -> tuple[str, ...]:
    if isinstance(given, str):
        return (given,)
    if not isinstance(given, Sequence) or not given:
        raise DataError("references must be a string or a non-empty sequence of strings", item=item)
    return tuple(_text(text, "a reference", item) for text in given)
