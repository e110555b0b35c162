"""The statistics of a dataset on one sheet, like the paper's Figure 2."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from microg_bench.dataset.stats import Stats
from microg_bench.figures import panels
from microg_bench.figures.canvas import canvas, save
from microg_bench.figures.labels import clean
from microg_bench.figures.panels import Tallies

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHEET_FILE = "dataset"
MOST_IN_A_ROW = 5
WIDTH, HEIGHT = 17.0, 3.1  # inches; the height is that of a row
KINDS = ("caption", "question", "answer")
Panel = Callable[["Axes", Tallies], None]
# What is drawn, with the table that it needs.
WIDE: Mapping[str, Panel] = {"action_result_all": panels.actions}
SMALL: Mapping[str, Panel] = {
    "label_type_result_all": panels.action_groups,
    "person_count_all": panels.people,
    "sources": panels.sources,
    "question_words": panels.question_words,
    "answers": panels.answers,
    "near_duplicates": panels.duplicates,
} | {f"{kind}_lengths": partial(panels.lengths, kind=kind) for kind in KINDS}
CLOUDS: Mapping[str, Panel] = {f"{kind}_cloud": partial(panels.cloud, kind=kind) for kind in KINDS}


def draw_sheet(stats: Stats, folder: Path) -> list[Path]:
    """Draw the sheet as PNG and SVG into `folder`, and return the files.

    What the dataset does not have (action labels, captions, questions) has no panel.

    Raises:
        MissingExtraError: matplotlib or wordcloud is not installed.
        RunError: a file cannot be written.
    """
    wide, small, clouds = (
        [panel for name, panel in group.items() if name in stats.tallies] for group in (WIDE, SMALL, CLOUDS)
    )
    rows = [row for row in (wide, *_rows(small), clouds) if row]
    with canvas() as figure:
        figure.set_size_inches(WIDTH, HEIGHT * len(rows) + 0.3)
        figure.suptitle(clean(stats.title, 120), fontsize=13, fontweight="bold")
        for part, row in zip(figure.subfigures(len(rows), 1, squeeze=False)[:, 0], rows, strict=True):
            for axes, panel in zip(part.subplots(1, len(row), squeeze=False)[0], row, strict=True):
                panel(axes, stats.tallies)
        return save(figure, folder / SHEET_FILE)


def _rows(found: Sequence[Panel]) -> list[Sequence[Panel]]:
    """The panels in rows that are nearly as long as each other."""
    count = -(-len(found) // MOST_IN_A_ROW)
    edges = [round(k * len(found) / count) for k in range(count + 1)]
    return [found[start:end] for start, end in pairwise(edges)]
