"""The panels of a dataset's sheet; each draws tables of counts onto its axes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from microg_bench.dataset.actions import read_groups
from microg_bench.dataset.tally import Tally
from microg_bench.figures.canvas import COLOURS
from microg_bench.figures.clouds import word_cloud
from microg_bench.figures.labels import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TOP_SOURCES = 12
BINS = 40
FEWEST_BARS = 6  # as many have room, so that two are not as thick as walls
Tallies = Mapping[str, Tally]


def actions(axes: Axes, tallies: Tallies) -> None:
    """How often each action occurs, coloured by its group."""
    rows = tallies["action_result_all"].rows
    groups = read_groups()
    for place, (name, *_) in enumerate(tallies["label_type_result_all"].rows):
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
    """Names without what stands in brackets, where that leaves them different."""
    short = [name.split(" (")[0].split("/any")[0] for name in names]
    often = Counter(short)
    return [clean(one if often[one] == 1 else name, 24) for one, name in zip(short, names, strict=True)]


def action_groups(axes: Axes, tallies: Tallies) -> None:
    """Labels of each group of actions, real footage and movies one on the other."""
    names = [name for name, *_ in tallies["label_type_result_all"].rows]
    _stacked(axes, tallies, "label_type_result", names)
    axes.set_xticks(range(len(names)), [_group_label(name).replace(" ", "\n") for name in names])
    axes.set_title("Groups of actions")


def people(axes: Axes, tallies: Tallies) -> None:
    """How many clips have so many people, real footage and movies one on the other."""
    names = [name for name, *_ in tallies["person_count_all"].rows]
    _stacked(axes, tallies, "person_count", names)
    axes.set_xticks(range(len(names)), [str(name) for name in names])
    axes.set_title("People a clip")


def sources(axes: Axes, tallies: Tallies) -> None:
    """Clips of each source, the smallest sources together."""
    rows = tallies["sources"].rows
    shown = [(clean(name, 24), clips, f"{clips:,}") for name, clips, _ in rows[:TOP_SOURCES]]
    if len(rows) > TOP_SOURCES:
        rest = sum(clips for _, clips, _ in rows[TOP_SOURCES:])
        shown.append((f"{len(rows) - TOP_SOURCES} more", rest, f"{rest:,}"))
    _bars(axes, shown)
    axes.set_title("Clips by source video")


def question_words(axes: Axes, tallies: Tallies) -> None:
    """Questions by their first word."""
    _bars(axes, _with_shares(tallies["question_words"]))
    axes.set_title("Question words")


def answers(axes: Axes, tallies: Tallies) -> None:
    """Present and absent answers."""
    _bars(axes, _with_shares(tallies["answers"]))
    axes.set_title('Answers: "Not mentioned." is absent')


def duplicates(axes: Axes, tallies: Tallies) -> None:
    """Texts that have their like in another clip."""
    tally = tallies["near_duplicates"]
    rows = [
        (f"{kind}s: {name}", count, f"{count:,} ({count / total:.1%})")
        for kind, total, *counts in tally.rows
        for name, count in zip(tally.columns[2:], counts, strict=True)
    ]
    _bars(axes, rows)
    axes.set_title("Texts with a duplicate")


def lengths(axes: Axes, tallies: Tallies, kind: str) -> None:
    """A histogram of the words a text."""
    from matplotlib.ticker import MaxNLocator

    tally = tallies[f"{kind}_lengths"]
    values, counts = zip(*tally.rows, strict=True)
    step = 1 + (values[-1] - values[0]) // BINS
    bins = [edge - 0.5 for edge in range(values[0], values[-1] + step + 1, step)]
    axes.hist(values, bins=bins, weights=counts, color=COLOURS[0])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_title(tally.title)


def cloud(axes: Axes, tallies: Tallies, kind: str) -> None:
    """The commonest words of a kind of texts."""
    tally = tallies[f"{kind}_cloud"]
    axes.set_axis_off()
    axes.imshow(word_cloud(dict(tally.rows)), interpolation="bilinear")
    axes.set_title(tally.title)


def _stacked(axes: Axes, tallies: Tallies, table: str, names: Sequence[object]) -> None:
    below = [0] * len(names)
    for place, part in enumerate(("real", "movie")):
        tally = tallies.get(f"{table}_{part}")
        counts = {name: count for name, count, _ in tally.rows} if tally else {}
        heights = [counts.get(name, 0) for name in names]
        axes.bar(range(len(names)), heights, bottom=below, color=COLOURS[place], label=part)
        below = [low + height for low, height in zip(below, heights, strict=True)]
    for place, total in enumerate(below):
        axes.annotate(
            f"{total:,}", (place, total), (0, 2), textcoords="offset points", ha="center", fontsize=7
        )
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.legend()


def _with_shares(tally: Tally) -> list[tuple[str, int, str]]:
    return [(name, count, f"{count:,} ({share:.1f}%)") for name, count, share in tally.rows]


def _bars(axes: Axes, rows: Sequence[tuple[str, int, str]]) -> None:
    """Bars that lie, the first on top: name, count, and what stands at the end."""
    bars = axes.barh(range(len(rows)), [count for _, count, _ in rows], color=COLOURS[0])
    axes.bar_label(bars, labels=[text for *_, text in rows], padding=2, fontsize=7)
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
    axes.set_ylim(max(len(rows), FEWEST_BARS) - 0.5, -0.5)
    axes.set_xlim(0, 1.35 * max(1, *(count for _, count, _ in rows)))
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)


def _group_label(name: str) -> str:
    return name.replace("_", " ").lower()
