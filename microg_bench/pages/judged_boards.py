"""Boards of judged scores, apart from those of the protocols; their names tell judge, rubric, agreement."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from microg_bench.annotation.judged_pairs import compare_alike
from microg_bench.errors import DataError, MicrogError
from microg_bench.pages.boards import MOST_COMPARED, own_row, pairs_of, rounded, why_missing
from microg_bench.pages.details import COLUMNS, Json
from microg_bench.pages.entries import Entry
from microg_bench.pages.headings import explanations
from microg_bench.scorecard import NO_BENCHMARK, SAMPLE_FINGERPRINT
from microg_bench.tables.judged import JudgedRow, JudgedTable, judged_tables
from microg_bench.tables.published import PublishedTable, published_of_texts, read_facts
from microg_bench.tasks import TASKS


def judged_boards(entries: Sequence[Entry], pages: Sequence[str]) -> tuple[list[Json], list[MicrogError]]:
    """A board for each judge and rubric, and the error of each run whose judgements cannot be used.

    `pages` are the pages of the entries, relative to that of the leaderboard.
    """
    found, errors = judged_tables(entry.run for entry in entries)
    published = published_of_texts(read_facts())
    rows = {entry.run.path: (entry, page) for entry, page in zip(entries, pages, strict=True)}
    return [_board(one, published[one.task], rows) for one in found], errors


def _board(
    judged: JudgedTable, table: PublishedTable, rows: Mapping[Path, tuple[Entry, str]]
) -> dict[str, Any]:
    first = judged.first
    benchmark = first.fingerprint != SAMPLE_FINGERPRINT
    return {
        "title": f"{TASKS[first.task].title}, judged",
        "labels": list(table.facts.headings),
        "columns": list(judged.columns),
        "explanations": explanations([*table.facts.headings, *judged.columns], judged=True),
        "details": COLUMNS,
        "lower": list(judged.lower_is_better),
        "told": f"Judged: {judged.name}.",
        "task": f"judged-{first.task}",
        "protocol": judged.name,
        "dataset": first.dataset,
        "fingerprint": first.fingerprint[:12],
        "items": max(len(row.judgement.items) for row in judged.rows),
        "unit": "×100",
        "warning": "" if benchmark else f"{NO_BENCHMARK}; nothing is ranked".capitalize(),
        "groups": [
            {
                "kind": "model",
                "title": "Models",
                "rows": [_row(row, table, *rows[row.run.path], benchmark) for row in judged.rows],
            }
        ],
        "pairs": _pairs(judged, {row.run.path: rows[row.run.path][1] for row in judged.rows}),
    }


def _row(row: JudgedRow, table: PublishedTable, entry: Entry, page: str, benchmark: bool) -> Json:
    """The row of a run with judged scores in place of those of the protocol."""
    own = own_row(table, read_facts(), entry, page, ())
    one = row.judgement
    scores = list(one.scores.values())
    return {
        **own,
        "values": [rounded(score.value) for score in scores],
        "missing": [why_missing(score, f"{name}, judged") for name, score in one.scores.items()],
        "bounds": [score.interval and [rounded(bound) for bound in score.interval] for score in scores],
        "signatures": [one.signature.long() for _ in scores],
        "faults": ["" for _ in scores],
        "notes": list(row.notes()),
        "counts": one.counts.words(),
        "ranked": benchmark and own["access"] != "baseline" and one.counts.complete,
    }


def _pairs(judged: JudgedTable, pages: Mapping[Path, str]) -> Json:
    """The comparisons of all pairs of the first rows on the items that were judged in all of them."""
    if len(judged.rows) < 2:
        return {}
    rows = judged.rows[:MOST_COMPARED]
    try:
        found = compare_alike([row.run for row in rows], [row.judgement for row in rows])
    except DataError:  # no item was judged in all of them
        return {}
    return pairs_of(found.comparisons, pages)
