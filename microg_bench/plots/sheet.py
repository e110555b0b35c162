"""The statistics of a dataset on one sheet, like the paper's Figure 2: a panel a table of counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from microg_bench.dataset.labels import read_groups
from microg_bench.dataset.stats import CountTable, Stats
from microg_bench.errors import MissingExtraError
from microg_bench.plots.canvas import COLOURS, canvas, clean, save

if TYPE_CHECKING:
    from random import Random

    from matplotlib.axes import Axes

SHEET_FILE = "dataset"
MOST_IN_A_ROW = 5
WIDTH, HEIGHT = 17.0, 3.1  # inches; the height is that of a row
CLOUD_WIDTH, CLOUD_HEIGHT = 840, 480  # pixels
KINDS = ("caption", "question", "answer")
TOP_SOURCES = 12
BINS = 40
FEWEST_BARS = 6  # space for as many, so that two are not too thick
CountTables = Mapping[str, CountTable]
Panel = Callable[["Axes", CountTables], None]


def draw_sheet(stats: Stats, folder: Path) -> list[Path]:
    """Draw the sheet as PNG and SVG into `folder`, and return the files.

    What the dataset does not have (action labels, captions, questions) has no panel.

    Raises:
        MissingExtraError: matplotlib or wordcloud is not installed.
        RunError: a file cannot be written.
    """
    wide, small, clouds = (
        [panel for name, panel in group.items() if name in stats.tables] for group in (WIDE, SMALL, CLOUDS)
    )
    rows = [row for row in (wide, *_rows(small), clouds) if row]
    with canvas() as figure:
        figure.set_size_inches(WIDTH, HEIGHT * len(rows) + 0.3)
        figure.suptitle(clean(stats.title, 120), fontsize=13, fontweight="bold")
        for part, row in zip(figure.subfigures(len(rows), 1, squeeze=False)[:, 0], rows, strict=True):
            for axes, panel in zip(part.subplots(1, len(row), squeeze=False)[0], row, strict=True):
                panel(axes, stats.tables)
        return save(figure, folder / SHEET_FILE)


def _rows(found: Sequence[Panel]) -> list[Sequence[Panel]]:
    """The panels in rows that are nearly as long as each other."""
    count = -(-len(found) // MOST_IN_A_ROW)
    edges = [round(k * len(found) / count) for k in range(count + 1)]
    return [found[start:end] for start, end in pairwise(edges)]


# Panels.


def actions(axes: Axes, tables: CountTables) -> None:
    """How often each action occurs, coloured by its group."""
    rows = tables["action_result_all"].rows
    groups = read_groups()
    for place, (name, *_) in enumerate(tables["label_type_result_all"].rows):
        own = [(k, count) for k, (action, _, count, _) in enumerate(rows) if groups[action] == name]
        places, counts = zip(*own, strict=True)
        bars = axes.bar(places, counts, color=COLOURS[place % len(COLOURS)], label=_group_label(name))
        axes.bar_label(bars, labels=[f"{count:,}" for count in counts], padding=1, fontsize=6)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylim(0.7, 2 * rows[0][2])
    axes.set_xticks(range(len(rows)), _action_labels([name for _, name, *_ in rows]))
    axes.tick_params(axis="x", labelsize=7, labelrotation=45)
    for label in axes.get_xticklabels():
        label.set(ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.7, len(rows) - 0.3)
    axes.set_title(f"Action labels ({sum(count for *_, count, _ in rows):,})")
    axes.legend()


def _action_labels(names: Sequence[str]) -> list[str]:
    """Names without their parts in brackets, where they still differ."""
    short = [name.split(" (")[0].split("/any")[0] for name in names]
    often = Counter(short)
    return [clean(one if often[one] == 1 else name, 24) for one, name in zip(short, names, strict=True)]


def action_groups(axes: Axes, tables: CountTables) -> None:
    """Labels of each group of actions, real footage and movies stacked."""
    _stacked(axes, tables, "label_type_result", lambda name: _group_label(name).replace(" ", "\n"))
    axes.set_title("Groups of actions")


def people(axes: Axes, tables: CountTables) -> None:
    """How many clips have so many people, real footage and movies stacked."""
    _stacked(axes, tables, "person_count", str)
    axes.set_title("People a clip")


def sources(axes: Axes, tables: CountTables) -> None:
    """Clips of each source, the smallest sources together."""
    rows = tables["sources"].rows
    shown = [(clean(name, 24), clips, f"{clips:,}") for name, clips, _ in rows[:TOP_SOURCES]]
    if len(rows) > TOP_SOURCES:
        rest = sum(clips for _, clips, _ in rows[TOP_SOURCES:])
        shown.append((f"{len(rows) - TOP_SOURCES} more", rest, f"{rest:,}"))
    _bars(axes, shown, "Clips by source video")


def shares(axes: Axes, tables: CountTables, name: str, title: str) -> None:
    """Counts with their shares in %."""
    rows = [(row, count, f"{count:,} ({share:.1f}%)") for row, count, share in tables[name].rows]
    _bars(axes, rows, title)


def duplicates(axes: Axes, tables: CountTables) -> None:
    """Texts that have a near-duplicate in another clip."""
    table = tables["near_duplicates"]
    rows = [
        (f"{kind}s: {name}", count, f"{count:,} ({count / total:.1%})")
        for kind, total, *counts in table.rows
        for name, count in zip(table.columns[2:], counts, strict=True)
    ]
    _bars(axes, rows, "Texts with a near-duplicate")


def lengths(axes: Axes, tables: CountTables, kind: str) -> None:
    """A histogram of the words a text."""
    from matplotlib.ticker import MaxNLocator

    table = tables[f"{kind}_lengths"]
    values, counts = zip(*table.rows, strict=True)
    step = 1 + (values[-1] - values[0]) // BINS
    bins = [edge - 0.5 for edge in range(values[0], values[-1] + step + 1, step)]
    axes.hist(values, bins=bins, weights=counts, color=COLOURS[0])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_title(table.title)


def cloud(axes: Axes, tables: CountTables, kind: str) -> None:
    """The most common words of a kind of texts."""
    table = tables[f"{kind}_cloud"]
    axes.set_axis_off()
    axes.imshow(word_cloud(dict(table.rows)), interpolation="bilinear")
    axes.set_title(table.title)


def _stacked(axes: Axes, tables: CountTables, kind: str, label: Callable[[Any], str]) -> None:
    names = [name for name, *_ in tables[f"{kind}_all"].rows]
    below = [0] * len(names)
    for place, part in enumerate(("real", "movie")):
        table = tables.get(f"{kind}_{part}")
        counts = {name: count for name, count, _ in (table.rows if table else ())}
        heights = [counts.get(name, 0) for name in names]
        axes.bar(range(len(names)), heights, bottom=below, color=COLOURS[place], label=part)
        below = [low + height for low, height in zip(below, heights, strict=True)]
    for place, total in enumerate(below):
        axes.annotate(
            f"{total:,}", (place, total), (0, 2), textcoords="offset points", ha="center", fontsize=7
        )
    axes.set_xticks(range(len(names)), list(map(label, names)))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.legend()


def _bars(axes: Axes, rows: Sequence[tuple[str, int, str]], title: str) -> None:
    """Horizontal bars, the first on top: name, count, and the text at the end."""
    bars = axes.barh(range(len(rows)), [count for _, count, _ in rows], color=COLOURS[0])
    axes.bar_label(bars, labels=[text for *_, text in rows], padding=2, fontsize=7)
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
    axes.set_ylim(max(len(rows), FEWEST_BARS) - 0.5, -0.5)
    axes.set_xlim(0, 1.35 * max(1, *(count for _, count, _ in rows)))
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.set_title(title)


def _group_label(name: str) -> str:
    return name.replace("_", " ").lower()


def word_cloud(counts: Mapping[str, int]) -> NDArray[np.uint8]:
    """A picture of shape (CLOUD_HEIGHT, CLOUD_WIDTH, 3) of words, the more frequent the larger.

    The same counts give the same picture; at least one word is needed.

    Raises:
        MissingExtraError: wordcloud is not installed.
    """
    try:
        from wordcloud import WordCloud  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise MissingExtraError("word clouds", "plots", str(error)) from error
    cloud = WordCloud(
        width=CLOUD_WIDTH, height=CLOUD_HEIGHT, background_color="white", color_func=_colour, random_state=0
    )
    picture: NDArray[np.uint8] = cloud.generate_from_frequencies(counts).to_array()
    return picture


def _colour(word: str, *_: object, random_state: Random | None = None, **__: object) -> str:
    """A colour that depends on the word alone."""
    return COLOURS[sum(map(ord, word)) % len(COLOURS)]


# What is drawn, with the table that it needs.
WIDE: Mapping[str, Panel] = {"action_result_all": actions}
SMALL: Mapping[str, Panel] = {
    "label_type_result_all": action_groups,
    "person_count_all": people,
    "sources": sources,
    "question_words": partial(shares, name="question_words", title="Question words"),
    "answers": partial(shares, name="answers", title="Questions that can be answered"),
    "near_duplicates": duplicates,
    **{f"{kind}_lengths": partial(lengths, kind=kind) for kind in KINDS},
}
CLOUDS: Mapping[str, Panel] = {f"{kind}_cloud": partial(cloud, kind=kind) for kind in KINDS}
