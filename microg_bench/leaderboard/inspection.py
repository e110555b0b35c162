"""Looks at a submission as hostile input: whole, bounded, plain, and scoring to exactly what it claims."""

from __future__ import annotations

import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from microg_bench.adapters import find_adapter
from microg_bench.adapters.registry import source_sha256
from microg_bench.dataset import load
from microg_bench.errors import UsageError
from microg_bench.leaderboard.packed import PackedError, check_files, journal_lines, unpack
from microg_bench.leaderboard.rescoring import Inspection, rescore
from microg_bench.leaderboard.submission import PACKED_JOURNAL, without_paths
from microg_bench.records import Record, Request, first_fault
from microg_bench.runs.evaluate import Scoring
from microg_bench.runs.folder import RUN_FILE
from microg_bench.runs.scorecard import Scorecard
from microg_bench.runs.scoring import SCORECARD_FILE
from microg_bench.runs.settings import RUN_SCHEMA, Settings
from microg_bench.tasks import TASKS, items_of

MAX_WORD = 300  # characters of a name or setting
SHOWN = 3
_MARKUP = re.compile(r"<\s*/?\s*(script|iframe|object|embed|svg|img|style|link|meta)\b|javascript:", re.I)


class _Answer(Record):
    """A line of the journal."""

    type: str
    id: str
    answer: str
    text: str
    stop: str
    frames: tuple[int, ...]
    prompt_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    seconds: float
    shared: bool = False


class _Run(Record):
    """The content of run.json."""

    schema_: str
    options: dict[str, Any]
    settings: Settings
    starts: list[dict[str, Any]]


def inspect(folders: Iterable[Path], data: str | None, scoring: Scoring) -> dict[Path, Inspection]:
    """Check submissions against the dataset `data`; those that look right are scored again, together.

    Args:
        folders: the submissions.
        data: the dataset that they were made on, as for `--data`.
        scoring: how to score again; metrics and protocol are taken from the claims.

    Raises:
        DataError: the dataset cannot be read.
    """
    found = {folder: Inspection() for folder in folders}
    with tempfile.TemporaryDirectory() as place:
        runs: dict[Path, tuple[Path, Scorecard]] = {}
        for number, (folder, inspection) in enumerate(found.items()):
            try:
                card = _inspect(folder, data, inspection)
            except PackedError as refused:
                inspection.problems.append(str(refused))
            else:
                if not inspection.problems:
                    runs[folder] = unpack(folder, Path(place, str(number))), card
        for folder, checked in rescore(runs, data, scoring).items():
            found[folder].problems += checked.problems
            found[folder].notes += checked.notes
    return found


