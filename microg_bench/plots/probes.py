"""Draws what changes with the frames: the difference of each score by condition, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from microg_bench.plots.canvas import COLOURS, canvas, clean, put_title, save
from microg_bench.scorecard import NO_BENCHMARK, SAMPLE_FINGERPRINT
from microg_bench.scoring.probes import LEVEL, MetricEffect, ProbeEffect, ProbeReport
from microg_bench.tables.probes import metrics_of
from microg_bench.tasks import TASKS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_METRICS = 8


def draw_probes(report: ProbeReport, folder: Path) -> list[Path]:
    """Draw one chart a task into `folder`, and return the files: `vqa-probes.png`, `vqa-probes.svg`, ...

    A row is a condition. The first panel has the share of other answers, the others the difference of a
    metric with its 95% interval; differences that are significant after correction are filled.

    Raises:
        MissingExtraError: matplotlib is not installed.
        RunError: a file cannot be written.
    """
    files = []
    for task in report.tasks:
        effects = report.of_task(task)
        with canvas() as figure:
            _draw(figure, effects)
            lines = [f"{TASKS[task].title} on {clean(report.dataset)}: {clean(report.title)}"]
            lines.append("changed less unchanged frames, ×100, 95% intervals; filled: p < 0.05 after Holm")
            lines += [NO_BENCHMARK] if report.fingerprint == SAMPLE_FINGERPRINT else []
            put_title(figure, lines)
            files += save(figure, folder / f"{task}-probes")
    return files


def _draw(figure: Figure, effects: Sequence[ProbeEffect]) -> None:
    names = metrics_of(effects)[:MOST_METRICS]
    figure.set_size_inches(max(7.0, 2.4 * (1 + len(names)) + 1.0), 0.3 * len(effects) + 1.5)
    panels = figure.subplots(1, 1 + len(names), sharey=True, squeeze=False)[0]
    _shares(panels[0], effects)
    for axes, name in zip(panels[1:], names, strict=True):
        axes.axvline(0, color="#222222", linewidth=0.8)
        for place, one in enumerate(effects):
            if name in one.metrics:
                _difference(axes, place, one.metrics[name])
        axes.set_title(clean(name, 16))
    panels[0].set_yticks(range(len(effects)), [one.transforms for one in effects])
    panels[0].set_ylim(len(effects) - 0.5, -0.5)


def _shares(axes: Axes, effects: Sequence[ProbeEffect]) -> None:
    axes.barh(
        range(len(effects)), [100 * (one.other or 0.0) for one in effects], color=COLOURS[1], height=0.6
    )
    axes.set_xlim(0, 100)
    axes.set_title("other answers, %")


def _difference(axes: Axes, place: int, effect: MetricEffect) -> None:
    low, high = effect.interval or (effect.difference, effect.difference)
    axes.hlines(place, low, high, color=COLOURS[0], linewidth=1.4)
    shown = effect.corrected is not None and effect.corrected < LEVEL
    face = COLOURS[0] if shown else "white"
    axes.plot(effect.difference, place, marker="o", markersize=5, color=COLOURS[0], markerfacecolor=face)
