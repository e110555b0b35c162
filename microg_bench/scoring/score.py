"""Scores runs, or a predictions file from elsewhere. Nothing is asked, and nothing is read twice."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microg_bench.adapters.base import flags
from microg_bench.dataset.clip_labels import ClipLabels, read_clip_labels
from microg_bench.dataset.load import Dataset
from microg_bench.engines.vendors import is_snapshot
from microg_bench.errors import DataError, MicrogError
from microg_bench.options import ScoringOptions
from microg_bench.privacy import without_private
from microg_bench.records import Answer, Failure, Stage, TaskName
from microg_bench.runs.record import SCORECARD_FILE, STATISTICS_FILE, RunRecord
from microg_bench.runs.statistics import Statistics
from microg_bench.scorecard import (
    COMPLETE,
    FLAGS,
    BaselineEntry,
    Counts,
    FailedStage,
    ModelEntry,
    Scorecard,
    ScoreEntry,
    ServedModel,
    Signature,
    answering,
)
from microg_bench.scoring.baselines import Measured, baseline_entries
from microg_bench.scoring.evaluate import AnswerSet, Evaluation, evaluate_sets
from microg_bench.scoring.predictions import read_predictions
from microg_bench.settings import Settings
from microg_bench.slices import SMALLEST
from microg_bench.storage import write_json
from microg_bench.tasks import TASKS, Item, items_of
from microg_bench.text import first_line, listed, many, one_line

log = logging.getLogger(__name__)

PREDICTIONS_FILE = "predictions.json"
LONGEST_REASON, LONGEST_NAME = 160, 200  # characters in a scorecard, of a failure and of a served model


@dataclass(frozen=True, eq=False)
class ScoredRun:
    """A run with what scoring it gives; nothing of it is on disk before `save`."""

    record: RunRecord
    scorecard: Scorecard
    statistics: Statistics
    items: tuple[Item, ...]
    answers: Mapping[str, str]

    def save(self) -> None:
        """Write scorecard, predictions and statistics into the run folder, and hand them to the record.

        Raises:
            RunError: a file cannot be written.
        """
        path, record = self.record.path, self.record
        predictions = as_layout(record.settings.task, self.items, self.answers)
        card = self.scorecard.to_json()
        self.statistics.write(path / STATISTICS_FILE)
        write_json(path / PREDICTIONS_FILE, predictions)
        write_json(path / SCORECARD_FILE, card)
        record.scorecard, record.statistics = self.scorecard, self.statistics


def as_layout(task: TaskName, items: Sequence[Item], answers: Mapping[str, str]) -> Any:
    """Answers by request id in the published layout of `task`, in the order of `items`."""
    asked = [item.request for item in items if item.request.id in answers]
    if task == "caption":
        return {request.video_id: answers[request.id] for request in asked}
    records: dict[str, list[dict[str, str]]] = {}
    for request in asked:
        pair = {"Q": request.question or "", "A": answers[request.id]}
        records.setdefault(request.video_id, []).append(pair)
    return [{"video_id": video_id, "qa_pairs": pairs} for video_id, pairs in records.items()]


def score_records(
    records: Sequence[RunRecord],
    options: ScoringOptions,
    data: str | Path | Dataset | None = None,
    baselines: bool = True,
) -> list[ScoredRun | MicrogError]:
    """Score runs together.

    Args:
        records: the runs.
        options: how to score.
        data: where the dataset is now; None takes the place that each run was started with.
        baselines: whether the baselines are scored on the same items.

    Returns:
        For each run what scoring gives, or the error where it cannot be scored: it is damaged, or its dataset
        cannot be read or has other references. One run's error leaves the other runs alone.
    """
    found: dict[int, ScoredRun | MicrogError] = {}
    readable: dict[int, _Readable] = {}
    for place, record in enumerate(records):
        try:
            readable[place] = _Readable.of(record, data)
        except MicrogError as error:
            found[place] = error
    runs = list(readable.values())
    evaluations = evaluate_sets([run.answered for run in runs], options)
    measured = [_measured(run.dataset, one) for run, one in zip(runs, evaluations, strict=True)]
    entries = baseline_entries(measured, options) if baselines else [{} for _ in measured]
    for place, run, one, own in zip(readable, runs, measured, entries, strict=True):
        found[place] = run.scored(one, own)
    return [found[place] for place in range(len(records))]


@dataclass(frozen=True)
class _Readable:
    """A run with everything that scoring needs of it, which has been read."""

    record: RunRecord
    dataset: Dataset
    answered: AnswerSet
    answers: Mapping[str, Answer]
    failures: Mapping[str, Failure]
    rejected: tuple[str, ...]

    @classmethod
    def of(cls, record: RunRecord, data: str | Path | Dataset | None) -> _Readable:
        dataset = record.dataset(data)
        items, held, failures = record.items(dataset), record.answers, record.failures
        rejected = record.rejected
        logprobs = {name: one.logprob for name, one in held.items() if one.logprob is not None}
        texts = {name: one.answer for name, one in held.items()}
        answered = AnswerSet(record.settings.task, items, texts, logprobs)
        return cls(record, dataset, answered, held, failures, rejected)

    def scored(self, measured: Measured, baselines: dict[str, BaselineEntry]) -> ScoredRun:
        settings, evaluation = self.record.settings, measured.evaluation
        scored = [self.answers[item.request.id] for item in evaluation.items]
        missing = len(self.answered.items) - len(scored) - len(self.failures)
        facts = answer_facts(settings, scored, self.failures, self.rejected, missing)
        card = _card(measured, facts["counts"], baselines)
        if settings.thinking is not None or settings.processor_args:
            facts["scores"] = {name: signed(one, settings) for name, one in card.scores.items()}
        card = card.model_copy(update=facts)
        return ScoredRun(self.record, card, evaluation.statistics(), evaluation.items, evaluation.answers)


def answer_facts(
    settings: Settings,
    answers: Sequence[Answer],
    failures: Mapping[str, Failure],
    rejected: tuple[str, ...],
    missing: int,
) -> dict[str, Any]:
    """What a scorecard tells of a run beside its scores, by the names of its fields."""
    shown = max((len(answer.frames) for answer in answers), default=None)
    return {
        "model": ModelEntry(
            name=settings.model, title=settings.title, frames=settings.frames, frame_count=shown
        ),
        "settings": settings,
        "counts": counts_of(answers, len(failures), missing),
        "rejected": rejected,
        "served": served_models(settings, answers, _name),
        "failures": _failed_stages(failures.values()),
    }


def signed(entry: ScoreEntry, settings: Settings) -> ScoreEntry:
    """`entry` with the parts in its signature that tell how the answers were got."""
    if entry.signature is None:
        return entry
    values = {**entry.signature.values, **answering(settings)}
    return entry.model_copy(update={"signature": Signature(metric=entry.signature.metric, values=values)})


def counts_of(answers: Sequence[Answer], failed: int, missing: int) -> Counts:
    """What became of the requests of a run: `answers`, `failed` and `missing` part them."""
    flagged = _flagged([flags(one.answer, one.finish_reason) for one in answers])
    return Counts(answered=len(answers), failed=failed, missing=missing, **flagged)


def _flagged(answers: Sequence[tuple[str, ...]]) -> dict[str, int]:
    """How many answers have each flag, and any."""
    numbers = Counter(name for found in answers for name in found)
    return {**{name: numbers[name] for name in FLAGS}, "flagged": sum(map(bool, answers))}


def served_models(
    settings: Settings, answers: Iterable[Answer], name: Callable[[str], str] = str
) -> tuple[ServedModel, ...]:
    """The models that gave answers of a run with these `settings`; `name` cleans what servers tell."""
    asked = settings.checkpoint or settings.model
    told = Counter((one.served_model, one.served_version) for one in answers if one.served_model)
    named: Counter[tuple[str, str]] = Counter()
    for (model, version), count in told.items():
        named[name(model or ""), name(version or "")] += count
    return tuple(
        ServedModel(
            name=model,
            version=version or None,
            answers=count,
            expected=is_snapshot(settings.engine, asked, model),
        )
        for (model, version), count in sorted(named.items())
    )


def _name(told: str) -> str:
    return one_line(without_private(told))[:LONGEST_NAME]


def _failed_stages(failures: Iterable[Failure]) -> tuple[FailedStage, ...]:
    """Failures by stage, the most frequent first; reasons without the names of items and of places."""
    reasons: dict[Stage, Counter[str]] = {}
    for one in failures:
        reasons.setdefault(one.stage, Counter())[_general(one)] += 1
    found = []
    for stage, own in reasons.items():
        reason, frequency = min(own.items(), key=lambda pair: (-pair[1], pair[0]))
        found.append(FailedStage(stage=stage, count=own.total(), reason=reason, frequency=frequency))
    return tuple(sorted(found, key=lambda one: (-one.count, one.stage)))


def _general(failure: Failure) -> str:
    """The reason of a failure as others have it too: of a path its last part, nothing of the item."""
    reason = without_private(failure.reason)
    for name in (failure.id, failure.id.partition("#")[0]):
        reason = reason.replace(name, "…")
    return first_line(one_line(reason), LONGEST_REASON)


def _measured(dataset: Dataset, evaluation: Evaluation) -> Measured:
    """The evaluation with the labels of its clips, where there are enough for a slice."""
    large = len({item.request.video_id for item in evaluation.items}) >= SMALLEST
    return Measured(dataset, evaluation, _clip_labels(dataset, evaluation.options) if large else None)


def _card(measured: Measured, counts: Counts, baselines: dict[str, BaselineEntry]) -> Scorecard:
    """The scorecard of what was measured on a dataset, without the model."""
    dataset, evaluation, labels = measured
    clips = {item.request.video_id for item in evaluation.items}
    return Scorecard(
        task=TASKS[evaluation.task].name,
        status=status_of(counts),
        protocol=evaluation.options.protocol,
        items=len(evaluation.items),
        counts=counts,
        abstention=evaluation.abstention(),
        dataset=dataset.name,
        fingerprint=dataset.fingerprint,
        scores=evaluation.entries(),
        interval=evaluation.interval_entry(),
        baselines=baselines,
        slices=evaluation.slices(labels),
        action_labels=labels.sha256(clips) if labels else None,
        warnings=dataset.source_notes if evaluation.options.clusters == "source" else (),
    )


def _clip_labels(dataset: Dataset, options: ScoringOptions) -> ClipLabels | None:
    """The action labels that were named, else those beside the dataset, if there are any that can be read.

    Raises:
        DataError: those that were named cannot be read.
    """
    if options.actions is not None:
        return read_clip_labels(Path(options.actions))
    try:
        return read_clip_labels(dataset.actions) if dataset.actions else None
    except DataError as error:
        log.warning("no slices by action: %s", error)
        return None


def status_of(counts: Counts) -> str:
    """Of a scorecard: the word "complete", or what is not."""
    problems = []
    if counts.failed:
        problems.append(f"{many(counts.failed, 'request')} failed")
    if counts.missing:
        problems.append(many(counts.missing, "item without a prediction"))
    if not problems:
        return COMPLETE
    return f"incomplete: {' and '.join(problems)}; not admissible to a leaderboard"


def score_predictions(
    task: TaskName, path: Path, dataset: Dataset, options: ScoringOptions, allow_missing: bool = False
) -> Scorecard:
    """Score a predictions file against `dataset`.

    Raises:
        DataError: the file cannot be read, or has missing or unknown items without `allow_missing`.
    """
    items = items_of(TASKS[task], dataset.clips)
    found = read_predictions(path, task, items)
    if (found.missing or found.unknown) and not allow_missing:
        raise DataError(
            f"{_named(found.missing, 'item without a prediction')}; "
            f"{_named(found.unknown, 'prediction of no item')}; --allow-missing scores the rest",
            path=path,
        )
    evaluation = evaluate_sets([AnswerSet(task, items, found.answers)], options)[0]
    counts = Counts(
        answered=len(found.answers),
        missing=len(found.missing),
        unknown=len(found.unknown),
        repeated=found.repeated,
        **_flagged([flags(text) for text in found.answers.values()]),
    )
    measured = _measured(dataset, evaluation)
    return _card(measured, counts, baseline_entries([measured], options)[0])


def _named(names: Sequence[str], what: str) -> str:
    return many(len(names), what) + (f" ({listed(names)})" if names else "")
