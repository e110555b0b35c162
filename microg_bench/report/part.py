"""What a page tells of one run: its items with references, answers, scores and failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from microg_bench.dataset import Dataset, load, select
from microg_bench.dataset.annotations import source_of
from microg_bench.errors import DataError, RunError
from microg_bench.metrics import METRICS
from microg_bench.records import Request
from microg_bench.runs.folder import JOURNAL_FILE, State, read_run, read_state
from microg_bench.runs.scorecard import Scorecard
from microg_bench.runs.scoring import read_scorecard
from microg_bench.runs.settings import Settings
from microg_bench.runs.statistics import Statistics, read_statistics
from microg_bench.tasks import TASKS, items_of


@dataclass(frozen=True)
class Asked:
    """A request as the page shows it; `reference` and `question` are None where no dataset is at hand."""

    id: str
    video_id: str
    source: str
    question: str | None = None
    reference: str | None = None


@dataclass(frozen=True)
class Part:
    """One run of one task. `scores` holds, by metric, the score ×100 of each item that has one."""

    settings: Settings
    card: Scorecard
    state: State
    starts: Sequence[Mapping[str, Any]]
    asked: tuple[Asked, ...]
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def read_part(path: Path, data: str | None = None) -> tuple[Part, Dataset]:
    """The scored run at `path` with its dataset.

    Args:
        path: the run folder.
        data: where the dataset lies now; None takes the place that the run was started with.

    Raises:
        RunError: it is no run, has not been scored, lacks its journal, or is damaged.
        DataError: the dataset cannot be read, or has other references.
    """
    content, card = read_run(path), read_scorecard(path)
    if not (path / JOURNAL_FILE).is_file():
        raise RunError(f"{path}: holds no {JOURNAL_FILE}, so there are no answers to show")
    options = content["options"]
    if not isinstance(options, dict):
        raise RunError(f"{path}: its run.json is damaged: options are no object")
    dataset = load(data or options.get("data"))
    part = make_part(path, content, card, read_state(path), dataset, read_statistics(path))
    if dataset.fingerprint != part.settings.fingerprint:
        raise DataError(
            f"{path}: was made on {part.settings.dataset} with fingerprint {part.settings.fingerprint[:12]}, "
            f"but {dataset.name} has {dataset.fingerprint[:12]}; give the right dataset with --data"
        )
    return part, dataset


def make_part(
    path: Path,
    content: Mapping[str, Any],
    card: Scorecard,
    state: State,
    dataset: Dataset | None = None,
    statistics: Statistics | None = None,
) -> Part:
    """What the page tells of a run whose files have been read.

    Args:
        path: named in errors.
        content: of run.json.
        card: the scorecard.
        state: of the journal.
        dataset: with the run's references; None shows the answers alone.
        statistics: per-item statistics, None where there are none.

    Raises:
        RunError: the settings or an answer are damaged, or the settings are not of the scorecard's task.
    """
    try:
        settings = Settings.model_validate(content["settings"])
    except ValidationError as error:
        raise RunError(f"{path}: its settings are damaged or of another version") from error
    starts = content["starts"]
    if settings.task != card.task or not isinstance(starts, list) or not all(map(_is_object, starts)):
        raise RunError(f"{path}: its run.json is damaged or does not belong to its scorecard")
    for answer in state.answers.values():
        if not all(isinstance(text, str) for text in (answer.id, answer.answer, answer.text, answer.stop)):
            raise RunError(
                f"{path / JOURNAL_FILE}: the record of {answer.id} is damaged: its texts are no texts"
            )
    asked = _of_dataset(settings, dataset) if dataset else _of_answers(state)
    return Part(settings, card, state, starts, asked, _scores(statistics) if statistics else {})


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _of_dataset(settings: Settings, dataset: Dataset) -> tuple[Asked, ...]:
    items = items_of(TASKS[settings.task], select(dataset, settings.clips or ()))
    return tuple(_asked(item.request, item.reference) for item in items)


def _asked(request: Request, reference: str) -> Asked:
    return Asked(request.id, request.video_id, request.source, request.question, reference)


def _of_answers(state: State) -> tuple[Asked, ...]:
    """What can be told of the items from the ids of their answers."""
    clips = {name: name.partition("#")[0] for name in (*state.answers, *state.failures)}
    return tuple(Asked(name, clip, source_of(clip)) for name, clip in clips.items())


def _scores(statistics: Statistics) -> dict[str, dict[str, float]]:
    return {
        name: dict(zip(statistics.ids, map(float, METRICS[name].per_item(rows)), strict=True))
        for name, rows in statistics.metrics.items()
    }
