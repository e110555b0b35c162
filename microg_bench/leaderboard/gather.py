"""Finds what goes into tables and plots: scorecards of runs and submissions, reports on actions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from microg_bench.errors import DataError, MicrogError, RunError
from microg_bench.har.report import SCHEMA as ACTIONS_SCHEMA
from microg_bench.har.report import Report
from microg_bench.leaderboard.submission import PACKED_JOURNAL, without_paths
from microg_bench.records import Record, first_fault
from microg_bench.runs.folder import JOURNAL_FILE, RUN_FILE, read_run
from microg_bench.runs.scorecard import Scorecard
from microg_bench.runs.scoring import SCORECARD_FILE, read_scorecard

LARGEST = 1e6  # far above any score; CIDEr, the largest, ends at 1,000


def runs_below(folder: Path) -> list[Path]:
    """All runs in `folder` and the folders below it, in the order of their paths.

    Raises:
        RunError: `folder` does not exist, or holds no run.
    """
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder")
    runs = sorted(file.parent for file in folder.rglob(RUN_FILE))
    if not runs:
        raise RunError(f"{folder}: there is no run here")
    return runs


def read_cards(paths: Iterable[Path]) -> tuple[list[Scorecard], list[MicrogError]]:
    """The scorecards of runs or submissions, and the error of each that cannot be read.

    What was given twice, a run and its submission for example, counts once. The order is that of the content,
    so that it does not matter where a run lies. A run without its answers is an error: nobody could check it.
    """
    cards: dict[str, Scorecard] = {}
    errors: list[MicrogError] = []
    for path in paths:
        try:
            card = _with_answers(path)
        except MicrogError as error:
            errors.append(error)
        else:
            key = identity(card)
            cards[key] = min(cards.get(key, card), card, key=lambda one: one.model_dump_json())
    return [cards[key] for key in sorted(cards)], errors


def _with_answers(path: Path) -> Scorecard:
    read_run(path)
    if not any((path / name).is_file() for name in (JOURNAL_FILE, PACKED_JOURNAL)):
        raise RunError(f"{path}: holds no {JOURNAL_FILE}, so there are no answers that were scored")
    return read_finite(path)


def read_finite(path: Path) -> Scorecard:
    """The scorecard of the run at `path`, in which every score is a number of a size that scores have.

    Raises:
        RunError: it has none, or it is damaged or of another version.
    """
    card = read_scorecard(path)
    if fault := _no_score(_card_numbers(card)):
        raise RunError(f"{path / SCORECARD_FILE}: damaged: {fault}")
    return card


def _no_score(numbers: Iterable[tuple[str, float]]) -> str:
    """The first number that no score can be, in words; empty where there is none."""
    return next((f"{name} is {value}" for name, value in numbers if not abs(value) <= LARGEST), "")


def _card_numbers(card: Scorecard) -> Iterator[tuple[str, float]]:
    for name, one in card.scores.items():
        yield from ((name, value) for value in (one.value, *(one.interval or ())) if value is not None)
    for title, floor in card.floors.items():
        yield from ((f"floor {title}, {name}", value) for name, value in floor.scores.items())
    for kind, slices in card.slices.items():
        for label, part in slices.items():
            yield from ((f"{kind} {label}, {name}", value) for name, value in part.scores.items())


def read_reports(files: Sequence[Path]) -> list[Report]:
    """The reports that `microg-bench har score --out FILE` wrote.

    Raises:
        DataError: a file is missing, is no such report, or holds a number that no score can be.
    """
    return [report for file in files for report in _reports(file)]


class _Reports(Record):
    """What a report file holds."""

    reports: tuple[Report, ...]


def _reports(file: Path) -> tuple[Report, ...]:
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: not JSON: {error}") from error
    if not isinstance(content, dict) or content.pop("schema", None) != ACTIONS_SCHEMA:
        raise DataError(f"{file}: not a report of `microg-bench har score` (schema {ACTIONS_SCHEMA})")
    try:
        reports = _Reports.model_validate(content if "reports" in content else {"reports": [content]}).reports
    except ValidationError as error:
        raise DataError(f"{file}: damaged: {first_fault(error)}") from error
    for report in reports:
        if fault := _no_score(_report_numbers(report)):
            raise DataError(f"{file}: damaged: {fault}")
    return reports


def _report_numbers(report: Report) -> Iterator[tuple[str, float]]:
    yield from (("mAP over ties", value) for value in report.mAP_over_ties)
    for name, one in report.scores.items():
        yield from ((name, value) for value in (one.value, *(one.interval or ())) if value is not None)


def identity(card: Scorecard) -> str:
    """What two cards share that are of one run, in an order for tables: title, frames, then all the rest."""
    model = card.model
    names = [model.title, model.frame_count or 0, model.name] if model else []
    answers = {name: one.value for name, one in card.scores.items()}
    rest = [card.protocol, card.fingerprint, card.status, answers, card.settings]
    return json.dumps(without_paths([names, *rest]), sort_keys=True)
