"""Draws scores against what models take on board: one chart a kind of hardware, with Pareto fronts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from microg_bench.plots.canvas import COLOURS, canvas, clean, save
from microg_bench.plots.draw import labels, numbered
from microg_bench.runs.cost import QUANTITIES, Quantity
from microg_bench.scorecard import NO_BENCHMARK
from microg_bench.tables.on_board import OnBoardTable, front
from microg_bench.text import many

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

MARKS = "osD^vP"  # a colour and a mark a model: 36 are told apart
WIDE = 10.0  # values further apart than so many times are drawn on a logarithmic axis
PANEL = 3.2  # inches
MOST_IN_A_ROW = 3
LEAST = 2  # points of a front


def draw_fronts(tables: Iterable[OnBoardTable], folder: Path, metric: str | None = None) -> list[Path]:
    """Draw a chart for each table into `folder`, and return the files: `vqa-on-board-nvidia-h100.png`, ...

    A panel is a quantity. Models on its Pareto front are filled and joined by a line; others are outlines. A
    table of which no panel has two models is not drawn.

    Args:
        tables: each of one kind of hardware.
        folder: where to.
        metric: the score; None takes the first metric of the task that the table has.

    Raises:
        MissingExtraError: matplotlib is not installed.
        RunError: a file cannot be written.
    """
    found = [(one, metric or next(iter(one.metrics), "")) for one in tables]
    drawn = [(one, name, panels) for one, name in found if (panels := _panels(one, name))]
    names = numbered([f"{one.task}-on-board-{_slug(one.hardware)}" for one, _, _ in drawn])
    files = []
    for (one, score, panels), name in zip(drawn, names, strict=True):
        files += _draw(one, score, panels, folder / _slug(name))
    return files


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", clean(text, 120).lower()).strip("-.")


def _panels(one: OnBoardTable, metric: str) -> list[Quantity]:
    """The quantities that two models have beside a score."""
    return [
        quantity
        for quantity in QUANTITIES
        if sum(point is not None for point in _points(one, metric, quantity)) >= LEAST
    ]


def _points(one: OnBoardTable, metric: str, quantity: Quantity) -> list[tuple[float, float] | None]:
    """The quantity and the score of each row, as tables show it; None where one of them is not known."""
    pairs = [(quantity.of(row.measurement), row.score(metric).value) for row in one.rows]
    return [None if x is None or y is None else (x, round(y, 2)) for x, y in pairs]


def _draw(one: OnBoardTable, metric: str, panels: Sequence[Quantity], path: Path) -> list[Path]:
    titles = labels([row.card for row in one.rows])
    clips = [row.measurement.clips for row in one.rows]
    names = [f"{title} ({many(count, 'clip')})" for title, count in zip(titles, clips, strict=True)]
    across = min(len(panels), MOST_IN_A_ROW)
    down = -(-len(panels) // across)
    with canvas() as figure:
        figure.set_size_inches(PANEL * across, 2.6 * down + 0.9 + 0.17 * -(-len(names) // across))
        cells = list(figure.subplots(down, across, sharey=True, squeeze=False).flat)
        for axes, quantity in zip(cells, panels, strict=False):
            _panel(axes, _points(one, metric, quantity), names, quantity)
        for axes in cells[len(panels) :]:
            axes.set_visible(False)
        for axes in cells[::across]:
            axes.set_ylabel(f"{clean(metric, 16)}, ×100")
        handles = [_mark(cells[0], [], [], place, name) for place, name in enumerate(names)]
        figure.legend(handles=handles, loc="outside lower left", ncols=across)
        lines = [clean(one.title, 110), "filled: on the Pareto front"]
        lines += [] if one.first.is_benchmark else [NO_BENCHMARK]
        figure.suptitle("\n".join(lines), fontsize=10)
        return save(figure, path)


def _panel(
    axes: Axes, points: Sequence[tuple[float, float] | None], names: Sequence[str], quantity: Quantity
) -> None:
    known = {place: point for place, point in enumerate(points) if point is not None}
    best = [list(known)[k] for k in front(list(known.values()), quantity.lower)]
    steps = [known[place] for place in best]
    # Between two models of a front, none is better than the one that takes less.
    axes.step(
        *zip(*steps, strict=True), where="post" if quantity.lower else "pre", color="#999999", linewidth=1
    )
    for place, (x, y) in known.items():
        _mark(axes, [x], [y], place, names[place], filled=place in best)
    values = [x for x, _ in known.values()]
    if min(values) > 0 and max(values) > WIDE * min(values):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
    axes.margins(0.12)
    axes.set_xlabel(f"{quantity.name} ({'lower' if quantity.lower else 'higher'} is better)")


def _mark(
    axes: Axes, xs: Sequence[float], ys: Sequence[float], place: int, name: str, filled: bool = True
) -> Line2D:
    colour, mark = COLOURS[place % len(COLOURS)], MARKS[place // len(COLOURS) % len(MARKS)]
    (line,) = axes.plot(
        *(xs, ys), linestyle="none", marker=mark, color=colour, markerfacecolor=colour if filled else "white",
        markersize=6, label=name,
    )  # fmt: skip
    return line
