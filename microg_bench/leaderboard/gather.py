"""Finds what goes into tables and plots: scorecards of runs and submissions, reports on actions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from microg_bench.errors import DataError, MicrogError, RunError
from microg_bench.har.report import SCHEMA as ACTIONS_SCHEMA
from microg_bench.har.report import Report
from microg_bench.runs.folder import RUN_FILE
from microg_bench.runs.scorecard import Scorecard
from microg_bench.runs.scoring import SCORECARD_FILE, read_scorecard

LARGEST = 1e6  # far above any score; CIDEr, the largest, ends at 1,000


def runs_below(folder: Path) -> list[Path]:
    """All runs in `folder` and the folders below it, in the order of their paths.

    Raises:
        RunError: `folder` does not exist.
    """
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder")
    return sorted(file.parent for file in folder.rglob(RUN_FILE))


def read_cards(paths: Iterable[Path]) -> tuple[list[Scorecard], list[MicrogError]]:
    """The scorecards of runs or submissions, and the error of each that cannot be read.

    What was given twice, a run and its submission for example, counts once. The order is that of the content,
    so that it does not matter where a run lies.
    """
    cards: dict[str, Scorecard] = {}
    errors: list[MicrogError] = []
    for path in paths:
        try:
            card = read_finite(path)
        except MicrogError as error:
            errors.append(error)
        else:
            cards[_identity(card)] = card
    return [cards[key] for key in sorted(cards)], errors


def read_finite(path: Path) -> Scorecard:
    """The scorecard of the run at `path`, in which every score is a number of a size that scores have.

    Raises:
        RunError: it has none, or it is damaged or of another version.
    """
    card = read_scorecard(path)
    for name, value in _numbers(card):
        if not abs(value) <= LARGEST:
            raise RunError(f"{path / SCORECARD_FILE}: damaged: {name} is {value}")
    return card


def _numbers(card: Scorecard) -> Iterator[tuple[str, float]]:
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
        DataError: a file is missing or is no such report.
    """
    return [report for file in files for report in _reports(file)]


def _reports(file: Path) -> list[Report]:
    try:
        content = json.loads(file.read_bytes(), parse_constant=_no_number)
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: not JSON: {error}") from error
    if not isinstance(content, dict) or content.pop("schema", None) != ACTIONS_SCHEMA:
        raise DataError(f"{file}: not a report of `microg-bench har score` (schema {ACTIONS_SCHEMA})")
    try:
        return [Report.model_validate(one) for one in content.get("reports", [content])]
    except (ValidationError, TypeError) as error:
        raise DataError(f"{file}: damaged: {str(error).splitlines()[0]}") from error


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is not a number")


def _identity(card: Scorecard) -> str:
    """What two cards share that are of one run, in an order for tables: title, frames, then all the rest."""
    model = card.model
    names = [model.title, model.frame_count or 0, model.name] if model else []
    answers = {name: one.value for name, one in card.scores.items()}
    return json.dumps([names, card.protocol, card.fingerprint, answers, card.settings], sort_keys=True)
