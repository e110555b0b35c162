"""Scores a run, or a predictions file from elsewhere, and writes what comes of it. Nothing is asked again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from microg_bench.dataset import Dataset, load, select
from microg_bench.errors import DataError, RunError
from microg_bench.files import write_json
from microg_bench.records import TaskName
from microg_bench.runs.evaluate import Evaluation, Scoring, evaluate
from microg_bench.runs.floors import floor_entries
from microg_bench.runs.folder import read_run, read_state
from microg_bench.runs.predictions import as_layout, match, read_predictions
from microg_bench.runs.scorecard import SCORECARD_SCHEMA, ModelEntry, Scorecard, status
from microg_bench.runs.settings import Settings
from microg_bench.runs.statistics import write_statistics
from microg_bench.tasks import TASKS, items_of

SCORECARD_FILE = "scorecard.json"
PREDICTIONS_FILE = "predictions.json"


def find_runs(path: Path) -> list[Path]:
    """The run at `path`, or the runs in the folders below it.

    Raises:
        RunError: there is none.
    """
    if (path / "run.json").is_file():
        return [path]
    below = sorted(file.parent for file in path.glob("*/run.json"))
    if not below:
        raise RunError(f"{path}: not a run folder (there is no run.json in it or one level below)")
    return below


def read_scorecard(path: Path) -> Scorecard:
    """The scorecard of the run at `path`.

    Raises:
        RunError: it has not been scored, or the file is damaged or of another version.
    """
    file = path / SCORECARD_FILE
    if not file.is_file():
        raise RunError(f"{path}: has not been scored: run `microg-bench score {path}` first")
    try:
        card = Scorecard.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise RunError(
            f"{file}: damaged or of another version; run `microg-bench score {path}` again"
        ) from error
    if card.schema_ != SCORECARD_SCHEMA:
        raise RunError(f"{file}: is of version {card.schema_}, not {SCORECARD_SCHEMA}; score the run again")
    return card


def score_run(path: Path, scoring: Scoring, data: str | None = None) -> Scorecard:
    """Score the run at `path` and write its scorecard and its predictions.

    Args:
        path: a run folder.
        scoring: how to score.
        data: where the dataset lies now; None takes the place that the run was started with.

    Raises:
        RunError: not a run, or damaged.
        DataError: the dataset cannot be read or its references are not those of the run.
    """
    content = read_run(path)
    settings = Settings.model_validate(content["settings"])
    dataset = load(data or content["options"].get("data"))
    if dataset.fingerprint != settings.fingerprint:
        raise DataError(
            f"{path}: was made on {settings.dataset} with fingerprint {settings.fingerprint[:12]}, but "
            f"{dataset.name} has {dataset.fingerprint[:12]}; give the right dataset with --data"
        )
    items = items_of(TASKS[settings.task], select(dataset, settings.clips or ()))
    state = read_state(path)
    answers = {name: answer.answer for name, answer in state.answers.items()}
    unasked = sum(1 for item in items if item.request.id not in answers) - len(state.failures)
    counts = {len(answer.frames) for answer in state.answers.values()}
    measured = evaluate(settings.task, items, answers, scoring)
    card = _card(
        settings.task,
        dataset,
        measured,
        scoring,
        status=status(failures=len(state.failures), missing=unasked),
        failures=len(state.failures),
        missing=unasked,
        model=ModelEntry(
            name=settings.model,
            title=settings.title,
            frames=settings.frames,
            frame_count=max(counts, default=0),
        ),
        settings=settings.model_dump(mode="json"),
    )
    write_json(path / PREDICTIONS_FILE, as_layout(settings.task, items, answers))
    write_statistics(path, measured)
    write_json(path / SCORECARD_FILE, card.to_json())
    return card


def score_predictions(
    task: TaskName, predictions: Path, dataset: Dataset, scoring: Scoring, allow_missing: bool
) -> Scorecard:
    """Score a predictions file against `dataset`.

    Raises:
        DataError: the file cannot be read, or has missing or foreign items without `allow_missing`.
    """
    items = items_of(TASKS[task], dataset.clips)
    found = match(read_predictions(predictions, task), items)
    if (found.missing or found.foreign) and not allow_missing:
        raise DataError(
            f"{predictions}: {_named(found.missing, 'items without a prediction')}; "
            f"{_named(found.foreign, 'predictions of no item')}; --allow-missing scores the rest"
        )
    return _card(
        task,
        dataset,
        evaluate(task, items, found.answers, scoring),
        scoring,
        status=status(missing=len(found.missing)),
        missing=len(found.missing),
        foreign=len(found.foreign),
    )


def _card(
    task: TaskName, dataset: Dataset, measured: Evaluation, scoring: Scoring, **known: Any
) -> Scorecard:
    """The scorecard of what was `measured`; `known` is what the answers do not tell."""
    return Scorecard(
        task=task,
        protocol=scoring.protocol,
        items=len(measured.items),
        empty=sum(not measured.answers[item.request.id].strip() for item in measured.items),
        dataset=dataset.name,
        fingerprint=dataset.fingerprint,
        scores=measured.entries(),
        interval=measured.interval_entry(),
        floors=floor_entries(task, dataset, measured, scoring) if scoring.floors else {},
        slices=measured.slices(),
        abstention=measured.abstention(),
        **known,
    )


def _named(names: Sequence[str], what: str) -> str:
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"{len(names)} {what}" + (f" ({shown})" if names else "")
