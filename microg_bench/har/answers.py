"""Runs that asked models about persons: their answers as detections, scored as those of networks are."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import cast

import numpy as np

from microg_bench.adapters.base import Baseline
from microg_bench.adapters.references import baseline_answers
from microg_bench.adapters.registry import find_adapter
from microg_bench.dataset.labels import shipped_labels
from microg_bench.dataset.load import Dataset
from microg_bench.errors import DataError, MicrogError, RunError
from microg_bench.har.reports import facts_of
from microg_bench.har.runs import ActionRun, Place, PredictSettings
from microg_bench.har.scoring import evaluate
from microg_bench.options import ScoringOptions, flag
from microg_bench.persons.answers import scores_in
from microg_bench.persons.boxes import Detections, GroundTruth, detections_text, read_detections
from microg_bench.persons.dataset import ActionDataset
from microg_bench.privacy import without_private
from microg_bench.runs.record import SCORECARD_FILE, RunRecord
from microg_bench.scorecard import ACTION_SCORES, BaselineEntry, Scorecard, ScoreEntry, Signature
from microg_bench.scoring.score import answer_facts, signed, status_of
from microg_bench.settings import Settings
from microg_bench.storage import write_json, write_text
from microg_bench.tasks import Item
from microg_bench.text import first_line, one_line

BASELINE = "blind"  # it gives each action its frequency
NOTHING_NAMED = '{"actions": []}'  # what counts where a request has failed


@dataclass(frozen=True, eq=False)
class ScoredPersons:
    """A run about persons with what scoring it gives; nothing of it is on disk before `save`."""

    record: RunRecord
    scorecard: Scorecard
    detections: Detections

    def save(self) -> None:
        """Write detections and scorecard into the run folder, and hand the latter to the record.

        Raises:
            RunError: a file cannot be written.
        """
        path = self.record.path
        write_text(path / self.detections.name, detections_text(self.detections, shipped_labels()))
        write_json(path / SCORECARD_FILE, self.scorecard.to_json())
        self.record.scorecard = self.scorecard


def score_answers(
    records: Sequence[RunRecord], options: ScoringOptions, data: str | Path | Dataset | None = None
) -> Iterator[ScoredPersons | MicrogError]:
    """Score runs about persons.

    Args:
        records: the runs.
        options: how to score; of these `clusters` and `action_scores` count.
        data: where the dataset is now; None takes the place that each run was started with.

    Yields:
        For each run what scoring gives, or the error where it cannot be scored.
    """
    for record in records:
        try:
            yield _scored(record, options, cast(ActionDataset, record.dataset(data)))
        except MicrogError as error:
            yield error


def _scored(record: RunRecord, options: ScoringOptions, dataset: ActionDataset) -> ScoredPersons:
    items, truth = asked_of(record, dataset)
    held, failures = record.answers, record.failures
    logprobs = _logprobs(record) if options.action_scores == "logprob" else {}
    said = {name: one.answer for name, one in held.items()} | dict.fromkeys(failures, NOTHING_NAMED)
    detections = replace(as_detections(items, said, file_name(record, dataset), logprobs), asked=True)
    text = detections_text(detections, shipped_labels())
    detections = replace(detections, sha256=hashlib.sha256(text.encode()).hexdigest())
    card = evaluate(detections, truth, clusters=options.clusters)
    missing = len(items) - len(held) - len(failures)
    facts = answer_facts(record.settings, list(held.values()), failures, record.rejected, missing)
    update = {
        **facts,
        "status": status_of(facts["counts"]),
        "dataset": dataset.name,
        "scores": {name: _signed(one, record.settings, options) for name, one in card.scores.items()},
        "baselines": {BASELINE: _baseline(items, truth, dataset)},
        "warnings": (*_changes(record.settings), *dataset.key_frames.notes, *card.warnings),
    }
    return ScoredPersons(record, card.model_copy(update=update), detections)


def _changes(settings: Settings) -> Iterator[str]:
    if settings.transforms:
        yield f"persons were shown on changed frames: {', '.join(settings.transforms)}"


def _logprobs(record: RunRecord) -> dict[str, float]:
    """The log-probability of each answer that names actions.

    Raises:
        RunError: one is not known.
    """
    found = {name: one.logprob for name, one in record.answers.items() if one.logprob is not None}
    if unknown := record.answers.keys() - found.keys():
        reason = (
            f"{len(unknown):,} answers have no log-probability, and what was answered is not asked again:"
            f" ask with {flag('logprobs')} into another folder, with --run"
        )
        raise RunError(reason, path=record.path)
    return found


def _signed(entry: ScoreEntry, settings: Settings, options: ScoringOptions) -> ScoreEntry:
    """`entry` with all in its signature that tells how the answers were got, and how they are scored."""
    found = signed(entry, settings)
    told: dict[str, str] = {ACTION_SCORES: options.action_scores} if options.action_scores != "named" else {}
    told |= {"transforms": " ".join(settings.transforms)} if settings.transforms else {}
    if not told or found.signature is None:
        return found
    values = {**found.signature.values, **told}
    return found.model_copy(update={"signature": Signature(metric=found.signature.metric, values=values)})


def asked_of(record: RunRecord, dataset: ActionDataset) -> tuple[list[Item], GroundTruth]:
    """What a run asks in the order of the key frames, and what is true of the clips that it asks about."""
    places = {one.video_id: place for place, one in enumerate(dataset.key_frames.items)}
    items = sorted(record.items(dataset), key=lambda item: places[item.request.video_id])
    truth = dataset.truth
    clips = {item.request.video_id for item in items}
    own = np.array([video_id in clips for video_id in truth.video_ids.tolist()])
    if own.all():
        return items, truth
    part = {name: getattr(truth, name)[own] for name in ("video_ids", "frames", "boxes", "actions")}
    return items, GroundTruth(**part, sources=truth.sources, name=truth.name)


def file_name(record: RunRecord, dataset: ActionDataset) -> str:
    """The name of the file of detections; tables know by it what was recognised, and of which split."""
    model = re.sub(r"[^A-Za-z0-9_-]+", "-", record.settings.model)
    return f"{model}.{dataset.split}.csv"


def read_asked(record: RunRecord, data: str | Path | None = None) -> ActionRun:
    """A scored run about persons as one of a network, of which the form of the boxes is told as the recipe.

    Args:
        record: the run.
        data: where the dataset is now; None takes the place that the run was started with.

    Raises:
        RunError: it has not been scored.
        DataError: the dataset or the file of detections cannot be read.
    """
    dataset = cast(ActionDataset, record.dataset(data))
    settings, labels = record.settings, shipped_labels()
    facts = facts_of(record.scorecard, record.path / SCORECARD_FILE)
    made = PredictSettings(
        model=settings.title,
        recipe=", ".join(["asked", str(settings.boxes), *settings.transforms]),
        checkpoint=settings.checkpoint or "",
        sha256=settings.checkpoint_sha256 or "",
        trained_on="",
        split=dataset.split,
        key_frames=dataset.key_frames.fingerprint,
        actions=labels.ids,
        shard=settings.shard,
    )
    name = file_name(record, dataset)
    if facts.detections != name:
        raise RunError(
            f"its scorecard is of {first_line(facts.detections, 60)}, not of {name}", path=record.path
        )
    detections = replace(read_detections(record.path / name, labels), asked=True)
    reasons = {
        _place(item): first_line(one_line(without_private(record.failures[item.request.id].reason)), 160)
        for item in asked_of(record, dataset)[0]
        if item.request.id in record.failures
    }
    return ActionRun(record.path, made, detections, True, record.scorecard, reasons)


def _place(item: Item) -> Place:
    """Clip, frame and corners of the person whom an item asks about."""
    person = item.request.person
    if person is None:
        raise AssertionError("an item of this task has a person")
    return item.request.video_id, person.frame, *person.corners


def as_detections(
    items: Sequence[Item],
    answers: Mapping[str, str],
    name: str,
    logprobs: Mapping[str, float] = MappingProxyType({}),
) -> Detections:
    """The boxes of the items that have an answer, with the scores that their answers give.

    Args:
        items: persons.
        answers: by request id; see `scores_in`.
        name: what messages call the detections.
        logprobs: of answers, where the scores of actions follow from them; see `scores_in`.

    Raises:
        DataError: nothing was answered, or an answer does not name actions.
    """
    rows, scores = [], []
    for item in items:
        key, person = item.request.id, item.request.person
        if person is None or key not in answers:
            continue
        try:
            scores.append(scores_in(answers[key], shipped_labels(), logprobs.get(key)))
        except ValueError as error:
            raise DataError(f"cannot be read: {error}", path=name, item=key) from None
        rows.append((item.request.video_id, person))
    if not rows:
        raise DataError("no person has an answer", path=name)
    return Detections(
        np.array([video_id for video_id, _ in rows], dtype=object),
        np.array([person.frame for _, person in rows]),
        np.array([person.corners for _, person in rows]),
        np.array(scores),
        name=name,
    )


def _baseline(items: Sequence[Item], truth: GroundTruth, dataset: ActionDataset) -> BaselineEntry:
    """What the frequencies of actions reach on the same persons."""
    baseline = cast(Baseline, find_adapter(BASELINE))
    answers = baseline_answers(baseline, dataset.examples, [item.request for item in items])
    card = evaluate(as_detections(items, answers, baseline.name), truth, resamples=0)
    values = {name: value for name, value in card.values().items() if value is not None}
    return BaselineEntry(
        title=baseline.title, scores=values, map_over_ties=card.har.map_over_ties if card.har else None
    )
