"""Boards, the tables of the site: on one stands only what may be compared, by task, protocol and dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from microg_bench.har.report import Report
from microg_bench.leaderboard.action_rows import action_rows
from microg_bench.leaderboard.compare import Comparison
from microg_bench.leaderboard.published import Facts, PrintedTable, read_facts, read_printed
from microg_bench.leaderboard.rows import OwnRow, card_row, text_rows
from microg_bench.site.entries import Entry

Json = dict[str, Any]
PRINTED = "Printed in the paper"


def boards(
    entries: Sequence[Entry],
    pages: Sequence[str],
    pairs: Sequence[Comparison],
    reports: Sequence[Report],
) -> list[Json]:
    """All boards, as the page's scripts read them; those of the paper's protocol and references come first.

    Args:
        entries: the rows.
        pages: the page of each entry, relative to the site.
        pairs: comparisons of entries with each other.
        reports: scores of detections of actions.
    """
    facts = read_facts()
    tables: dict[str, PrintedTable] = {
        table.task: read_printed(table) for table in facts.tables if table.task != "actions"
    }
    grouped: dict[tuple[str, str, str], list[int]] = {}
    for place, entry in enumerate(entries):
        card = entry.card
        grouped.setdefault((card.task, card.protocol, card.fingerprint), []).append(place)
    for task in tables:  # the print stands on a board even where nothing of ours does
        grouped.setdefault((task, facts.protocol, next(iter(facts.datasets))), [])
    order = list(tables)
    keys = sorted(grouped, key=lambda key: (order.index(key[0]), not _is_papers(facts, *key[1:]), key))
    found = [
        _text_board(tables[key[0]], facts, key, [(entries[k], pages[k]) for k in grouped[key]], pairs)
        for key in keys
    ]
    actions = (read_printed(table) for table in facts.tables if table.task == "actions")
    return found + [_action_board(table, facts, reports) for table in actions]


def _is_papers(facts: Facts, protocol: str, fingerprint: str) -> bool:
    return protocol == facts.protocol and fingerprint in facts.datasets


def _text_board(
    table: PrintedTable,
    facts: Facts,
    key: tuple[str, str, str],
    rows: Sequence[tuple[Entry, str]],
    pairs: Sequence[Comparison],
) -> Json:
    task, protocol, fingerprint = key
    columns = [column.name for column in table.facts.columns]
    cards = [entry.card for entry, _ in rows]
    own = [_own(table, facts, entry, page, columns) for entry, page in rows]
    floors = [row for row in text_rows(table, facts, cards)[len(cards) :] if row.access == "floor"]
    papers = _is_papers(facts, protocol, fingerprint)
    dataset = facts.datasets.get(fingerprint) or (cards[0].dataset if cards else "")
    items = sorted({card.items for card in cards})
    return {
        "task": task,
        "title": table.facts.title.split(",")[0],
        "protocol": protocol,
        "dataset": dataset,
        "fingerprint": fingerprint[:12],
        "items": items[-1] if items else None,
        "labels": list(table.facts.labels.values()),
        "columns": columns,
        "unit": "×100",
        "groups": [
            {"kind": "model", "title": "Models", "rows": [row for row in own if row["access"] != "floor"]},
            {
                "kind": "floor",
                "title": "Floors: no model at all",
                "rows": [row for row in own if row["access"] == "floor"]
                + [_row(row, columns) for row in floors],
            },
            *([_printed(table, facts)] if papers else []),
        ],
        "pairs": _pairs(pairs, {entry.place: page for entry, page in rows}),
    }


def _own(table: PrintedTable, facts: Facts, entry: Entry, page: str, columns: Sequence[str]) -> Json:
    row, model = card_row(table, facts, entry.card), entry.card.model
    frames = None if model is None or model.frames == "clip" else model.frame_count
    return {
        **_row(row, columns),
        "labels": [row.labels[0], "clip" if frames is None else str(frames)],
        "page": page,
        "frames": frames,
        "dollars": None if entry.dollars is None else round(entry.dollars, 2),
    }


def _row(row: OwnRow, columns: Sequence[str]) -> Json:
    return {
        "labels": list(row.labels),
        "access": row.access,
        "values": [_number(row.values.get(name)) for name in columns],
        "bounds": [_bounds(row.intervals.get(name)) for name in columns],
        "signatures": [row.signatures.get(name, ("", ""))[1] for name in columns],
        "faults": [row.faults.get(name, "") for name in columns],
        "notes": [*row.faults.values(), *row.notes],
        "ranked": row.access != "floor",
    }


def _number(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _bounds(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else [round(bound, 4) for bound in interval]


def _printed(table: PrintedTable, facts: Facts) -> Json:
    names = [column.name for column in table.facts.columns]
    return {
        "kind": "printed",
        "title": PRINTED,
        "source": f"{facts.source}, Table {table.facts.number}",
        "rows": [
            {
                "labels": list(row.labels),
                "access": row.access,
                "values": [float(row.texts[name]) for name in names],
                "bounds": [None] * len(names),
                "signatures": [""] * len(names),
                "faults": [""] * len(names),
                "frames": int(row.labels[1]) if table.facts.task != "actions" else None,
                "notes": [],
                "ranked": True,
            }
            for row in table.rows
        ],
    }


def _pairs(pairs: Sequence[Comparison], pages: Mapping[Path, str]) -> list[Json]:
    """The pairs of two rows of a board, which are told apart by their pages."""
    return [
        {
            "metric": one.metric,
            "first": pages[one.first.path],
            "second": pages[one.second.path],
            "value": _number(one.difference.value),
            "bounds": None
            if one.difference.low is None or one.difference.high is None
            else _bounds((one.difference.low, one.difference.high)),
            "p": one.corrected,
        }
        for one in pairs
        if one.first.path in pages and one.second.path in pages
    ]


def _action_board(table: PrintedTable, facts: Facts, reports: Sequence[Report]) -> Json:
    columns = [column.name for column in table.facts.columns]
    rows = [
        {
            **_row(row, columns),
            "ranked": not row.marks,
            "notes": [*row.marks, *row.faults.values(), *row.notes],
        }
        for row in action_rows(table, facts, reports)
    ]
    return {
        "task": f"actions-{table.facts.number}",
        "title": table.facts.title.split(",")[0],
        "protocol": "as published",
        "dataset": "",
        "fingerprint": "",
        "items": None,
        "labels": list(table.facts.labels.values()),
        "columns": [column.heading for column in table.facts.columns],
        "unit": "in %",
        "groups": [{"kind": "model", "title": "Scored here", "rows": rows}, _printed(table, facts)],
        "pairs": [],
    }
