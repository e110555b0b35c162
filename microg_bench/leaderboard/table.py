"""Markdown tables of scorecards, with the columns of the paper's Tables 3 and 4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from microg_bench.leaderboard import escape
from microg_bench.runs.scorecard import FloorEntry, Scorecard
from microg_bench.tasks import TASKS

BLIND = "blind"


def markdown(cards: Sequence[Scorecard]) -> str:
    """One table for scorecards of one task; the first line names what is not complete.

    Values are ×100 with two decimals. Below each model stand its 95% intervals, below all models the floors
    on the same items, and each model's gain over the blind floor. A metric that could not be computed shows
    `n/a` and its reason below the table, where the signatures stand too.
    """
    first = cards[0]
    columns = list(first.scores)
    lines = [
        f"**{escape.markdown(_name(card))}: {card.status}**\n" for card in cards if card.status != "complete"
    ]
    dataset = f"{escape.markdown(first.dataset)}, {first.items:,} items, protocol `{first.protocol}`"
    lines.append(f"{TASKS[first.task].title} on {dataset}\n")
    lines.append(f"| Model | #f | {' | '.join(columns)} |")
    lines.append(f"|---|---:|{'---:|' * len(columns)}")
    for card in cards:
        lines += _model_rows(card, columns)
    own = {card.model.name for card in cards if card.model}
    lines += [_floor_row(floor, columns) for name, floor in first.floors.items() if name not in own]
    lines += [_gain_row(card, columns) for card in cards if BLIND in card.floors and BLIND not in own]
    notes = dict.fromkeys(escape.markdown(note) for card in cards for note in _notes(card))
    signatures = dict.fromkeys(
        f"`{one.signature}`" for card in cards for one in card.scores.values() if one.signature
    )
    if signatures:
        notes[f"signatures: {', '.join(signatures)}"] = None
    return "\n".join([*lines, "", *(f"- {note}" for note in notes)]).rstrip() + "\n"


def _model_rows(card: Scorecard, columns: Sequence[str]) -> list[str]:
    frames = card.model.frame_count if card.model else None
    values = {name: entry.value for name, entry in card.scores.items()}
    rows = [_row(_name(card), "–" if frames is None else str(frames), values, columns)]
    bounds = {name: entry.interval for name, entry in card.scores.items()}
    if any(bounds.values()):
        cells = [f"{found[0]:.2f}–{found[1]:.2f}" if (found := bounds[name]) else "" for name in columns]
        rows.append(f"| *95% interval* | | {' | '.join(cells)} |")
    return rows


def _floor_row(floor: FloorEntry, columns: Sequence[str]) -> str:
    return _row(floor.title, "0", floor.scores, columns)


def _gain_row(card: Scorecard, columns: Sequence[str]) -> str:
    blind = card.floors[BLIND].scores
    gains = {name: (card.scores[name].value or 0.0) - blind[name] for name in columns if name in blind}
    cells = [f"{gains[name]:+.2f}" if name in gains else "n/a" for name in columns]
    return f"| *{escape.markdown(_name(card))}: gain over blind* | | {' | '.join(cells)} |"


def _row(name: str, frames: str, values: Mapping[str, float | None], columns: Sequence[str]) -> str:
    cells = ["n/a" if (value := values.get(column)) is None else f"{value:.2f}" for column in columns]
    return f"| {escape.markdown(name)} | {frames} | {' | '.join(cells)} |"


def _name(card: Scorecard) -> str:
    return card.model.title if card.model else "predictions"


def _notes(card: Scorecard) -> list[str]:
    notes = [f"{name}: {entry.unavailable}" for name, entry in card.scores.items() if entry.unavailable]
    notes += [f"{name}: {note}" for name, entry in card.scores.items() for note in entry.notes]
    if card.abstention:
        notes += [f'"Not mentioned." {line}' for line in _abstention(card)]
    if card.interval and any(entry.interval for entry in card.scores.values()):
        kind = {"source": "source videos", "clip": "clips"}[card.interval.clusters]
        notes.append(
            f"intervals: {card.interval.resamples:,} resamples of {card.interval.cluster_count} {kind}"
        )
    return notes


def _abstention(card: Scorecard) -> list[str]:
    found = card.abstention
    lines = []
    if found and found.rightly is not None:
        lines.append(
            f"was answered to {found.rightly:.1%} of the {found.absent:,} absent questions (rightly)"
        )
    if found and found.wrongly is not None:
        lines.append(
            f"was answered to {found.wrongly:.1%} of the {found.present:,} present questions (wrongly)"
        )
    return lines
