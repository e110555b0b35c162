"""Scores by slice as a heat map: a panel a run, a row a slice, a column a metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

from microg_bench.figures.labels import clean
from microg_bench.figures.marks import Cards, metrics_of
from microg_bench.runs.scorecard import SliceEntry

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DARK = 0.7  # share of the highest value above which figures are written in white
MOST_ROWS = 40
# Inches: a field, a line and a letter of a title, the narrowest panel, the panels beside each other.
FIELD = 0.55, 0.24
LINE, LETTER = 0.14, 0.085
NARROWEST, WIDEST = 2.0, 14.0
Slices = Mapping[str, SliceEntry]


def draw_heat(figure: Figure, cards: Cards, kind: str) -> bool:
    """Draw the slices of one kind onto `figure`; False where no card has such slices.

    The darker a field, the nearer it is to the highest value of its metric among all runs and slices. Slices
    with many items stand on top; of very many the largest are shown.
    """
    sliced = {label: card.slices[kind] for label, card in cards.items() if card.slices.get(kind)}
    names = metrics_of(cards)
    if not sliced or not names:
        return False
    sizes = {row: one.items for slices in sliced.values() for row, one in slices.items()}
    rows = sorted(sizes, key=lambda row: (-sizes[row], row))[:MOST_ROWS]
    width = max(FIELD[0] * len(names), NARROWEST)
    titles = [_wrapped(label, width) for label in sliced]
    lines = max(title.count("\n") for title in titles)
    across = min(len(sliced), int(WIDEST / width) or 1)
    down = -(-len(sliced) // across)
    height = FIELD[1] * len(rows) + LINE * lines + 1.0
    figure.set_size_inches(max(6.0, width * across + 2.2), height * down + 0.4)
    panels = list(figure.subplots(down, across, sharey=True, squeeze=False).flat)
    highest = _highest(sliced, names)
    for axes, title, slices in zip(panels, titles, sliced.values(), strict=False):
        _panel(axes, slices, rows, highest)
        axes.set_title(title, fontsize=8)
    for axes in panels[len(sliced) :]:
        axes.set_visible(False)
    panels[0].set_yticks(range(len(rows)), [clean(f"{row} ({sizes[row]:,})") for row in rows])
    if more := len(sizes) - len(rows):
        figure.supylabel(f"the {len(rows)} largest; {more:,} more are not shown")
    return True


def _wrapped(label: str, width: float) -> str:
    """A label in lines that are no wider than its panel, in inches."""
    return "\n".join(part for line in label.splitlines() for part in wrap(line, int(width / LETTER)))


def _highest(sliced: Mapping[str, Slices], names: Sequence[str]) -> dict[str, float]:
    entries = [one for slices in sliced.values() for one in slices.values()]
    return {name: max((one.scores.get(name, 0.0) for one in entries), default=0.0) or 1.0 for name in names}


def _panel(axes: Axes, slices: Slices, rows: Sequence[str], highest: Mapping[str, float]) -> None:
    values = [[slices[row].scores.get(name) if row in slices else None for name in highest] for row in rows]
    shares = [
        [(value or 0.0) / top for value, top in zip(line, highest.values(), strict=True)] for line in values
    ]
    axes.imshow(shares, aspect="auto", cmap="Blues", vmin=0, vmax=1.15)
    for y, line in enumerate(values):
        for x, value in enumerate(line):
            if value is not None:
                ink = "white" if shares[y][x] > DARK else "black"
                axes.text(x, y, f"{value:.1f}", ha="center", va="center", fontsize=6.5, color=ink)
    axes.set_xticks(
        range(len(highest)),
        [clean(name, 16) for name in highest],
        rotation=40,
        ha="right",
        rotation_mode="anchor",
    )
    axes.tick_params(length=0)
