"""Tables in Markdown: of scorecards, of a sweep, and those of the paper; any name stays text in them."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from operator import attrgetter

from microg_bench.scorecard import Scorecard
from microg_bench.slices import SliceDifference, differing
from microg_bench.tables.paper import Cell, Line, PaperTable
from microg_bench.tasks import get_task
from microg_bench.text import lettered, markdown, markdown_code

BLIND = "blind"
_RULES = {"l": "---", "r": "---:"}
_escaped = partial(map, markdown)
_title, _remarks = attrgetter("title"), attrgetter("remarks")
_STYLE = {0: "{}", 1: "**{}**", 2: "<u>{}</u>"}


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], alignment: str) -> list[str]:
    """The lines of a table of Markdown cells; `alignment` has a letter a column, l for left, r for right."""
    rule = f"|{'|'.join(_RULES[side] for side in alignment)}|"
    return [_row(columns), rule, *map(_row, rows)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


# Scorecards.


class _Shown:
    """What a table shows of a scorecard; whatever may come from elsewhere is escaped here."""

    def __init__(self, card: Scorecard) -> None:
        signed = [one.signature for one in card.scores.values() if one.signature]
        self.task = get_task(card.task).title
        title, self.frames, self.extent, self.values = card.title, card.frames, card.extent, card.values()
        headlines, remarks, notes = list(card.headlines()), list(card.remarks()), list(card.notes())
        self.differing = list(differing(card.slices)) if card.compares_slices else []
        signatures = list(map(str, signed))
        self.card, self.name = card, markdown(title)
        self.headlines, self.remarks, self.notes = map(list, map(_escaped, (headlines, remarks, notes)))
        self.signatures = list(map(markdown_code, signatures))
        self.dataset, self.protocol = markdown(card.dataset), markdown_code(card.protocol)
        self.levels = dict(zip(card.baselines, _escaped(map(_title, card.baselines.values())), strict=True))

    def rows(self, mark: str, columns: Sequence[str]) -> Iterator[list[str]]:
        """Its scores and, where there are some, their intervals."""
        yield [self.name + mark, self.frames, *_values(self.values, columns)]
        entries = map(self.card.scores.get, columns)
        bounds = [entry.interval if entry else None for entry in entries]
        if any(bounds):
            yield ["*95% interval*", "", *map(_interval, bounds)]


def scorecard_table(cards: Sequence[Scorecard]) -> str:
    """One table for scorecards of one task; the first lines say what must be read before the scores.

    Values are ×100 with two decimals. Below each model are its 95% intervals, below all models the baselines
    on the same items, and each model's gain over the blind baseline. A metric that could not be computed
    shows `n/a`. A second table has the slices that differ from the other items. Letters mark what a reader of
    a row must know. Below the tables they are explained, before other notes and the signatures.
    """
    columns = list(cards[0].scores)
    shown = list(map(_Shown, cards))
    letters = lettered(chain.from_iterable(map(_remarks, shown)))
    first, own = shown[0], {card.model.name for card in cards if card.model}
    lines = [f"**{one.name}: {line}**\n" for one in shown for line in one.headlines]
    lines.append(f"{first.task} on {first.dataset}, {first.extent}, protocol {first.protocol}\n")
    rows = [row for one in shown for row in one.rows(_marks(one.remarks, letters), columns)]
    rows += [
        [level, "0", *_values(cards[0].baselines[name].scores, columns)]
        for name, level in first.levels.items()
        if name not in own
    ]
    rows += [
        [f"*{one.name}: gain over blind*", "", *_gains(one.values, one.card.baselines[BLIND].scores, columns)]
        for one in shown
        if BLIND in one.card.baselines and BLIND not in own
    ]
    lines += table(["Model", "#f", *columns], rows, "lr" + "r" * len(columns))
    lines += _slice_table(shown, columns)
    notes = [note for one in shown for note in one.notes]
    codes = dict.fromkeys(code for one in shown for code in one.signatures)
    return _with_notes(lines, [*_explained(letters.items()), *notes, *_signatures(codes)])


def _slice_table(shown: Sequence[_Shown], columns: Sequence[str]) -> list[str]:
    """A table of the slices that differ from the other items, with these differences; empty for none."""
    rows = [
        [
            *([one.name] if len(shown) > 1 else []),
            markdown(f"{kind.replace('_', ' ')}: {label}"),
            f"{entry.items:,}",
            str(entry.sources),
            *(_difference(entry.differences.get(name)) for name in columns),
        ]
        for one in shown
        for kind, label, entry in one.differing
    ]
    headings = [
        *(["Model"] if len(shown) > 1 else []),
        "Slice less other items",
        "items",
        "sources",
        *columns,
    ]
    alignment = "l" * (len(headings) - len(columns) - 2) + "rr" + "r" * len(columns)
    return ["", *table(headings, rows, alignment)] if rows else []


def _difference(found: SliceDifference | None) -> str:
    return f"{found.value:+z.2f} (p {found.corrected:.4f})" if found and found.differs else ""


def _marks(remarks: Iterable[str], letters: Mapping[str, str]) -> str:
    return _raised(",".join(letters[text] for text in remarks))


def _explained(letters: Iterable[tuple[str, str]]) -> list[str]:
    """What each letter means; a pair is an escaped text and its letter."""
    return [f"{_raised(letter)} {text}" for text, letter in letters]


def _signatures(codes: Collection[str]) -> list[str]:
    return [f"signatures: {', '.join(codes)}"] if codes else []


def _interval(bounds: tuple[float, float] | None) -> str:
    return f"{bounds[0]:z.2f}–{bounds[1]:z.2f}" if bounds else ""


def _gains(
    scores: Mapping[str, float | None], level: Mapping[str, float], columns: Sequence[str]
) -> list[str]:
    pairs = [(scores.get(name), level.get(name)) for name in columns]
    return ["n/a" if value is None or base is None else f"{value - base:+z.2f}" for value, base in pairs]


def _values(scores: Mapping[str, float | None], columns: Sequence[str]) -> list[str]:
    return ["n/a" if (value := scores.get(name)) is None else f"{value:z.2f}" for name in columns]


# A sweep.


def sweep_table(cards: Mapping[str, Sequence[Scorecard]]) -> str:
    """One table a task, one row a configuration, by its name; values ×100 with their 95% interval."""
    tables: dict[str, dict[str, Scorecard]] = {}
    for name, own in cards.items():
        for card in own:
            tables.setdefault(card.task, {})[name] = card
    return "\n".join(map(_task_table, tables.values()))


def _task_table(cards: Mapping[str, Scorecard]) -> str:
    first = next(iter(cards.values()))
    columns = list(first.scores)
    remarks = [
        [*map(markdown, ([] if card.complete else [card.status])), *_escaped(card.remarks())]
        for card in cards.values()
    ]
    letters = lettered(chain(*remarks))
    rows = [
        [markdown(name) + _marks(own, letters), card.frames, *(_with_interval(card, one) for one in columns)]
        for own, (name, card) in zip(remarks, cards.items(), strict=True)
    ]
    lines = [f"{get_task(first.task).title}, {first.extent}, protocol {markdown_code(first.protocol)}\n"]
    lines += table(["Configuration", "#f", *columns], rows, "lr" + "r" * len(columns))
    intervals = chain.from_iterable(card.interval_notes() for card in cards.values())
    return _with_notes(lines, [*_explained(letters.items()), *map(markdown, intervals)])


def _with_interval(card: Scorecard, column: str) -> str:
    entry = card.scores.get(column)
    if entry is None or entry.value is None:
        return "n/a"
    return f"{entry.value:z.2f}" + (f" ({_interval(entry.interval)})" if entry.interval else "")


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
    explained = _explained(zip(_escaped(paper.marks), paper.marks.values(), strict=True))
    codes = list(map(markdown_code, paper.signatures))
    return _with_notes(lines, [*explained, *_escaped(paper.notes), *_signatures(codes)])


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
