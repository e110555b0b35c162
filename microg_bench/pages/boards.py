"""Boards, the tables of the leaderboard; rows of a board share task, protocol and dataset."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from microg_bench.metrics import METRICS
from microg_bench.pages.details import COLUMNS, Json, baseline_details, own_details, published_details
from microg_bench.pages.entries import Entry
from microg_bench.pages.headings import explanations
from microg_bench.progress import Progress
from microg_bench.records import TaskName
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import NO_BENCHMARK, SAMPLE_FINGERPRINT, Counts, Scorecard, ScoreEntry
from microg_bench.scoring.compare import Comparison, compare
from microg_bench.scoring.intervals import smallest_corrected
from microg_bench.tables.har_rows import action_rows, asked_rows
from microg_bench.tables.published import (
    Facts,
    PublishedTable,
    published_of_texts,
    read_facts,
    read_published,
)
from microg_bench.tables.rows import OwnRow, card_row, text_rows
from microg_bench.text import first_line, many

PUBLISHED = "Published in the paper"
MOST_COMPARED = 40  # rows of a board under one metric: 780 pairs; benchmarks/intervals.py times them


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
    `har` and `submitted` scorecards of actions, of networks and of models that were asked; see `action_rows`
    and `asked_rows`.
    """
    facts = read_facts()
    tables = published_of_texts(facts)
    grouped: dict[tuple[TaskName, str, str], list[int]] = {}
    for place, entry in enumerate(entries):
        card = entry.card
        grouped.setdefault((card.task, card.protocol, card.fingerprint), []).append(place)
    for task in tables:  # published numbers have a board even where there is no row of ours
        grouped.setdefault((task, facts.protocol, next(iter(facts.datasets))), [])
    order = list(tables)

    def place_of(key: tuple[TaskName, str, str]) -> tuple[object, ...]:
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
    key: tuple[TaskName, str, str],
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
        {**row_json(row, columns), "details": baseline_details()} for row in baselines
    ]
    models = [{**row, "ranked": row["ranked"] and benchmark} for row in own if row["access"] != "baseline"]
    return {
        **_head(table, columns),
        "details": COLUMNS,
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
        "pairs": pairs_of(pairs, {entry.run.path: page for entry, page in rows}),
    }


def _head(table: PublishedTable, columns: Sequence[str]) -> Json:
    title = table.facts.title.split(",")[0]
    labels = list(table.facts.headings)
    return {
        "title": title,
        "labels": labels,
        "columns": columns,
        "explanations": explanations([*labels, *columns]),
        "lower": [],
        "told": "",
    }


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
        "search": " ".join([entry.run.settings.model, entry.run.settings.engine]),
        "details": own_details(entry),
    }


def row_json(row: OwnRow, columns: Sequence[str]) -> Json:
    """A row as the page's scripts read it, with a score for each column."""
    scores = [row.scores.get(name, ScoreEntry()) for name in columns]
    return {
        "labels": list(row.labels),
        "access": row.access,
        "values": [rounded(one.value) for one in scores],
        "missing": [why_missing(one, name) for name, one in zip(columns, scores, strict=True)],
        "bounds": [_bounds(*(one.interval or ())) for one in scores],
        "signatures": [one.signature.long() if one.signature else "" for one in scores],
        "faults": [row.faults.get(name, "") for name in columns],
        "notes": list(dict.fromkeys([*row.faults.values(), *row.notes])),
        "counts": _counted(row.counts) if row.counts else "",
        "doubtful": row.doubtful,
        "ranked": row.access != "baseline",
    }


def why_missing(score: ScoreEntry, name: str) -> str:
    """Why there is no value under a score of this name; empty where there is one."""
    if score.value is not None:
        return ""
    command = f": microg-bench score RUN --metrics {name}" if name in METRICS else ""
    return first_line(score.unavailable or f"not scored under {name}{command}")


def _counted(counts: Counts) -> str:
    return f"{counts.answered:,} of {many(counts.requests, 'request')} answered"


def rounded(value: float | None) -> float | None:
    """A score as pages hold it."""
    return None if value is None else round(value, 4) + 0.0  # adding zero turns -0.0 into 0.0


