"""Tables in Markdown: of scorecards, of a sweep, and those of the paper; any name stays text in them."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import attrgetter

from microg_bench.scorecard import COMPLETE, Scorecard
from microg_bench.tables.paper import Cell, Line, PaperTable, letter
from microg_bench.tasks import get_task
from microg_bench.text import markdown, markdown_code

BLIND = "blind"
_RULES = {"l": "---", "r": "---:"}
_STYLE = {0: "{}", 1: "**{}**", 2: "<u>{}</u>"}


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], alignment: str) -> list[str]:
    """The lines of a table of Markdown cells; `alignment` has a letter a column, l for left, r for right."""
    rule = f"|{'|'.join(_RULES[side] for side in alignment)}|"
    return [_row(columns), rule, *map(_row, rows)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


# Scorecards.


def scorecard_table(cards: Sequence[Scorecard]) -> str:
    """One table for scorecards of one task; the first lines name those that are not complete.

    Values are ×100 with two decimals. Below each model are its 95% intervals, below all models the baselines
    on the same items, and each model's gain over the blind baseline. A metric that could not be computed
    shows `n/a`. Below the table are the reasons, counts that are not zero, and the signatures.
    """
    first, columns = cards[0], list(cards[0].scores)
    signed = [one.signature for card in cards for one in card.scores.values() if one.signature]
    titles, frames = list(map(attrgetter("title"), cards)), list(map(attrgetter("frames"), cards))
    values, notes = list(map(Scorecard.values, cards)), list(chain.from_iterable(map(Scorecard.notes, cards)))
    signatures = dict.fromkeys(map(str, signed))
    own = {card.model.name for card in cards if card.model}
    baselines = [one for name, one in first.baselines.items() if name not in own]
    # Whatever may come from elsewhere is escaped here.
    names, statuses = list(map(markdown, titles)), list(map(markdown, map(attrgetter("status"), cards)))
    levels = list(map(markdown, map(attrgetter("title"), baselines)))
    notes, codes = list(map(markdown, notes)), list(map(markdown_code, signatures))
    dataset, protocol = markdown(first.dataset), markdown_code(first.protocol)
    lines = [f"**{one}: {told}**\n" for one, told in zip(names, statuses, strict=True) if told != COMPLETE]
    lines.append(f"{get_task(first.task).title} on {dataset}, {first.items:,} items, protocol {protocol}\n")
    rows: list[list[str]] = []
    for name, count, scores, card in zip(names, frames, values, cards, strict=True):
        rows.append([name, count, *_values(scores, columns)])
        bounds = [card.scores[column].interval if column in card.scores else None for column in columns]
        if any(bounds):
            rows.append(["*95% interval*", "", *map(_interval, bounds)])
    rows += [
        [level, "0", *_values(one.scores, columns)] for level, one in zip(levels, baselines, strict=True)
    ]
    rows += [
        [f"*{name}: gain over blind*", "", *_gains(scores, card.baselines[BLIND].scores, columns)]
        for name, scores, card in zip(names, values, cards, strict=True)
        if BLIND in card.baselines and BLIND not in own
    ]
    lines += table(["Model", "#f", *columns], rows, "lr" + "r" * len(columns))
    return _with_notes(lines, notes + ([f"signatures: {', '.join(codes)}"] if codes else []))


def _interval(bounds: tuple[float, float] | None) -> str:
    return f"{bounds[0]:.2f}–{bounds[1]:.2f}" if bounds else ""


def _gains(
    scores: Mapping[str, float | None], level: Mapping[str, float], columns: Sequence[str]
) -> list[str]:
    pairs = [(scores.get(name), level.get(name)) for name in columns]
    return ["n/a" if value is None or base is None else f"{value - base:+.2f}" for value, base in pairs]


def _values(scores: Mapping[str, float | None], columns: Sequence[str]) -> list[str]:
    return ["n/a" if (value := scores.get(name)) is None else f"{value:.2f}" for name in columns]


# A sweep.


def sweep_table(cards: Mapping[str, Sequence[Scorecard]]) -> str:
    """One table a task, one row a configuration, by its name; values ×100 with their 95% interval."""
    tables = (dict(zip(cards, own, strict=True)) for own in zip(*cards.values(), strict=True))
    return "\n".join(map(_task_table, tables))


def _task_table(cards: Mapping[str, Scorecard]) -> str:
    first = next(iter(cards.values()))
    columns = list(first.scores)
    rows = [
        [markdown(name), card.frames, *(_with_interval(card, column) for column in columns)]
        for name, card in cards.items()
    ]
    extent = f"{first.items:,} items, protocol {markdown_code(first.protocol)}"
    lines = [f"{get_task(first.task).title}, {extent}\n"]
    lines += table(["Configuration", "#f", *columns], rows, "lr" + "r" * len(columns))
    notes = [
        markdown(f"{name}: {note}")
        for name, card in cards.items()
        for note in (*([] if card.complete else [card.status]), *card.counts.notes())
    ]
    return _with_notes(lines, notes)


def _with_interval(card: Scorecard, column: str) -> str:
    entry = card.scores.get(column)
    if entry is None or entry.value is None:
        return "n/a"
    return f"{entry.value:.2f}" + (f" ({_interval(entry.interval)})" if entry.interval else "")


def _with_notes(lines: Sequence[str], notes: Iterable[str]) -> str:
    return "\n".join([*lines, "", *(f"- {note}" for note in dict.fromkeys(notes))]).rstrip() + "\n"


# The tables of the paper.


def to_markdown(paper: PaperTable) -> str:
    """The table under a heading, what its letters mean, notes and signatures."""
    facts = paper.facts
    columns = [markdown(name) for name in (*facts.headings, *(column.heading for column in facts.columns))]
    rows: list[list[str]] = []
    for name, found in paper.groups:
        if name:
            rows.append([f"*{markdown(name)}*", *[""] * (len(columns) - 1)])
        rows += [_line(line) for line in found]
    alignment = "l" * len(facts.labels) + "r" * len(facts.columns)
    lines = [f"## Table {facts.number}: {markdown(facts.title)}", "", *table(columns, rows, alignment)]
    notes = [f"{_raised(letter(place))} {markdown(text)}" for place, text in enumerate(paper.marks)]
    notes += [markdown(note) for note in paper.notes]
    notes += [f"Signatures: {', '.join(map(markdown_code, paper.signatures))}"] if paper.signatures else []
    return _with_notes(lines, notes)


def _line(line: Line) -> list[str]:
    first, *others = line.labels
    if line.origin == "difference":
        first = f"↳ *{first}*"
    elif line.origin == "ours":
        first = f"{'↳ ' * line.under}ours: {markdown(first)}{_raised(line.marks)}"
    else:
        first = markdown(first)
    return [first, *map(markdown, others), *map(_cell, line.cells)]


def _cell(cell: Cell) -> str:
    return _STYLE[cell.rank].format(cell.text) + _raised(cell.mark)


def _raised(mark: str) -> str:
    return f"<sup>{mark}</sup>" if mark else ""
