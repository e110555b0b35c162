"""Boards of what models take on board, one for each kind of hardware, apart from those of the protocols."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from microg_bench.errors import MicrogError
from microg_bench.pages.boards import own_row
from microg_bench.pages.details import Json
from microg_bench.pages.entries import Entry
from microg_bench.pages.headings import explanations
from microg_bench.runs.cost import QUANTITIES
from microg_bench.scorecard import NO_BENCHMARK
from microg_bench.tables.on_board import (
    CLIPS,
    OnBoardRow,
    OnBoardTable,
    as_shown,
    on_board_tables,
    quantity_words,
)
from microg_bench.tables.published import PublishedTable, published_of_texts, read_facts
from microg_bench.tasks import TASKS

_ABOUT = (
    "Scores ×100, higher is better. Asked one request at a time on this hardware, after a warm-up; higher "
    "tokens/s are better, and less of everything else. Only rows of the same hardware stand together."
)


def on_board_boards(entries: Sequence[Entry], pages: Sequence[str]) -> tuple[list[Json], list[MicrogError]]:
    """A board for each task, set of references and kind of hardware, and the error of each run left out.

    `pages` are the pages of the entries, relative to that of the leaderboard.
    """
    found, errors = on_board_tables(entry.run for entry in entries)
    published = published_of_texts(read_facts())
    rows = {entry.run.path: (entry, page) for entry, page in zip(entries, pages, strict=True)}
    return [_board(one, published[one.task], rows) for one in found], errors


def _board(one: OnBoardTable, table: PublishedTable, rows: Mapping[Path, tuple[Entry, str]]) -> Json:
    first, labels = one.first, [*table.facts.headings, CLIPS]
    meanings = {quantity.name: quantity.meaning for quantity in QUANTITIES}
    return {
        "title": f"{TASKS[one.task].title}, on board",
        "labels": labels,
        "columns": [*one.metrics, *(quantity.name for quantity in QUANTITIES)],
        "explanations": {**explanations([*labels, *one.metrics]), **meanings},
        "lower": [quantity.name for quantity in QUANTITIES if quantity.lower],
        "told": "",
        "about": _ABOUT,
        "task": f"on-board-{one.task}",
        "protocol": f"{one.hardware}; protocol {first.protocol}",
        "dataset": read_facts().datasets.get(first.fingerprint) or first.dataset,
        "fingerprint": first.fingerprint[:12],
        "items": max(row.card.items for row in one.rows),
        "unit": "×100",
        "warning": "" if first.is_benchmark else f"{NO_BENCHMARK}; nothing is ranked".capitalize(),
        "groups": [
            {
                "kind": "model",
                "title": "Models",
                "rows": [_row(row, one, table, *rows[row.run.path]) for row in one.rows],
            }
        ],
        "pairs": {},
    }


def _row(row: OnBoardRow, one: OnBoardTable, table: PublishedTable, entry: Entry, page: str) -> Json:
    """The row of a run, with what was measured behind its scores."""
    own = own_row(table, read_facts(), entry, page, one.metrics)
    none: list[None] = [None] * len(QUANTITIES)
    empty = [""] * len(QUANTITIES)
    whys = [row.measurement.unknown.get(quantity.field, "") for quantity in QUANTITIES]
    values = [quantity.of(row.measurement) for quantity in QUANTITIES]
    texts = [quantity_words(quantity, row.measurement) for quantity in QUANTITIES]
    return {
        **own,
        "labels": [*own["labels"], str(row.measurement.clips)],
        "values": [*own["values"], *(None if value is None else as_shown(value) for value in values)],
        "texts": [*(None for _ in one.metrics), *texts],
        "missing": [*own["missing"], *whys],
        "bounds": [*own["bounds"], *none],
        "signatures": [*own["signatures"], *empty],
        "faults": [*own["faults"], *empty],
        "notes": [*own["notes"], *row.notes()],
        "ranked": own["ranked"] and one.first.is_benchmark,
    }
