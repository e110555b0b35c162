"""Our rows for the tables of the paper: from scorecards, with everything that sets them apart from it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from microg_bench.adapters.base import Baseline
from microg_bench.adapters.registry import is_generic, registered
from microg_bench.engines.registry import CLOSED
from microg_bench.scorecard import Counts, Scorecard, ScoreEntry, ServedModel, Signature
from microg_bench.tables.published import Access, Facts, PublishedTable
from microg_bench.text import many


@dataclass(frozen=True)
class OwnRow:
    """One row of ours.

    Attributes:
        name: what notes call it.
        labels: what names it, in the table's columns.
        access: open or closed, as published; `baseline` for what answers without a model.
        published: the place of the published row that it reproduces, None where there is none.
        scores: by column; without a value where one could not be computed, none where it was not asked for.
        marks: why the row as a whole is not comparable with the published ones.
        faults: why single columns are not.
        notes: what else a reader must know.
        counts: what became of the requests, None where nothing was asked.
        thinking: the level of thinking that was asked for.
        served: the models that answered, as their server names them.
        doubtful: whether most of the requests failed, or most of the answers are none.
    """

    name: str
    labels: tuple[str, ...]
    access: Access
    scores: Mapping[str, ScoreEntry]
    published: int | None = None
    marks: tuple[str, ...] = ()
    faults: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    counts: Counts | None = None
    thinking: str | None = None
    served: tuple[ServedModel, ...] = ()
    doubtful: bool = False

    @property
    def values(self) -> dict[str, float | None]:
        """The values of the scores."""
        return {name: one.value for name, one in self.scores.items()}

    def comparable(self, column: str) -> bool:
        """Whether a score of this row is comparable with a published one."""
        return not self.marks and column not in self.faults and self.values.get(column) is not None


def text_rows(table: PublishedTable, facts: Facts, cards: Sequence[Scorecard]) -> list[OwnRow]:
    """The rows of the scorecards of this table's task, then the baselines in them.

    A baseline is shown once for each set of items, and not again where it was run as a model. Those of a run
    that is not complete are left out: they were scored on what its model answered alone.
    """
    own = [card for card in cards if card.task == table.facts.task]
    rows = [card_row(table, facts, card) for card in own]
    below: dict[tuple[object, ...], OwnRow] = {}
    unsigned = ScoreEntry()
    for card, row in zip(own, rows, strict=True):
        for name, entry in card.baselines.items() if card.complete else ():
            key, labels = (name, row.marks), (entry.title, "0")
            scores = {
                metric: ScoreEntry(value=value, signature=row.scores.get(metric, unsigned).signature)
                for metric, value in entry.scores.items()
            }
            found = OwnRow(entry.title, labels, "baseline", scores, marks=row.marks, faults=row.faults)
            below[key] = _joined(below[key], found) if key in below else found
    ran = {(card.model.name, row.marks) for card, row in zip(own, rows, strict=True) if card.model}
    return [*rows, *(row for key, row in below.items() if key not in ran)]


def _joined(first: OwnRow, second: OwnRow) -> OwnRow:
    """The scores of both rows, each with its own fault; under a metric of both those of the first."""
    own = {name: fault for name, fault in first.faults.items() if name in first.scores}
    added = {name: fault for name, fault in second.faults.items() if name not in first.scores}
    return replace(first, scores={**second.scores, **first.scores}, faults={**added, **own})


def card_row(table: PublishedTable, facts: Facts, card: Scorecard) -> OwnRow:
    """The row of one scorecard, whose task is that of `table`."""
    place = _published_model(table, facts, card)
    return OwnRow(
        name=card.title,
        labels=(card.title, card.frames),
        access=access_of(card, None if place is None else table.rows[place].access),
        scores=card.scores,
        published=place,
        marks=tuple(_marks(facts, card)),
        faults={
            name: fault
            for name, one in card.scores.items()
            if one.value is not None
            and (fault := card.unverified if one.unverified else fault_of(facts, name, one.signature))
        },
        notes=tuple(card.remarks()),
        counts=card.counts,
        thinking=card.settings.thinking if card.settings else None,
        served=card.served,
        doubtful=any(card.doubts()),
    )


def fault_of(facts: Facts, score: str, signature: Signature | None) -> str:
    """What a signature lacks for its score to be computed as the published one; empty for nothing.

    A model is compared without its revision, which follows an @.
    """
    values = signature.values if signature else {}
    lacks = [
        f"{name}:{wanted}"
        for name, wanted in facts.signatures.get(score, {}).items()
        if values.get(name, "").partition("@")[0] != wanted
    ]
    return f"{score} is not the published one, which has {', '.join(lacks)}" if lacks else ""


def access_of(card: Scorecard, published: Access | None = None) -> Access:
    """Open or closed, or a baseline; as published where that is known, empty where nobody can tell.

    What a server calls by some name, as a gateway does, may be anything.
    """
    engine = card.settings.engine if card.settings else None
    if card.model and card.model.name in _baseline_names() and engine == "function":
        return "baseline"
    if published is not None:
        return published or "open"
    if card.settings and is_generic(card.settings.model) and engine == "server":
        return ""
    return "closed" if engine in CLOSED else "open"


def _marks(facts: Facts, card: Scorecard) -> Iterator[str]:
    if card.protocol != facts.protocol:
        yield f"protocol {card.protocol}, where the published numbers have {facts.protocol}"
    if card.fingerprint not in facts.datasets:
        yield (
            f"dataset {card.dataset} with {many(card.items, 'item')} (fingerprint {card.fingerprint[:12]}), "
            "not the references of the paper"
        )
    if card.settings and card.settings.part:
        yield card.settings.part
    if not card.complete:
        yield card.status


def _published_model(table: PublishedTable, facts: Facts, card: Scorecard) -> int | None:
    """The published row of the same checkpoint or, where one of the two is not known, of the same name."""
    if card.settings and card.settings.checkpoint_sha256:  # weights of somebody's own
        return None
    checkpoint = card.settings.checkpoint if card.settings else None
    keys = {_key(card.model.name), _key(card.title)} if card.model else set()
    for place, row in enumerate(table.rows):
        published = facts.checkpoints.get(row.labels[0])
        if checkpoint and published:
            if checkpoint == published:
                return place
        elif _key(row.labels[0]) in keys:
            return place
    return None


def _key(name: str) -> str:
    """`openai:gpt-4o` and `GPT-4o` are one name."""
    return re.sub(r"[^a-z0-9]", "", name.rpartition(":")[2].rpartition("/")[2].lower())


@cache
def _baseline_names() -> frozenset[str]:
    return frozenset(one.name for one in registered() if one.adapter and issubclass(one.adapter, Baseline))
