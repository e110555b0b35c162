"""Boards, the tables of the leaderboard; rows of a board share task, protocol and dataset."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from microg_bench.pages.entries import Entry
from microg_bench.progress import Progress
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import NO_BENCHMARK, SAMPLE_FINGERPRINT, Counts, Scorecard, ScoreEntry
from microg_bench.scoring.compare import Comparison, compare
from microg_bench.tables.har_rows import action_rows, asked_rows
from microg_bench.tables.published import Facts, PublishedTable, read_facts, read_published
from microg_bench.tables.rows import OwnRow, card_row, text_rows

Json = dict[str, Any]
PUBLISHED = "Published in the paper"


def boards(
    entries: Sequence[Entry],
    pages: Sequence[str],
    pairs: Sequence[Comparison],
    har: Sequence[Scorecard],
    submitted: Sequence[Scorecard] = (),
) -> list[Json]:
    """All boards, as the page's scripts read them; those of the paper's protocol and references come first.

    The board of the sample set, which is no benchmark, comes last, and nothing on it is ranked.

    `pages` are the pages of the entries, relative to that of the leaderboard, `pairs` comparisons of entries,
    `har` and `submitted` scorecards of actions, of networks and of models that were asked; see `action_rows`,
    `asked_rows`.
    """
    facts = read_facts()
    tables: dict[str, PublishedTable] = {
        table.task: read_published(table) for table in facts.tables if table.task != "har"
    }
    grouped: dict[tuple[str, str, str], list[int]] = {}
    for place, entry in enumerate(entries):
        card = entry.card
        grouped.setdefault((card.task, card.protocol, card.fingerprint), []).append(place)
    for task in tables:  # published numbers have a board even where there is no row of ours
        grouped.setdefault((task, facts.protocol, next(iter(facts.datasets))), [])
    order = list(tables)

    def place_of(key: tuple[str, str, str]) -> tuple[object, ...]:
        return order.index(key[0]), not _is_papers(facts, *key[1:]), key[2] == SAMPLE_FINGERPRINT, key

    keys = sorted(grouped, key=place_of)
    found = [
        _text_board(tables[key[0]], facts, key, [(entries[k], pages[k]) for k in grouped[key]], pairs)
        for key in keys
    ]
    asked = [card for card in har if card.settings]
    scored = [card for card in har if not card.settings]
    for table in (read_published(table) for table in facts.tables if table.task == "har"):
        rows = action_rows(table, facts, scored, submitted) + asked_rows(table, facts, asked)
        found.append(_har_board(table, facts, rows))
    return found


def _is_papers(facts: Facts, protocol: str, fingerprint: str) -> bool:
    return protocol == facts.protocol and fingerprint in facts.datasets


def _text_board(
    table: PublishedTable,
    facts: Facts,
    key: tuple[str, str, str],
    rows: Sequence[tuple[Entry, str]],
    pairs: Sequence[Comparison],
) -> Json:
    task, protocol, fingerprint = key
    columns = [column.name for column in table.facts.columns]
    cards = [entry.card for entry, _ in rows]
    benchmark = fingerprint != SAMPLE_FINGERPRINT
    own = [own_row(table, facts, entry, page, columns) for entry, page in rows]
    baselines = [row for row in text_rows(table, facts, cards)[len(cards) :] if row.access == "baseline"]
    below = [row for row in own if row["access"] == "baseline"] + [
        row_json(row, columns) for row in baselines
    ]
    models = [{**row, "ranked": row["ranked"] and benchmark} for row in own if row["access"] != "baseline"]
    return {
        **_head(table, columns),
        "task": task,
        "protocol": protocol,
        "dataset": facts.datasets.get(fingerprint) or (cards[0].dataset if cards else ""),
        "fingerprint": fingerprint[:12],
        "items": max((card.items for card in cards), default=None),
        "unit": "×100",
        "warning": "" if benchmark else f"{NO_BENCHMARK}; nothing is ranked".capitalize(),
        "groups": [
            {"kind": "model", "title": "Models", "rows": models},
            {"kind": "baseline", "title": "Baselines: no model at all", "rows": below},
            *([_published(table, facts)] if _is_papers(facts, protocol, fingerprint) else []),
        ],
        "pairs": pair_rows(pairs, {entry.run.path: page for entry, page in rows}),
    }


def _head(table: PublishedTable, columns: Sequence[str]) -> Json:
    title = table.facts.title.split(",")[0]
    labels = list(table.facts.headings)
    return {"title": title, "labels": labels, "columns": columns, "lower": [], "told": ""}


def own_row(table: PublishedTable, facts: Facts, entry: Entry, page: str, columns: Sequence[str]) -> Json:
    """The row of a run: what names it, and its scores in the order of `columns`."""
    row, model = card_row(table, facts, entry.card), entry.card.model
    frames = None if model is None or entry.run.settings.shown == "clip" else model.frame_count
    return {
        **row_json(row, columns),
        "labels": [row.labels[0], "clip" if frames is None else str(frames)],
        "page": page,
        "frames": frames,
        "dollars": None if entry.dollars is None else round(entry.dollars, 2),
    }


def row_json(row: OwnRow, columns: Sequence[str]) -> Json:
    """A row as the page's scripts read it, with a score for each column."""
    scores = [row.scores.get(name, ScoreEntry()) for name in columns]
    return {
        "labels": list(row.labels),
        "access": row.access,
        "values": [rounded(one.value) for one in scores],
        "bounds": [_bounds(*(one.interval or ())) for one in scores],
        "signatures": [one.signature.long() if one.signature else "" for one in scores],
        "faults": [row.faults.get(name, "") for name in columns],
        "notes": list(dict.fromkeys([*row.faults.values(), *row.notes])),
        "counts": _counted(row.counts) if row.counts else "",
        "doubtful": row.doubtful,
        "ranked": row.access != "baseline",
    }


