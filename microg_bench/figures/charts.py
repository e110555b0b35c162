"""Draws how runs scored, a set of charts for each task: bars with intervals, heat maps, lines over frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from microg_bench.errors import DataError, UsageError
from microg_bench.figures.bars import draw_bars
from microg_bench.figures.canvas import canvas, save
from microg_bench.figures.heat import draw_heat
from microg_bench.figures.labels import clean, labels, numbered
from microg_bench.figures.marks import Cards
from microg_bench.figures.over_frames import draw_over_frames
from microg_bench.runs.scorecard import Scorecard
from microg_bench.tasks import TASKS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 60  # runs in a chart
Draw = Callable[["Figure", Cards], bool]
CHARTS: dict[str, tuple[str, Draw]] = {
    "metrics": ("", draw_bars),
    "source": ("by source video", partial(draw_heat, kind="source")),
    "question-word": ("by question word", partial(draw_heat, kind="question word")),
    "answerable": ("by whether the clip answers the question", partial(draw_heat, kind="answerable")),
    "frames": ("by number of frames", draw_over_frames),
}


def draw_charts(cards: Mapping[str, Scorecard], folder: Path) -> list[Path]:
    """Draw all charts of scorecards into `folder`, and return the files.

    Args:
        cards: scorecards by the place that messages name, such as their run.
        folder: where the files go: `vqa-metrics.png`, `vqa-source.svg`, `vqa-frames.png`, ...

    Raises:
        DataError: runs of one task that asked different things, or whose scores were computed differently.
        UsageError: more than `MOST` runs of one task.
        MissingExtraError: matplotlib is not installed.
        RunError: a file cannot be written.
    """
    tasks = [{name: card for name, card in cards.items() if card.task == task} for task in TASKS]
    for own in tasks:
        _check(own)
    files = []
    for own in filter(None, tasks):
        labelled = dict(zip(labels(list(own.values())), own.values(), strict=True))
        for name in CHARTS:
            files += _draw(name, labelled, folder)
    return files


def draw_sweep(points: Mapping[str, Sequence[Scorecard]], folder: Path) -> list[Path]:
    """Draw a sweep into `folder`, one chart a task, and return the files: `vqa-frames.png`, ...

    Points that differ in the number of frames are joined by lines, one a prompt; else each is a bar.

    Args:
        points: the scorecards of each point, by its name; all points have the same tasks.
        folder: where the files go.

    Raises:
        MissingExtraError, RunError: as `draw_charts`.
    """
    files = []
    names = numbered([clean(name) for name in points])
    for task in TASKS:
        pairs = zip(names, points.values(), strict=True)
        own = {name: card for name, cards in pairs for card in cards if card.task == task}
        if own:
            files += _draw("frames", own, folder) or _draw("metrics", own, folder)
    return files


def _draw(name: str, cards: Cards, folder: Path) -> list[Path]:
    """Nothing is written where a chart would be empty."""
    what, draw = CHARTS[name]
    first = next(iter(cards.values()))
    with canvas() as figure:
        if not draw(figure, cards):
            return []
        figure.suptitle(_title(cards, what), fontsize=10)
        return save(figure, folder / f"{first.task}-{name}")


def _title(cards: Cards, what: str) -> str:
    first = next(iter(cards.values()))
    models = {clean(card.model.title) for card in cards.values() if card.model}
    title = f"{TASKS[first.task].title} on {clean(first.dataset)} {what}".rstrip()
    incomplete = sum(card.status != "complete" for card in cards.values())
    parts = [*models] if len(models) == 1 else []
    parts += [f"{_asked(first):,} items", f"protocol {clean(first.protocol)}"]
    if incomplete:
        parts.append(f"{incomplete} of {len(cards)} runs are incomplete")
    return f"{title}\n{', '.join(parts)}"


def _asked(card: Scorecard) -> int:
    return card.items + card.failures + card.missing


def _check(cards: Cards) -> None:
    """Only like stands in one chart.

    Raises:
        UsageError: there are too many.
        DataError: naming the first two that differ, and in what.
    """
    if len(cards) > MOST:
        raise UsageError(f"{len(cards)} runs of one task are too many for a chart: give at most {MOST}")
    known: dict[str, tuple[str, object]] = {}
    for name, card in cards.items():
        for what, value in _facts(card).items():
            first, other = known.setdefault(what, (name, value))
            if value != other:
                shown = " and ".join(clean(str(one), 80) for one in (other, value))
                raise DataError(f"{first} and {name} cannot stand in one chart: {what} differ ({shown})")


def _facts(card: Scorecard) -> dict[str, object]:
    """What must be alike; signatures only of complete runs, since they tell the number of items."""
    facts: dict[str, object] = {
        "their protocols": card.protocol,
        "their references": card.fingerprint[:12],
        "their clips": (card.settings or {}).get("clips"),
        "their numbers of items": _asked(card),
    }
    if card.status == "complete":
        facts |= {
            f"their signatures of {name}": one.signature for name, one in card.scores.items() if one.signature
        }
    return facts