def _inspect(folder: Path, data: str | None, found: Inspection) -> Scorecard:
    """Look at all but the scores, and return the scorecard that is claimed."""
    check_files(folder)
    run, card = _read_run(folder / RUN_FILE), _read_card(folder / SCORECARD_FILE)
    found.problems += _private_or_marked(folder)
    found.problems += _claims(run.settings, card)
    dataset = load(data)
    if dataset.fingerprint != run.settings.fingerprint:
        raise PackedError(
            f"was made on references with fingerprint {run.settings.fingerprint[:12]}, "
            f"{dataset.name} has {dataset.fingerprint[:12]}"
        )
    items = items_of(TASKS[card.task], dataset.clips)
    answers = _read_answers(folder / PACKED_JOURNAL)
    found.problems += _coverage(answers, [item.request.id for item in items])
    found.problems += _contents(answers, run.settings)
    _check_parsing(answers, {item.request.id: item.request for item in items}, run.settings, found)
    return card


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise PackedError(f"{file.name} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise PackedError(f"{file.name} is not a JSON object")
    return content


def _read_run(file: Path) -> _Run:
    content = _json(file)
    content["schema_"] = content.pop("schema", None)
    try:
        run = _Run.model_validate(content)
    except ValidationError as error:
        raise PackedError(f"{file.name}: {first_fault(error)}") from None
    if run.schema_ != RUN_SCHEMA:
        raise PackedError(f"{file.name} is of schema {run.schema_!r}, not {RUN_SCHEMA}")
    return run


def _read_card(file: Path) -> Scorecard:
    try:
        return Scorecard.model_validate(_json(file))
    except ValidationError as error:
        raise PackedError(f"{file.name}: {first_fault(error)}") from None


def _read_answers(file: Path) -> list[_Answer]:
    answers = []
    for number, line in enumerate(journal_lines(file), start=1):
        try:
            answers.append(_Answer.model_validate_json(line))
        except ValidationError as error:
            raise PackedError(f"{file.name}, line {number}: {first_fault(error)}") from None
    return answers


def _private_or_marked(folder: Path) -> list[str]:
    problems = []
    for name in (RUN_FILE, SCORECARD_FILE):
        content = _json(folder / name)
        for place, text in _strings(content):
            if without_paths(text) != text:
                problems.append(f"{name}: {place} holds a path or an address: {text[:80]!r}")
            elif _MARKUP.search(text) or not text.isprintable():
                problems.append(f"{name}: {place} holds markup or control characters: {text[:80]!r}")
            elif len(text) > MAX_WORD:
                problems.append(f"{name}: {place} is longer than {MAX_WORD} characters")
    return problems


def _strings(content: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """All strings of JSON content, keys included, each with where it stands."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield f"the key of {place or 'the file'}", key
            yield from _strings(value, f"{place}.{key}".lstrip("."))
    elif isinstance(content, list):
        for number, value in enumerate(content):
            yield from _strings(value, f"{place}[{number}]")
    elif isinstance(content, str):
        yield place, content


def _claims(settings: Settings, card: Scorecard) -> list[str]:
    problems = []
    if card.status != "complete" or card.failures or card.missing or card.foreign:
        problems.append(f"is not complete: {card.status}")
    if settings.clips is not None:
        problems.append(f"asks {len(settings.clips)} clips only, not the whole dataset")
    if card.settings != settings.model_dump(mode="json"):
        problems.append("run.json and scorecard.json tell of different settings")
    if card.task != settings.task:
        problems.append(f"run.json is of task {settings.task}, scorecard.json of {card.task}")
    return problems


def _coverage(answers: list[_Answer], wanted: list[str]) -> list[str]:
    given = Counter(answer.id for answer in answers)
    known = set(wanted)
    faults = {
        "items have no answer": [name for name in wanted if name not in given],
        "answers are of no item of the dataset": [name for name in given if name not in known],
        "items are answered twice": sorted(name for name, times in given.items() if times > 1),
    }
    return [f"{len(names)} {what}: {_named(names)}" for what, names in faults.items() if names]


def _contents(answers: list[_Answer], settings: Settings) -> list[str]:
    how, _, count = settings.frames.partition(":")
    shown = int(count) if how in ("uniform", "endpoints") and count.isdigit() else None
    faults = {
        "lines are no response": [one.id for one in answers if one.type != "response"],
        "answers hold markup that a browser runs": [
            one.id for one in answers if _MARKUP.search(one.answer) or _MARKUP.search(one.text)
        ],
        f"answers were not given on {shown} frames": [
            one.id for one in answers if shown is not None and len(one.frames) != shown
        ],
    }
    return [f"{len(names)} {what}: {_named(names)}" for what, names in faults.items() if names]


def _check_parsing(
    answers: list[_Answer], requests: dict[str, Request], settings: Settings, found: Inspection
) -> None:
    """Whether the adapter, where it is here in the very version, reads the same answers in the same words."""
    try:
        adapter = find_adapter(settings.model)
    except UsageError:
        found.notes.append(f"adapter {settings.model} is not here: what it read in the words was not checked")
        return
    if source_sha256(adapter) != settings.adapter_sha256:
        found.notes.append(
            f"adapter {settings.model} is here in another version: its reading was not checked"
        )
        return
    other = [
        one.id
        for one in answers
        if one.id in requests and adapter.parse(requests[one.id], one.text) != one.answer
    ]
    if other:
        found.problems.append(
            f"{len(other)} answers are not what adapter {settings.model} reads in the words: {_named(other)}"
        )


def _named(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
