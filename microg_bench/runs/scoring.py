"""Scores a run, or a predictions file from elsewhere, and writes what comes of it. Nothing is asked again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from microg_bench.dataset import Dataset, load, select
from microg_bench.errors import DataError, RunError
from microg_bench.files import write_json
from microg_bench.metrics import MetricOptions
from microg_bench.records import TaskName
from microg_bench.runs.folder import read_run, read_state
from microg_bench.runs.predictions import as_layout, match, read_predictions
from microg_bench.runs.scorecard import ModelEntry, Scorecard, score_answers, status
from microg_bench.runs.settings import Settings
from microg_bench.tasks import TASKS, items_of

SCORECARD_FILE = "scorecard.json"
PREDICTIONS_FILE = "predictions.json"


@dataclass(frozen=True)
class Scoring:
    """How to score: which metrics (none named: the task's own), under which protocol, with which encoders."""

    metrics: Sequence[str] = ()
    protocol: str = "paper"
    options: MetricOptions = field(default_factory=MetricOptions)


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
    card = Scorecard(
        status=status(failures=len(state.failures), missing=unasked),
        task=settings.task,
        protocol=scoring.protocol,
        items=len(answers),
        failures=len(state.failures),
        missing=unasked,
        empty=_empty(answers),
        dataset=settings.dataset,
        fingerprint=settings.fingerprint,
        model=ModelEntry(
            name=settings.model,
            title=settings.title,
            frames=settings.frames,
            frame_count=max(counts, default=0),
        ),
        scores=score_answers(
            settings.task, items, answers, scoring.metrics, scoring.protocol, scoring.options
        ),
        settings=settings.model_dump(mode="json"),
    )
    write_json(path / PREDICTIONS_FILE, as_layout(settings.task, items, answers))
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
    return Scorecard(
        status=status(missing=len(found.missing)),
        task=task,
        protocol=scoring.protocol,
        items=len(found.answers),
        missing=len(found.missing),
        foreign=len(found.foreign),
        empty=_empty(found.answers),
        dataset=dataset.name,
        fingerprint=dataset.fingerprint,
        scores=score_answers(task, items, found.answers, scoring.metrics, scoring.protocol, scoring.options),
    )


def _empty(answers: dict[str, str]) -> int:
    return sum(not answer.strip() for answer in answers.values())


def _named(names: Sequence[str], what: str) -> str:
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"{len(names)} {what}" + (f" ({shown})" if names else "")
