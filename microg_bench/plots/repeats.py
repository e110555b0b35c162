"""Draws the scores of repeats, or of the wordings of questions: each around the mean with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from microg_bench.plots.canvas import COLOURS, canvas, clean, put_title, save
from microg_bench.scorecard import NO_BENCHMARK, SAMPLE_FINGERPRINT
from microg_bench.scoring.paraphrases import ParaphrasesReport
from microg_bench.scoring.repeats import RepeatedScore, RepeatsReport, TaskRepeats
from microg_bench.tasks import TASKS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_METRICS = 8


def draw_repeats(report: RepeatsReport, folder: Path) -> list[Path]:
    """Draw one chart a task into `folder`, and return the files: `vqa-repeats.png`, `vqa-repeats.svg`, ...

    A panel is a metric and a point the score of a repeat; a line is their mean, with its 95% interval as a
    band. A task without scores has no chart.

    Raises:
        MissingExtraError: matplotlib is not installed.
        RunError: a file cannot be written.
    """
    names = [f"seed {seed}" for seed in range(report.repeats)]
    about = _about(report)
    return [file for one in report.tasks for file in _draw(one, names, about, folder / f"{one.task}-repeats")]


def draw_paraphrases(report: ParaphrasesReport, folder: Path) -> list[Path]:
    """Draw the chart of paraphrases into `folder`, a point a wording; see `draw_repeats`."""
    names = ["as published", *(f"paraphrase {place + 1}" for place in range(report.paraphrases))]
    about = _about(report)
    return _draw(report.wordings, names, about, folder / f"{report.wordings.task}-paraphrases")


def _about(report: RepeatsReport | ParaphrasesReport) -> list[str]:
    """What the chart is about, and what is to be known of its scores."""
    lines = [f"on {clean(report.dataset)}: {clean(report.title)}"]
    return [*lines, NO_BENCHMARK] if report.fingerprint == SAMPLE_FINGERPRINT else lines


def _draw(one: TaskRepeats, names: Sequence[str], about: Sequence[str], path: Path) -> list[Path]:
    metrics = list(one.metrics.items())[:MOST_METRICS]
    if not metrics:
        return []
    with canvas() as figure:
        figure.set_size_inches(max(7.0, 2.2 * len(metrics) + 1.4), 0.24 * len(names) + 1.5)
        panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
        for axes, (name, score) in zip(panels, metrics, strict=True):
            _panel(axes, score)
            axes.set_title(clean(name, 16))
        panels[0].set_yticks(range(len(names)), names)
        panels[0].set_ylim(len(names) - 0.5, -0.5)
        title, *more = about
        line = f"{TASKS[one.task].title} {title}"
        put_title(figure, [line, "scores ×100; line: mean, band: its 95% interval", *more])
        return save(figure, path)


def _panel(axes: Axes, score: RepeatedScore) -> None:
    if score.interval:
        axes.axvspan(*score.interval, color=COLOURS[0], alpha=0.15, linewidth=0)
    axes.axvline(score.mean, color=COLOURS[0], linewidth=1.2)
    axes.plot(
        score.scores, range(len(score.scores)), linestyle="none", marker="o", markersize=5, color=COLOURS[1]
    )
    axes.margins(x=0.15)
