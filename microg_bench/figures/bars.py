"""Scores as bars: a panel a metric, a bar a run with its 95% interval, the floors as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microg_bench.figures.canvas import COLOURS
from microg_bench.figures.labels import clean
from microg_bench.figures.marks import LETTER, STYLES, Cards, metrics_of, reach

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_FLOORS = len(COLOURS) - 1


def draw_bars(figure: Figure, cards: Cards) -> bool:
    """Draw onto `figure`; False where no card has a score."""
    names = metrics_of(cards)
    if not names:
        return False
    longest = max(len(line) for label in cards for line in label.splitlines())
    figure.set_size_inches(max(6.0, 2.1 * len(names) + LETTER * longest), 0.36 * len(cards) + 1.4)
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        _bars(axes, cards, name)
        _floors(axes, cards, name)
        axes.set_title(clean(name, 16))
        axes.margins(x=0.22)
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(range(len(cards)), list(cards))
    panels[0].set_ylim(len(cards) - 0.5, -0.5)
    handles, titles = panels[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, titles, loc="outside lower right", ncols=len(titles))
    return True


def _bars(axes: Axes, cards: Cards, metric: str) -> None:
    for place, card in enumerate(cards.values()):
        entry = card.scores.get(metric)
        if entry is None or entry.value is None:
            axes.annotate("n/a", (0, place), xytext=(3, 0), textcoords="offset points", va="center")
            continue
        below, above = reach(entry)
        axes.barh(place, entry.value, height=0.7, color=COLOURS[0])
        if entry.interval is not None:
            axes.errorbar(
                entry.value, place, xerr=[[below], [above]], color="#222222", capsize=2, linewidth=1
            )
        axes.annotate(
            f"{entry.value:.1f}",
            (max(0.0, entry.value + above), place),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
            zorder=3,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )


def _floors(axes: Axes, cards: Cards, metric: str) -> None:
    floors = [floor for card in cards.values() for floor in card.floors.values() if metric in floor.scores]
    values = {clean(floor.title): floor.scores[metric] for floor in floors}
    for place, (title, value) in enumerate(sorted(values.items())[:MOST_FLOORS]):
        style, colour = STYLES[(place + 1) % len(STYLES)], COLOURS[1 + place]
        axes.axvline(value, color=colour, linestyle=style, linewidth=1.2, label=title, zorder=1.5)