def _bounds(*bounds: float | None) -> list[float | None] | None:
    return None if not bounds or None in bounds else [rounded(bound) for bound in bounds]


def _published(table: PublishedTable, facts: Facts) -> Json:
    names = [column.name for column in table.facts.columns]
    rows = []
    for row in table.rows:
        scores = {name: ScoreEntry(value=float(row.texts[name])) for name in names}
        shown = OwnRow("", row.labels, row.access, scores)
        own = {} if table.facts.task == "har" else _published_own(facts, row.labels)
        rows.append({**row_json(shown, names), **own})
    source = f"{facts.source}, Table {table.facts.number}"
    return {"kind": "published", "title": PUBLISHED, "source": source, "rows": rows}


def _published_own(facts: Facts, labels: Sequence[str]) -> Json:
    """What a published row of a model has beside its scores."""
    return {"frames": int(labels[1]), "details": published_details(facts, labels[0])}


def comparisons(entries: Sequence[Entry], progress: Progress) -> list[Comparison]:
    """The comparisons of all pairs of entries that can be compared, metric by metric.

    Under a metric, entries are compared where task, references, items and the metric's signature are the
    same, and where the statistics of their items are at hand. Of more than `MOST_COMPARED` those with the
    highest scores are, so that neither time nor page grows without bound.
    """
    groups: dict[tuple[object, ...], list[Entry]] = {}
    for entry in entries:
        if entry.statistics is None:
            continue
        card, ids = entry.card, entry.statistics.ids
        for name, score in card.scores.items():
            if name in entry.statistics.metrics and score.value is not None:
                signature = score.signature.computed().long() if score.signature else ""
                groups.setdefault((name, card.task, card.fingerprint, ids, signature), []).append(entry)
    known = [(str(key[0]), _highest(str(key[0]), own)) for key, own in groups.items() if len(own) > 1]
    progress.stage("comparing", len(known))
    found = []
    for name, runs in known:
        found += compare(runs, [name])
        progress.advance()
    return found


def _highest(name: str, entries: Sequence[Entry]) -> list[RunRecord]:
    """The runs that are compared under a metric, in the order of the entries."""
    scores = [entry.card.scores[name].value or 0.0 for entry in entries]
    order = sorted(range(len(entries)), key=lambda place: -scores[place])
    return [entries[place].run for place in sorted(order[:MOST_COMPARED])]


def pairs_of(pairs: Sequence[Comparison], pages: Mapping[Path, str]) -> Json:
    """The comparisons of the rows of a board, by metric: the pages of the rows, and a line for each pair.

    A line holds the places of both pages, the difference, the bounds of its interval, its p-value, and the
    place in `families` of what is corrected together: source videos, pairs, and the smallest p-value after
    the correction.
    """
    found: dict[str, Json] = {}
    for one in pairs:
        if one.first.path not in pages or one.second.path not in pages:
            continue
        own = found.setdefault(one.metric, {"pages": [], "families": [], "lines": []})
        places = [_place(own["pages"], pages[run.path]) for run in (one.first, one.second)]
        bounds = _bounds(*(one.difference.interval or ())) or [None, None]
        count = one.difference.clusters
        family = _place(own["families"], [count, one.pairs, smallest_corrected(count, one.pairs)])
        own["lines"].append([*places, rounded(one.difference.value), *bounds, one.corrected, family])
    return found


def _place(known: list[Any], one: object) -> int:
    """The place of one in a list, to which it is added where it is not there yet."""
    if one not in known:
        known.append(one)
    return known.index(one)


def _har_board(table: PublishedTable, facts: Facts, own: Sequence[OwnRow]) -> Json:
    columns = [column.name for column in table.facts.columns]
    rows = []
    for row in own:
        shown = row_json(row, columns)
        rows.append({**shown, "ranked": not row.marks, "notes": [*row.marks, *shown["notes"]]})
    return {
        **_head(table, [column.heading for column in table.facts.columns]),
        "task": f"har-{table.facts.number}",
        "protocol": "",  # of several recipes and ground truths: notes tell what is not as published
        "dataset": "",
        "fingerprint": "",
        "items": None,
        "unit": "in %",
        "warning": "",
        "groups": [{"kind": "model", "title": "Models", "rows": rows}, _published(table, facts)],
        "pairs": {},
    }
