"""Our rows for the tables of the paper: from scorecards, with all that sets them apart from it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from microg_bench.adapters import Floor
from microg_bench.adapters.registry import registered
from microg_bench.leaderboard.published import Facts, PrintedTable
from microg_bench.runs.scorecard import Scorecard

CLOSED_ENGINES = ("openai", "gemini")
Access = Literal["open", "closed", "floor", ""]


@dataclass(frozen=True)
class OwnRow:
    """One row of ours.

    Attributes:
        name: what notes call it.
        labels: what names it, in the table's columns.
        access: open or closed, as in print; `floor` for what answers without a model.
        printed: the place of the printed row that it reproduces, None where there is none.
        values: scores by column; None where one could not be computed, absent where none was asked for.
        intervals: 95% intervals by column, where there are some.
        signatures: short and long signature by column.
        marks: why the row as a whole is not comparable with the printed ones.
        faults: why single columns are not.
        notes: what else a reader must know.
    """

    name: str
    labels: tuple[str, ...]
    access: Access
    values: Mapping[str, float | None]
    printed: int | None = None
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    signatures: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    marks: tuple[str, ...] = ()
    faults: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def comparable(self, column: str) -> bool:
        """Whether a score of this row may be held against a printed one."""
        return not self.marks and column not in self.faults and self.values.get(column) is not None


def text_rows(table: PrintedTable, facts: Facts, cards: Sequence[Scorecard]) -> list[OwnRow]:
    """The rows of the scorecards of this table's task, then the floors that stand in them.

    A floor is shown once for each set of items, and not again where it was run as a model.
    """
    own = [card for card in cards if card.task == table.facts.task]
    rows = [card_row(table, facts, card) for card in own]
    below: dict[tuple[object, ...], OwnRow] = {}
    for card, row in zip(own, rows, strict=True):
        for name, entry in card.floors.items():
            key = (name, row.marks)
            values = {**entry.scores, **(below[key].values if key in below else {})}
            below[key] = OwnRow(
                entry.title,
                (entry.title, "0"),
                "floor",
                values,
                signatures=row.signatures,
                marks=row.marks,
                faults=row.faults,
            )
    ran = {(card.model.name, row.marks) for card, row in zip(own, rows, strict=True) if card.model}
    return [*rows, *(row for key, row in below.items() if key not in ran)]


def card_row(table: PrintedTable, facts: Facts, card: Scorecard) -> OwnRow:
    """The row of one scorecard, whose task is that of `table`."""
    settings = card.settings or {}
    title = card.model.title if card.model else "predictions"
    frames = card.model.frame_count if card.model else None
    names = [card.model.name, title] if card.model else []
    place = _printed_model(table, facts, names, settings.get("checkpoint"))
    access: Access = "closed" if settings.get("engine") in CLOSED_ENGINES else "open"
    if card.model and card.model.name in _floor_names() and settings.get("engine") == "function":
        access = "floor"
    elif place is not None:
        access = "closed" if table.rows[place].access == "closed" else "open"
    scores = card.scores
    return OwnRow(
        name=title,
        labels=(title, "–" if frames is None else str(frames)),
        access=access,
        values={name: one.value for name, one in scores.items()},
        printed=place,
        intervals={name: one.interval for name, one in scores.items() if one.interval},
        signatures={
            name: (one.signature, one.signature_long or "") for name, one in scores.items() if one.signature
        },
        marks=tuple(_card_marks(facts, card)),
        faults={
            name: fault
            for name, one in scores.items()
            if one.value is not None and (fault := fault_of(facts, name, one.signature_long or ""))
        },
        notes=tuple(_card_notes(card)),
    )


def _card_notes(card: Scorecard) -> Iterator[str]:
    for name, one in card.scores.items():
        if one.unavailable:
            yield f"{name}: {one.unavailable}"
    if card.dropped:
        yield f"asked without {', '.join(card.dropped)}, which the model rejects"


def _card_marks(facts: Facts, card: Scorecard) -> list[str]:
    marks = []
    if card.protocol != facts.protocol:
        marks.append(f"protocol {card.protocol}, where the print is under {facts.protocol}")
    if card.fingerprint not in facts.datasets:
        marks.append(
            f"dataset {card.dataset} with {card.items:,} items (fingerprint {card.fingerprint[:12]}), "
            "not the references of the paper"
        )
    clips = (card.settings or {}).get("clips")
    if clips is not None:
        marks.append(f"{len(clips)} clips only")
    if card.status != "complete":
        marks.append(card.status)
    return marks


def fault_of(facts: Facts, score: str, signature: str) -> str:
    """What a long signature lacks for its score to be computed as the published one; empty for nothing."""
    parts = signature.split("|")
    wanted = facts.signatures.get(score, ())
    lacks = [one for one in wanted if not any(part.startswith(one) for part in parts)]
    return f"{score} is not the published one, which has {', '.join(lacks)}" if lacks else ""


def _printed_model(
    table: PrintedTable, facts: Facts, names: Sequence[str], checkpoint: str | None
) -> int | None:
    """The printed row of the same checkpoint or, where one of the two is not known, of the same name."""
    keys = {_key(name) for name in names}
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
def _floor_names() -> frozenset[str]:
    return frozenset(one.name for one in registered() if one.adapter and issubclass(one.adapter, Floor))
