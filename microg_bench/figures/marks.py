"""What all charts of scorecards share: which metrics are shown, how far intervals reach, colours by place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from microg_bench.figures.canvas import COLOURS
from microg_bench.runs.scorecard import Scorecard, ScoreEntry

MOST_METRICS = 16
LETTER = 0.065  # inches, of a label
STYLES = ("-", "--", ":", "-.")
Cards = Mapping[str, Scorecard]


def metrics_of(cards: Cards) -> list[str]:
    """The metrics that some card has a value of, in the order of the table; at most `MOST_METRICS`."""
    entries = ((name, one) for card in cards.values() for name, one in card.scores.items())
    return list(dict.fromkeys(name for name, one in entries if one.value is not None))[:MOST_METRICS]


def reach(entry: ScoreEntry) -> tuple[float, float]:
    """How far the 95% interval reaches below and above the value; 0 where there is none."""
    if entry.value is None or entry.interval is None:
        return 0.0, 0.0
    low, high = entry.interval
    return max(0.0, entry.value - low), max(0.0, high - entry.value)


def look(place: int) -> dict[str, Any]:
    """Colour and style of the line at `place`; no two of the first 24 are alike."""
    return {"color": COLOURS[place % len(COLOURS)], "linestyle": STYLES[place // len(COLOURS) % len(STYLES)]}
