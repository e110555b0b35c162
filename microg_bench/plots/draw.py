"""Draws scorecards onto a figure: bars with intervals, heat maps of slices, lines over numbers of frames."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import count
from math import log2
from textwrap import wrap
from typing import TYPE_CHECKING, Any, TypeVar

from microg_bench.plots.canvas import COLOURS, clean
from microg_bench.scorecard import Scorecard, ScoreEntry
from microg_bench.settings import Settings
from microg_bench.slices import SliceEntry

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_METRICS = 16
MOST_BASELINES = len(COLOURS) - 1
MOST_ROWS = 40  # of a heat map
MOST_FRAMES = 1_000_000
STYLES = ("-", "--", ":", "-.")
LETTER = 0.065  # inches, of a label
# Inches of a heat map: a field, a line and a letter of a title, the narrowest panel, all panels of a row.
FIELD = 0.55, 0.24
TITLE_LINE, TITLE_LETTER = 0.14, 0.085
NARROWEST, WIDEST = 2.0, 14.0
DARK = 0.7  # share of the highest value above which figures are written in white
APART = 1 / 12  # of the axis: labels nearer than that would touch
LONGEST_VALUE = 24  # characters of a setting in a label
MOST_VALUES = 3  # settings in a label
# What a label holds already, or what is no name of a run; of generation and media the parts are used.
_NO_LABEL = {"title", "task", "dataset", "fingerprint", "clips", "generation", "media"}
Cards = Mapping[str, Scorecard]
Slices = Mapping[str, SliceEntry]
Row = tuple[str, str]  # kind and label of a slice
Points = dict[int, Scorecard]
Of = TypeVar("Of")


def draw_bars(figure: Figure, cards: Cards) -> bool:
    """Draw scores onto `figure`; False where no card has one.

    A panel is a metric and a bar a run, with its 95% interval; baselines are lines.
    """
    names = _metrics(cards)
    if not names:
        return False
    longest = max(len(line) for label in cards for line in label.splitlines())
    figure.set_size_inches(max(6.0, 2.1 * len(names) + LETTER * longest), 0.36 * len(cards) + 1.4)
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        _bars(axes, cards, name)
        _baselines(axes, cards, name)
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
        below, above = _reach(entry)
        axes.barh(place, entry.value, height=0.7, color=COLOURS[0])
        if entry.interval is not None:
            reach = [[below], [above]]
            axes.errorbar(entry.value, place, xerr=reach, color="#222222", capsize=2, linewidth=1)
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


def _baselines(axes: Axes, cards: Cards, metric: str) -> None:
    baselines = (one for card in cards.values() for one in card.baselines.values() if metric in one.scores)
    values = {clean(one.title): one.scores[metric] for one in baselines}
    for place, (title, value) in enumerate(sorted(values.items())[:MOST_BASELINES]):
        style, colour = STYLES[(place + 1) % len(STYLES)], COLOURS[1 + place]
        axes.axvline(value, color=colour, linestyle=style, linewidth=1.2, label=title, zorder=1.5)


def draw_heat(figure: Figure, cards: Cards, kind: str) -> bool:
    """Draw the slices of one kind onto `figure`, a panel a run; False where no card has such slices.

    A row is a slice and a column a metric. The darker a field, the nearer it is to the highest value of its
    metric among all runs and slices. The largest slices come first; of very many only they are shown.
    """
    sliced = {label: card.slices[kind] for label, card in cards.items() if card.slices.get(kind)}
    names = _metrics(cards)
    if not sliced or not names:
        return False
    sizes = {row: one.items for slices in sliced.values() for row, one in slices.items()}
    rows = sorted(sizes, key=lambda row: (-sizes[row], row))[:MOST_ROWS]
    entries = [one for slices in sliced.values() for one in slices.values()]
    highest = {name: max(one.scores.get(name, 0.0) for one in entries) or 1.0 for name in names}
    panels = _heat_panels(figure, list(sliced), [f"{row} ({sizes[row]:,})" for row in rows], len(names))
    for axes, slices in zip(panels, sliced.values(), strict=True):
        _scores(axes, slices, rows, highest)
    if more := len(sizes) - len(rows):
        figure.supylabel(f"the {len(rows)} largest; {more:,} more are not shown")
    return True


def draw_differences(figure: Figure, cards: Cards) -> bool:
    """Draw how slices of all kinds differ from the other items onto `figure`, a panel a run.

    A row is a slice and a column a metric: the score of the slice less that of the other items of its kind.
    The darker a field, the nearer it is to the largest difference of its metric; blue is above, red below. A
    difference that is significant after correction is bold, with a star. Of very many slices those that
    differ and the largest are shown. False where no card compares slices.
    """
    compared = {label: _compared(card) for label, card in cards.items()}
    compared = {label: slices for label, slices in compared.items() if slices}
    found = {row: one for slices in compared.values() for row, one in slices.items()}
    entries = [one for slices in compared.values() for one in slices.values()]
    names = [name for name in _metrics(cards) if any(name in one.differences for one in entries)]
    if not names:
        return False
    differs = {row for slices in compared.values() for row, one in slices.items() if one.differs}
    first = sorted(found, key=lambda row: (row not in differs, -found[row].items))[:MOST_ROWS]
    rows = [row for row in found if row in set(first)]
    labelled = [f"{kind.replace('_', ' ')}: {name} ({found[kind, name].items:,})" for kind, name in rows]
    panels = _heat_panels(figure, list(compared), labelled, len(names))
    values = {
        name: [one.differences[name].value for one in entries if name in one.differences] for name in names
    }
    reach = {name: max(map(abs, own)) or 1.0 for name, own in values.items()}
    for axes, slices in zip(panels, compared.values(), strict=True):
        _differences(axes, slices, rows, reach)
    if more := len(found) - len(rows):
        figure.supylabel(
            f"{len(rows)} slices: those that differ, and the largest; {more:,} more are not shown"
        )
    return True


def _compared(card: Scorecard) -> dict[Row, SliceEntry]:
    """The slices that are compared with the other items, by kind and label, the largest of a kind first."""
    return {
        (kind, label): one
        for kind, slices in card.slices.items()
        for label, one in sorted(slices.items(), key=lambda pair: (-pair[1].items, pair[0]))
        if one.differences
    }


def _heat_panels(figure: Figure, titles: Sequence[str], rows: Sequence[str], columns: int) -> list[Axes]:
    """Empty panels with these titles, for heat maps of the same rows and as many columns."""
    width = max(FIELD[0] * columns, NARROWEST)
    wrapped = [_wrapped(title, width) for title in titles]
    lines = max(title.count("\n") for title in wrapped)
    across = min(len(titles), int(WIDEST / width) or 1)
    down = -(-len(titles) // across)
    height = FIELD[1] * len(rows) + TITLE_LINE * lines + 1.0
    figure.set_size_inches(max(6.0, width * across + 2.2), height * down + 0.4)
    panels = list(figure.subplots(down, across, sharey=True, squeeze=False).flat)
    for axes, title in zip(panels, wrapped, strict=False):
        axes.set_title(title, fontsize=8)
    for axes in panels[len(titles) :]:
        axes.set_visible(False)
    panels[0].set_yticks(range(len(rows)), list(map(clean, rows)))
    return panels[: len(titles)]


def _wrapped(label: str, width: float) -> str:
    """A label in lines that are no wider than its panel, in inches."""
    return "\n".join(part for line in label.splitlines() for part in wrap(line, int(width / TITLE_LETTER)))


def _scores(axes: Axes, slices: Slices, rows: Sequence[str], highest: Mapping[str, float]) -> None:
    """The scores of a run, by slice and metric."""
    values = [[slices[row].scores.get(name) if row in slices else None for name in highest] for row in rows]
    shares = _shares(values, highest)
    axes.imshow(shares, aspect="auto", cmap="Blues", vmin=0, vmax=1.15)
    for (y, x), value in _fields(values):
        _write(axes, x, y, f"{value:.1f}", shares[y][x])
    _name_columns(axes, highest)


def _differences(
    axes: Axes, slices: Mapping[Row, SliceEntry], rows: Sequence[Row], reach: Mapping[str, float]
) -> None:
    """The differences of a run, by slice and metric."""
    entries = [
        [slices[row].differences.get(name) if row in slices else None for name in reach] for row in rows
    ]
    shares = _shares([[None if one is None else one.value for one in line] for line in entries], reach)
    axes.imshow(shares, aspect="auto", cmap="RdBu", vmin=-1.15, vmax=1.15)
    for (y, x), one in _fields(entries):
        _write(axes, x, y, f"{one.value:+.1f}{'*' if one.differs else ''}", abs(shares[y][x]), one.differs)
    _name_columns(axes, reach)


def _shares(values: Sequence[Sequence[float | None]], tops: Mapping[str, float]) -> list[list[float]]:
    """Values as shares of the top of their column; what is not there is 0."""
    return [[(value or 0.0) / top for value, top in zip(line, tops.values(), strict=True)] for line in values]


def _fields(table: Sequence[Sequence[Of | None]]) -> Iterator[tuple[tuple[int, int], Of]]:
    """What is there of a table, with row and column."""
    for y, line in enumerate(table):
        yield from (((y, x), one) for x, one in enumerate(line) if one is not None)


def _write(axes: Axes, x: int, y: int, text: str, darkness: float, strong: bool = False) -> None:
    ink, weight = "white" if darkness > DARK else "black", "bold" if strong else "normal"
    axes.text(x, y, text, ha="center", va="center", fontsize=6.5, color=ink, weight=weight)


def _name_columns(axes: Axes, metrics: Iterable[str]) -> None:
    names = [clean(name, 16) for name in metrics]
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.tick_params(length=0)


def draw_over_frames(figure: Figure, cards: Cards) -> bool:
    """Draw scores against the number of frames onto `figure`, a panel a metric.

    A line joins runs that differ in nothing else; the band around it is the 95% interval. False where no two
    runs differ in the number of frames alone.
    """
    lines = [points for points in _lines(cards) if len(points) > 1]
    names = _metrics(cards)
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
        frames = card.model.frame_count if card.model else None
        if card.model and frames and 0 < frames <= MOST_FRAMES:
            others = card.settings.model_dump(mode="json", exclude={"frames"}) if card.settings else {}
            key = json.dumps([card.model.name, others], sort_keys=True)
            found.setdefault(key, {}).setdefault(frames, card)
    return list(found.values())


def _ticks(counts: Sequence[int]) -> list[int]:
    """The counts that can be labelled without touching."""
    span = log2(counts[-1] / counts[0])
    shown = [counts[0]]
    for following in counts[1:]:
        if log2(following / shown[-1]) >= APART * span:
            shown.append(following)
    return shown


def _line(axes: Axes, metric: str, points: Points, place: int, title: str) -> None:
    entries = ((count, card.scores.get(metric)) for count, card in sorted(points.items()))
    known = [(count, one.value, *_reach(one)) for count, one in entries if one and one.value is not None]
    counts, values = [count for count, *_ in known], [value for _, value, *_ in known]
    low = [value - below for _, value, below, _ in known]
    high = [value + above for _, value, _, above in known]
    # No two of the first 24 lines are alike.
    colour, style = COLOURS[place % len(COLOURS)], STYLES[place // len(COLOURS) % len(STYLES)]
    axes.fill_between(counts, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(counts, values, marker="o", markersize=3, label=title, color=colour, linestyle=style)


def labels(cards: Sequence[Scorecard], apart: Collection[str] = ()) -> list[str]:
    """A label for each card of a task: its model's title and, where titles are equal, what settings differ.

    The settings named in `apart` are left out.
    """
    titles = [clean(card.title) for card in cards]
    settings = [_named(card.settings, apart) if card.settings else {} for card in cards]
    found = []
    for title, own in zip(titles, settings, strict=True):
        alike = [other for name, other in zip(titles, settings, strict=True) if name == title]
        differing = [key for key in own if any(other.get(key) != own[key] for other in alike)]
        named = ((clean(key.replace("_", " "), LONGEST_VALUE), own[key]) for key in differing[:MOST_VALUES])
        found.append("\n".join(filter(None, [title, ", ".join(map(" ".join, named))])))
    return numbered(found)


def _named(settings: Settings, apart: Collection[str]) -> dict[str, str]:
    """The settings that may distinguish runs, as texts."""
    prompt, media = settings.prompt, settings.media
    values: dict[str, Any] = {
        **settings.model_dump(exclude=_NO_LABEL),
        **settings.generation.model_dump(),
        "frames": settings.shown,
        "prompt": prompt and f"{prompt.id}@{prompt.version}",
        **(media.model_dump(exclude={"kind"}) if media else {}),
        "media": media and media.kind,
    }
    return {
        key: clean("none" if value is None else str(value), LONGEST_VALUE)
        for key, value in values.items()
        if key not in apart
    }


def numbered(names: Sequence[str]) -> list[str]:
    """The names, each that is there already with a number behind it."""
    found: dict[str, None] = {}
    for name in names:
        free = (f"{name} ({k})" for k in count(2))
        found[name if name not in found else next(one for one in free if one not in found)] = None
    return list(found)


def _metrics(cards: Cards) -> list[str]:
    """The metrics that some card has a value of, in their order; at most `MOST_METRICS`."""
    entries = ((name, one) for card in cards.values() for name, one in card.scores.items())
    return list(dict.fromkeys(name for name, one in entries if one.value is not None))[:MOST_METRICS]


def _reach(entry: ScoreEntry) -> tuple[float, float]:
    """How far the 95% interval reaches below and above the value; 0 where there is none."""
    value = entry.value or 0.0
    low, high = entry.interval or (value, value)
    return max(0.0, value - low), max(0.0, high - value)
