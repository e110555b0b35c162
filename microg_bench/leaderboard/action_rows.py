"""Our rows for the paper's tables of action recognition, from reports of `microg-bench har score`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath

from microg_bench.errors import DataError
from microg_bench.har.report import Report
from microg_bench.leaderboard.published import Facts, PrintedTable
from microg_bench.leaderboard.rows import OwnRow, fault_of

_WORD = re.compile(r"[a-z0-9]+")


def action_rows(table: PrintedTable, facts: Facts, reports: Sequence[Report]) -> list[OwnRow]:
    """One row for each model whose detections were scored; its splits share it.

    A file belongs to the printed row that holds all words of its name (`X3D_L.test.csv.xz`: X3D and L), and
    to the table whose keyword it has. What was scored against another ground truth has a row of its own.

    Raises:
        DataError: two reports on detections of one name and split have other scores.
    """
    models: dict[tuple[str, str], dict[str, Report]] = {}
    for report in sorted(reports, key=lambda one: (one.detections, one.model_dump_json())):
        stem, split = _stem(report), _split(facts, report)
        if not _belongs(table, facts, stem):
            continue
        splits = models.setdefault((stem, "" if split else report.groundtruth), {})
        known = splits.setdefault(split or "test", report)
        if _values(known) != _values(report):
            raise DataError(
                f"two reports on {report.detections} against {report.groundtruth} have other scores: "
                "give one of them, or scores of files with other names"
            )
    return [_action_row(table, facts, stem, other, splits) for (stem, other), splits in models.items()]


def _stem(report: Report) -> str:
    return PurePath(report.detections).name.split(".")[0]


def _values(report: Report) -> dict[str, float | None]:
    return {name: one.value and round(one.value, 6) for name, one in report.scores.items()}


def _belongs(table: PrintedTable, facts: Facts, stem: str) -> bool:
    own = table.facts.keyword
    words = [own] if own else [other.keyword for other in facts.tables if other.keyword]
    return any(re.search(word, stem.lower()) for word in words) == bool(own)


def _action_row(
    table: PrintedTable, facts: Facts, stem: str, other: str, splits: Mapping[str, Report]
) -> OwnRow:
    """The row of the reports by split; `other` is the ground truth where that is not the published one."""
    place = _printed_detections(table, facts, stem)
    scores = {
        column: splits[column.split].scores[column.score]
        for column in table.facts.columns
        if column.split in splits and column.score in splits[column.split].scores
    }
    unknown = (stem, *[""] * (len(table.facts.labels) - 1))
    return OwnRow(
        name=stem,
        labels=unknown if place is None else table.rows[place].labels,
        access="",
        values={column.name: one.value for column, one in scores.items()},
        printed=place,
        intervals={column.name: one.interval for column, one in scores.items() if one.interval},
        signatures={column.name: (_short(one.signature), one.signature) for column, one in scores.items()},
        marks=(f"ground truth {other}, not the published one",) if other else (),
        faults={
            column.name: fault
            for column, one in scores.items()
            if (fault := fault_of(facts, column.score, one.signature))
        },
        notes=tuple(_tie_notes(splits)),
    )


def _tie_notes(splits: Mapping[str, Report]) -> Iterator[str]:
    for split, report in splits.items():
        low, high = (f"{bound:.2f}" for bound in report.mAP_over_ties)
        if low != high:
            yield f"{split} mAP lies between {low} and {high}, by the order of equal scores"


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
