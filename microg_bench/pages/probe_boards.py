"""The board "Robustness": what changes with the frames; a row is a model, a column a condition."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from microg_bench.pages.boards import row_json
from microg_bench.pages.details import Json
from microg_bench.pages.headings import explanations
from microg_bench.records import AnswerTask
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import NO_BENCHMARK, SAMPLE_FINGERPRINT, ScoreEntry
from microg_bench.scoring.probes import PLAIN, PROBES, ProbeEffect
from microg_bench.tables.probes import ProbedRuns
from microg_bench.tables.published import Facts, PublishedTable, published_of_texts, read_facts
from microg_bench.tables.rows import card_row
from microg_bench.tasks import TASKS

Row = tuple[ProbedRuns, str]  # with the page, relative to that of the leaderboard
OTHER = "other answers"
_ABOUT = (
    "Pointing at a name shows the verdicts. Nothing is ranked: whether an answer should change depends on "
    "the probe."
)


def probe_boards(rows: Sequence[Row]) -> list[Json]:
    """A board of other answers for each task and set of references, and one of differences in the headline.

    The sample set, which is no benchmark, comes last.
    """
    facts = read_facts()
    tables = published_of_texts(facts)
    grouped: dict[tuple[bool, str, AnswerTask, str], list[Row]] = {}
    for probed, page in rows:
        for task in probed.report.tasks:
            sample = probed.report.fingerprint == SAMPLE_FINGERPRINT
            for what in (OTHER, *_headlines(probed.report.of_task(task))):
                key = (sample, probed.report.fingerprint, task, what)
                grouped.setdefault(key, []).append((probed, page))
    keys = sorted(grouped, key=lambda key: (*key[:3], key[3] != OTHER, key[3]))
    return [_board(tables[key[2]], facts, key[2], key[3], grouped[key]) for key in keys]


def _headlines(effects: Iterable[ProbeEffect]) -> dict[str, None]:
    return dict.fromkeys(one.headline[0] for one in effects if one.headline)


def _board(table: PublishedTable, facts: Facts, task: AnswerTask, what: str, rows: Sequence[Row]) -> Json:
    reports = [probed.report for probed, _ in rows]
    asked = {one.transforms for report in reports for one in report.of_task(task)}
    columns = [label for probe in PROBES.values() for label in probe.conditions if label in asked]
    found = [_row(table, facts, task, what, columns, row) for row in rows]
    models = [row for row in found if row["access"] != "baseline"]
    baselines = [row for row in found if row["access"] == "baseline"]
    benchmark = reports[0].fingerprint != SAMPLE_FINGERPRINT
    return {
        "title": "Robustness",
        "labels": list(table.facts.headings),
        "columns": columns,
        "explanations": explanations([*table.facts.headings, *columns]),
        "task": "robustness",
        "protocol": f"{TASKS[task].title}, {what if what == OTHER else f'difference in {what}'}",
        "dataset": facts.datasets.get(reports[0].fingerprint) or reports[0].dataset,
        "fingerprint": reports[0].fingerprint[:12],
        "items": max(one.items for report in reports for one in report.of_task(task)),
        "unit": "×100",
        "lower": [],
        "signed": what != OTHER,
        "about": f"{_told(what)} {_ABOUT}",
        "warning": "" if benchmark else NO_BENCHMARK.capitalize(),
        "groups": [
            {"kind": "model", "title": "Models", "rows": models},
            {"kind": "baseline", "title": "Baselines: no model at all", "rows": baselines},
        ],
        "pairs": {},
    }


def _told(what: str) -> str:
    if what == OTHER:
        return "Share of the answers, in %, that are another text when the frames are changed."
    return (
        f"{what} with changed less that with unchanged frames, ×100; tooltips have the 95% intervals over "
        "source videos."
    )


def _row(
    table: PublishedTable, facts: Facts, task: AnswerTask, what: str, columns: Sequence[str], row: Row
) -> Json:
    probed, page = row
    plain = probed.conditions[PLAIN][task]
    scores = {one.transforms: _entry(one, what, plain) for one in probed.report.of_task(task)}
    own = card_row(table, facts, plain.scorecard)
    verdicts = [f"{one.transforms}: {one.verdict}" for one in probed.report.of_task(task)]
    shown = row_json(replace(own, scores=scores, faults={}), columns)
    return {
        **shown,
        "frames": None,
        "page": page,
        "ranked": False,
        "counts": "\n".join([shown["counts"], *verdicts]),
    }


def _entry(effect: ProbeEffect, what: str, plain: RunRecord) -> ScoreEntry:
    if what == OTHER:
        return ScoreEntry(value=None if effect.other is None else 100 * effect.other)
    one = effect.metrics.get(what)
    if one is None:
        return ScoreEntry()
    signature = plain.scorecard.scores[what].signature
    return ScoreEntry(value=one.difference, interval=one.interval, signature=signature)
