"""Our rows for the paper's tables of action recognition, from reports of `microg-bench har score`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from microg_bench.har.report import Report
from microg_bench.leaderboard.published import Facts, PrintedTable
from microg_bench.leaderboard.rows import OwnRow

_WORD = re.compile(r"[a-z0-9]+")


def action_rows(table: PrintedTable, facts: Facts, reports: Sequence[Report]) -> list[OwnRow]:
    """One row for each model whose detections were scored; its splits share it.

    A file belongs to the printed row that holds all words of its name (`X3D_L.test.csv.xz`: X3D and L), and
    to the table whose keyword it has.
    """
    models: dict[str, list[Report]] = {}
    for report in sorted(reports, key=lambda one: one.detections):
        models.setdefault(PurePath(report.detections).name.split(".")[0], []).append(report)
    keywords = [other.keyword for other in facts.tables if other.keyword]
    own = [table.facts.keyword] if table.facts.keyword else keywords
    return [
        _action_row(table, facts, stem, found)
        for stem, found in models.items()
        if any(re.search(word, stem.lower()) for word in own) == bool(table.facts.keyword)
    ]


def _action_row(table: PrintedTable, facts: Facts, stem: str, reports: Sequence[Report]) -> OwnRow:
    place = _printed_detections(table, facts, stem)
    scores = {}
    marks: dict[str, None] = {}
    for report in reports:
        split = _split(facts, report)
        if split is None:
            marks[f"ground truth {report.groundtruth}, not the published one"] = None
        for column in table.facts.columns:
            if column.split == (split or "test") and column.score in report.scores:
                scores[column.name] = report.scores[column.score]
    return OwnRow(
        labels=table.rows[place].labels
        if place is not None
        else (stem, *[""] * (len(table.facts.labels) - 1)),
        access="",
        values={name: one.value for name, one in scores.items()},
        printed=place,
        intervals={name: one.interval for name, one in scores.items() if one.interval},
        signatures={name: (_short(one.signature), one.signature) for name, one in scores.items()},
        marks=tuple(marks),
        notes=tuple(_tie_notes(reports)),
    )


def _tie_notes(reports: Sequence[Report]) -> Iterator[str]:
    for report in reports:
        low, high = (f"{bound:.2f}" for bound in report.mAP_over_ties or (0, 0))
        if low != high:
            name = PurePath(report.detections).name
            yield f"{name}: mAP lies between {low} and {high}, by the order of equal scores"


def _printed_detections(table: PrintedTable, facts: Facts, stem: str) -> int | None:
    """The row whose labels hold all words of `stem` and the fewest others, if there is just one."""
    keyword = table.facts.keyword
    named = re.sub(keyword, " ", stem.lower()) if keyword else stem.lower()
    words = {facts.spelled.get(word, word) for word in _WORD.findall(named)}
    rows = [{word for label in row.labels for word in _WORD.findall(label.lower())} for row in table.rows]
    extra = sorted((len(row - words), place) for place, row in enumerate(rows) if words and words <= row)
    if not extra or (len(extra) > 1 and extra[0][0] == extra[1][0]):
        return None
    return extra[0][1]


def _split(facts: Facts, report: Report) -> str | None:
    """`validation` or `test`, by the fingerprint of the ground truth; None for another ground truth."""
    parts = next(iter(report.scores.values())).signature.split("|") if report.scores else []
    prints = [part.removeprefix("groundtruth:") for part in parts if part.startswith("groundtruth:")]
    return facts.groundtruth.get(prints[0]) if prints else None


def _short(long: str) -> str:
    """Of a long signature the score, the ground truth, the number of items and the version."""
    kept = ("groundtruth:", "items:", "version:")
    first, *parts = long.split("|")
    return "|".join([first, *(part for part in parts if part.startswith(kept))])
