"""Markdown tables of scorecards, with the columns of the paper's Tables 3 and 4."""

from __future__ import annotations

from collections.abc import Sequence

from microg_bench.runs.scorecard import Scorecard, ScoreEntry
from microg_bench.tasks import TASKS


def markdown(cards: Sequence[Scorecard]) -> str:
    """One table for scorecards of one task, a row each; the first line names what is not complete.

    Values are ×100 with two decimals; a metric that could not be computed shows `n/a` and its reason below.
    """
    first = cards[0]
    columns = list(first.scores)
    lines = [f"**{_cell(_name(card))}: {card.status}**\n" for card in cards if card.status != "complete"]
    dataset = f"{first.dataset}, {first.items:,} items, protocol `{first.protocol}`"
    lines.append(f"{TASKS[first.task].title} on {_cell(dataset)}\n")
    lines.append(f"| Model | #f | {' | '.join(columns)} |")
    lines.append(f"|---|---:|{'---:|' * len(columns)}")
    for card in cards:
        frames = card.model.frame_count if card.model else None
        shown = "–" if frames is None else str(frames)
        values = " | ".join(_value(card.scores[name]) for name in columns)
        lines.append(f"| {_cell(_name(card))} | {shown} | {values} |")
    notes = dict.fromkeys(note for card in cards for note in _notes(card))
    return "\n".join(lines) + "\n" + "".join(f"\n- {_cell(note)}" for note in notes) + ("\n" if notes else "")


def _name(card: Scorecard) -> str:
    return card.model.title if card.model else "predictions"


def _value(entry: ScoreEntry) -> str:
    return "n/a" if entry.value is None else f"{entry.value:.2f}"


def _notes(card: Scorecard) -> list[str]:
    unavailable = [f"{name}: {entry.unavailable}" for name, entry in card.scores.items() if entry.unavailable]
    return unavailable + [f"{name}: {note}" for name, entry in card.scores.items() for note in entry.notes]


def _cell(text: str) -> str:
    """Text that stays text in a Markdown cell, whatever a model or file is called."""
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