def _counted(counts: Counts) -> str:
    return f"{counts.answered:,} of {counts.requests:,} requests answered"


def rounded(value: float | None) -> float | None:
    """A score as pages hold it."""
    return None if value is None else round(value, 4)


def _bounds(*bounds: float | None) -> list[float | None] | None:
    return None if not bounds or None in bounds else [rounded(bound) for bound in bounds]


def _published(table: PublishedTable, facts: Facts) -> Json:
    names = [column.name for column in table.facts.columns]
    rows = []
    for row in table.rows:
        scores = {name: ScoreEntry(value=float(row.texts[name])) for name in names}
        shown = OwnRow("", row.labels, row.access, scores)
        frames = None if table.facts.task == "har" else int(row.labels[1])
        rows.append({**row_json(shown, names), "frames": frames})
    source = f"{facts.source}, Table {table.facts.number}"
    return {"kind": "published", "title": PUBLISHED, "source": source, "rows": rows}


def comparisons(entries: Sequence[Entry], progress: Progress) -> list[Comparison]:
    """The comparisons of all pairs of entries that can be compared, metric by metric.

    Under a metric, entries are compared where task, references, items and the metric's signature are the
    same, and where the statistics of their items are at hand.
    """
    groups: dict[tuple[object, ...], list[RunRecord]] = {}
    for entry in entries:
        if entry.statistics is None:
            continue
        card, ids = entry.card, entry.statistics.ids
        for name, score in card.scores.items():
            if name in entry.statistics.metrics:
                signature = score.signature.computed().long() if score.signature else ""
                groups.setdefault((name, card.task, card.fingerprint, ids, signature), []).append(entry.run)
    known = [(str(key[0]), runs) for key, runs in groups.items() if len(runs) > 1]
    progress.stage("comparing", len(known))
    found = []
    for name, runs in known:
        found += compare(runs, [name])
        progress.advance()
    return found


def pair_rows(pairs: Sequence[Comparison], pages: Mapping[Path, str]) -> list[Json]:
    """The comparisons of two rows of a board, which are known by their pages."""
    return [
        {
            "metric": one.metric,
            "first": pages[one.first.path],
            "second": pages[one.second.path],
            "value": rounded(one.difference.value),
            "bounds": _bounds(*(one.difference.interval or ())),
            "p": one.corrected,
        }
        for one in pairs
        if one.first.path in pages and one.second.path in pages
    ]


def _har_board(table: PublishedTable, facts: Facts, own: Sequence[OwnRow]) -> Json:
    columns = [column.name for column in table.facts.columns]
    rows = []
    for row in own:
        shown = row_json(row, columns)
        rows.append({**shown, "ranked": not row.marks, "notes": [*row.marks, *shown["notes"]]})
    return {
        **_head(table, [column.heading for column in table.facts.columns]),
        "task": f"har-{table.facts.number}",
        "protocol": "as published",
        "dataset": "",
        "fingerprint": "",
        "items": None,
        "unit": "in %",
        "warning": "",
        "groups": [{"kind": "model", "title": "Models", "rows": rows}, _published(table, facts)],
        "pairs": [],
    }
