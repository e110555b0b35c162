"""Scores runs, or a predictions file from elsewhere, and writes what comes of it. Nothing is asked again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from microg_bench.dataset import Dataset, load, select
from microg_bench.errors import DataError, MicrogError, RunError
from microg_bench.files import write_json
from microg_bench.records import TaskName
from microg_bench.runs.evaluate import Answered, Scoring, evaluate, evaluate_all
from microg_bench.runs.floors import Ground, floor_entries
from microg_bench.runs.folder import State, dropped_settings, read_run, read_state
from microg_bench.runs.predictions import as_layout, match, read_predictions
from microg_bench.runs.scorecard import SCORECARD_SCHEMA, FloorEntry, ModelEntry, Scorecard, status
from microg_bench.runs.settings import Settings
from microg_bench.runs.statistics import write_statistics
from microg_bench.tasks import TASKS, Item, items_of

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
        content = file.read_bytes()
        version = _Version.model_validate_json(content).schema_
        if version != SCORECARD_SCHEMA:
            raise RunError(f"{file}: is of version {version}, not {SCORECARD_SCHEMA}; score the run again")
        return Scorecard.model_validate_json(content)
    except (OSError, ValidationError) as error:
        raise RunError(f"{file}: damaged; run `microg-bench score {path}` again") from error


class _Version(BaseModel):
    """All that every version of a scorecard has."""

    schema_: str = Field(alias="schema")


@dataclass(frozen=True)
class _Run:
    """What is read of a run to score it."""

    path: Path
    settings: Settings
    dataset: Dataset
    items: Sequence[Item]
    state: State
    dropped: tuple[str, ...]

    @property
    def answered(self) -> Answered:
        answers = {name: answer.answer for name, answer in self.state.answers.items()}
        return Answered(self.settings.task, self.items, answers)


def score_runs(
    paths: Sequence[Path], scoring: Scoring, data: str | None = None
) -> dict[Path, Scorecard | MicrogError]:
    """Score runs together, and write the scorecard and the predictions of each.

    Args:
        paths: run folders.
        scoring: how to score.
        data: where the dataset lies now; None takes the place that each run was started with.

    Returns:
        For each run its scorecard, or the error where it cannot be scored: it is no run or damaged, its
        dataset cannot be read or has other references than the run's, or its folder cannot be written. One
        run's error leaves the other runs alone.
    """
    done: dict[Path, Scorecard | MicrogError] = {}
    runs = []
    for path in paths:
        try:
            runs.append(_read(path, data))
        except MicrogError as error:
            done[path] = error
    evaluations = evaluate_all([run.answered for run in runs], scoring)
    grounds = [Ground(run.dataset, measured) for run, measured in zip(runs, evaluations, strict=True)]
    for run, ground, floors in zip(runs, grounds, _floors(grounds, scoring), strict=True):
        try:
            done[run.path] = _write(run, ground, floors, scoring)
        except MicrogError as error:
            done[run.path] = error
    return {path: done[path] for path in paths}


def _read(path: Path, data: str | None) -> _Run:
    content = read_run(path)
    try:
        settings = Settings.model_validate(content["settings"])
        given = content["options"].get("data")
    except (ValidationError, AttributeError) as error:
        raise RunError(f"{path}: its settings or options are damaged or of another version") from error
    dataset = load(data or given)
    if dataset.fingerprint != settings.fingerprint:
        raise DataError(
            f"{path}: was made on {settings.dataset} with fingerprint {settings.fingerprint[:12]}, but "
            f"{dataset.name} has {dataset.fingerprint[:12]}; give the right dataset with --data"
        )
    items = items_of(TASKS[settings.task], select(dataset, settings.clips or ()))
    return _Run(path, settings, dataset, items, read_state(path), dropped_settings(content))


def _write(run: _Run, ground: Ground, floors: dict[str, FloorEntry], scoring: Scoring) -> Scorecard:
    settings, state, measured = run.settings, run.state, ground.measured
    unasked = sum(1 for item in run.items if item.request.id not in state.answers) - len(state.failures)
    counts = {len(answer.frames) for answer in state.answers.values()}
    card = _card(
        ground,
        scoring,
        floors=floors,
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
        dropped=run.dropped,
    )
    write_json(run.path / PREDICTIONS_FILE, as_layout(settings.task, run.items, measured.answers))
    write_statistics(run.path, measured)
    write_json(run.path / SCORECARD_FILE, card.to_json())
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
    measured = evaluate(task, items, found.answers, scoring)
    return _card(
        Ground(dataset, measured),
        scoring,
        floors=_floors([Ground(dataset, measured)], scoring)[0],
        status=status(missing=len(found.missing)),
        missing=len(found.missing),
        foreign=len(found.foreign),
    )


def _floors(grounds: Sequence[Ground], scoring: Scoring) -> list[dict[str, FloorEntry]]:
    return floor_entries(grounds, scoring) if scoring.floors else [{} for _ in grounds]


def _card(ground: Ground, scoring: Scoring, **known: Any) -> Scorecard:
    """The scorecard of what was measured on a dataset; `known` is what that does not tell."""
    dataset, measured = ground.dataset, ground.measured
    return Scorecard(
        task=measured.task,
        protocol=scoring.protocol,
        items=len(measured.items),
        empty=sum(not measured.answers[item.request.id].strip() for item in measured.items),
        dataset=dataset.name,
        fingerprint=dataset.fingerprint,
        scores=measured.entries(),
        interval=measured.interval_entry(),
        slices=measured.slices(),
        abstention=measured.abstention(),
        **known,
    )


def _named(names: Sequence[str], what: str) -> str:
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"{len(names)} {what}" + (f" ({shown})" if names else "")
