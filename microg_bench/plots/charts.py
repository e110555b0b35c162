"""Draws how runs scored, a set of charts for each task: bars with intervals, heat maps, lines over frames."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from microg_bench.errors import DataError, UsageError
from microg_bench.plots.canvas import canvas, clean, put_title, save
from microg_bench.plots.draw import (
    Cards,
    draw_bars,
    draw_differences,
    draw_heat,
    draw_over_frames,
    labels,
    numbered,
)
from microg_bench.scorecard import NO_BENCHMARK, Scorecard
from microg_bench.tasks import TASKS, get_task
from microg_bench.text import many

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 60  # runs in a chart
Draw = Callable[["Figure", Cards], bool]
CHARTS: dict[str, tuple[str, Draw]] = {
    "metrics": ("", draw_bars),
    "source": ("by source video", partial(draw_heat, kind="source")),
    "question-word": ("by question word", partial(draw_heat, kind="question_word")),
    "answerable": ("by whether the clip answers the question", partial(draw_heat, kind="answerable")),
    "slices": ("by slice, less the other items; *: p < 0.05 after Holm's correction", draw_differences),
    "frames": ("by number of frames", draw_over_frames),
}


def draw_charts(cards: Mapping[str, Scorecard], folder: Path) -> list[Path]:
    """Draw all charts into `folder`, and return the files: `vqa-metrics.png`, `vqa-source.svg`, ...

    `cards` are scorecards by the name that messages give them, such as their run folder.

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


def draw_sweep(cards: Mapping[str, Sequence[Scorecard]], folder: Path) -> list[Path]:
    """Draw a sweep into `folder`, one chart a task, and return the files: `vqa-frames.png`, ...

    `cards` are the scorecards of each configuration, by its name. Configurations that differ in the number of
    frames are joined by lines, one a prompt; else each is a bar.

    Raises:
        MissingExtraError, RunError: as `draw_charts`.
    """
    files = []
    names = numbered([clean(name) for name in cards])
    for task in TASKS:
        pairs = zip(names, cards.values(), strict=True)
        own = {name: card for name, found in pairs for card in found if card.task == task}
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
        put_title(figure, _title(cards, what))
        return save(figure, folder / f"{first.task}-{name}")


def _title(cards: Cards, what: str) -> list[str]:
    first = next(iter(cards.values()))
    models = {clean(card.model.title) for card in cards.values() if card.model}
    title = f"{get_task(first.task).title} on {clean(first.dataset)} {what}".rstrip()
    incomplete = sum(not card.complete for card in cards.values())
    parts = [*models] if len(models) == 1 else []
    parts += [many(_asked(first), "item"), f"protocol {clean(first.protocol)}"]
    if incomplete:
        parts.append(f"{incomplete} of {len(cards)} runs are incomplete")
    lines = [title, ", ".join(parts)]
    if doubtful := sum(any(card.doubts()) for card in cards.values()):
        lines.append(f"{doubtful} of {len(cards)} runs are unreliable: see the notes of their tables")
    if claimed := sum(bool(card.unverified) for card in cards.values()):
        lines.append(f"{claimed} of {len(cards)} submissions claim scores that were not verified")
    if not first.is_benchmark:
        lines.append(NO_BENCHMARK)
    return lines


def _asked(card: Scorecard) -> int:
    return card.items + card.counts.failed + card.counts.missing


def _check(cards: Cards) -> None:
    """Accept runs that are comparable; else name the first two that differ, and in what."""
    if len(cards) > MOST:
        raise UsageError(f"{len(cards)} runs of one task are too many for a chart: give at most {MOST}")
    known: dict[str, tuple[str, object]] = {}
    for name, card in cards.items():
        for what, value in _facts(card).items():
            first, other = known.setdefault(what, (name, value))
            if value != other:
                shown = " and ".join(clean(str(one), 80) for one in (other, value))
                raise DataError(f"{first} and {name} are not comparable: {what} differ ({shown})")


def _facts(card: Scorecard) -> dict[str, object]:
    """What must be equal; signatures only of complete runs, since they hold the number of items."""
    facts: dict[str, object] = {
        "their protocols": card.protocol,
        "their references": card.fingerprint[:12],
        "their clips": card.settings and card.settings.clips,
        "their numbers of items": _asked(card),
    }
    if card.complete:
        facts |= {
            f"their signatures of {name}": one.signature.computed()
            for name, one in card.scores.items()
            if one.signature
        }
    return facts
