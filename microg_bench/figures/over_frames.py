"""Scores against the number of frames: a panel a metric, a line through runs that differ in nothing else.

The band around a line is the 95% interval.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import log2
from typing import TYPE_CHECKING

from microg_bench.figures.labels import clean, labels
from microg_bench.figures.marks import LETTER, Cards, look, metrics_of, reach
from microg_bench.runs.scorecard import Scorecard

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_FRAMES = 1_000_000
APART = 1 / 12  # of the axis: labels nearer than that would touch
Points = dict[int, Scorecard]


def draw_over_frames(figure: Figure, cards: Cards) -> bool:
    """Draw onto `figure`; False where no two runs differ in the number of frames alone."""
    lines = [points for points in _lines(cards) if len(points) > 1]
    names = metrics_of(cards)
    if not lines or not names:
        return False
    titles = labels([next(iter(points.values())) for points in lines], apart=("frames",))
    longest = max(len(line) for title in titles for line in title.splitlines())
    width = max(6.0, 2.6 * len(names))
    across = min(len(lines), int(width / (LETTER * longest + 0.6)) or 1)
    figure.set_size_inches(width, 3.2 + 0.3 * -(-len(lines) // across))
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    counts = sorted({count for points in lines for count in points})
    for axes, name in zip(panels, names, strict=True):
        for place, (title, points) in enumerate(zip(titles, lines, strict=True)):
            _line(axes, name, points, place, title)
        axes.set_title(clean(name, 16))
        axes.set_xlabel("frames")
        axes.set_xscale("log", base=2)
        axes.set_xticks(_ticks(counts), [f"{count}" for count in _ticks(counts)])
        axes.minorticks_off()
    handles, shown = panels[0].get_legend_handles_labels()
    figure.legend(handles, shown, loc="outside lower center", ncols=across)
    return True


def _lines(cards: Cards) -> list[Points]:
    """Runs by number of frames, one mapping for each choice of all other settings."""
    found: dict[str, Points] = {}
    for card in cards.values():
        count = card.model.frame_count if card.model else None
        if card.model and count and 0 < count <= MOST_FRAMES:
            others = {key: value for key, value in (card.settings or {}).items() if key != "frames"}
            key = json.dumps([card.model.name, others], sort_keys=True)
            found.setdefault(key, {}).setdefault(count, card)
    return list(found.values())


def _ticks(counts: Sequence[int]) -> list[int]:
    """The counts that can be labelled without touching."""
    span = log2(counts[-1] / counts[0])
    shown = [counts[0]]
    for count in counts[1:]:
        if log2(count / shown[-1]) >= APART * span:
            shown.append(count)
    return shown


def _line(axes: Axes, metric: str, points: Points, place: int, title: str) -> None:
    entries = {count: card.scores.get(metric) for count, card in sorted(points.items())}
    known = {count: one for count, one in entries.items() if one and one.value is not None}
    values = [one.value or 0.0 for one in known.values()]
    reaches = [reach(one) for one in known.values()]
    low = [value - below for value, (below, _) in zip(values, reaches, strict=True)]
    high = [value + above for value, (_, above) in zip(values, reaches, strict=True)]
    style = look(place)
    axes.fill_between(list(known), low, high, color=style["color"], alpha=0.15, linewidth=0)
    axes.plot(list(known), values, marker="o", markersize=3, label=title, **style)
