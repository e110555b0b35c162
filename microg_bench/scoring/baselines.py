"""What baselines that need no model reach on the items of a run: the level that a score has to be read from.

They cost time and never change for the same items, so their entries are kept in the user's cache under a key
of everything that moves them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import starmap
from pathlib import Path
from typing import NamedTuple, cast

from pydantic import ValidationError

from microg_bench import __version__
from microg_bench.adapters.base import Baseline
from microg_bench.adapters.references import baseline_answers
from microg_bench.adapters.registry import find_adapter, source_sha256
from microg_bench.dataset.clip_labels import ClipLabels
from microg_bench.dataset.load import Dataset
from microg_bench.errors import RunError
from microg_bench.options import ScoringOptions
from microg_bench.scorecard import BaselineEntry
from microg_bench.scoring.evaluate import AnswerSet, Evaluation, evaluate_sets
from microg_bench.storage import cache_folder, write_json

log = logging.getLogger(__name__)

BASELINES = ("constant", "blind")
MOST_TEXTS = 2_000_000  # that `blind` weighs for a run, which takes about a minute
COMPARED = 3000  # texts that are compared with a question in the time in which one is weighed


class Measured(NamedTuple):
    """An evaluation, the dataset of its items, and the labels by which they are sliced."""

    dataset: Dataset
    evaluation: Evaluation
    labels: ClipLabels | None = None


def baseline_entries(measured: Sequence[Measured], options: ScoringOptions) -> list[dict[str, BaselineEntry]]:
    """The baselines on the items, metrics and slices of each evaluation; new ones are computed together.

    There are none where `blind` would take long.
    """
    known = [(cast(Baseline, found), source_sha256(found)) for found in map(find_adapter, BASELINES)]
    cases = [_cases(one, known) for one in measured]
    entries = _entries({case.file: case for own in cases for case in own}, options)
    return [{case.baseline.name: entries[case.file] for case in own} for own in cases]


def _cases(measured: Measured, known: Sequence[tuple[Baseline, str]]) -> list[_Case]:
    """The baselines to score for an evaluation; `known` are all, with the hashes of their adapters."""
    if _takes_long(measured):
        count = len(measured.evaluation.items)
        log.warning("no baseline is scored on %s items: that takes too long", f"{count:,}")
        return []
    if not measured.evaluation.scores:
        return []
    folder = cache_folder("baselines")
    return [_Case(one, measured, folder / f"{_key(measured, sha256)}.json") for one, sha256 in known]


def _takes_long(measured: Measured) -> bool:
    """Whether `blind` has too much to do: without each source video, it weighs all other texts anew."""
    clips, items = measured.dataset.clips, measured.evaluation.items
    texts = sum(1 if measured.evaluation.task == "caption" else len(clip.questions) for clip in clips)
    sources = {item.request.source for item in items}
    return texts * (len(sources) + len(items) // COMPARED) > MOST_TEXTS


def _key(measured: Measured, adapter_sha256: str) -> str:
    """A hash of everything that moves the scores of a baseline."""
    dataset, one, labels = measured
    signatures = [[score.signature.metric, score.signature.values] for score in one.scores.values()]
    ids, sources = [item.request.id for item in one.items], [clip.source for clip in dataset.clips]
    of = [__version__, one.task, dataset.fingerprint, sources, adapter_sha256]
    labelled = labels and labels.sha256({item.request.video_id for item in one.items})
    moved_by = json.dumps([*of, ids, signatures, labelled])
    return hashlib.sha256(moved_by.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class _Case:
    """One baseline on the items of one evaluation, under the metrics that it could compute.

    `file` is where its entry is kept.
    """

    baseline: Baseline
    measured: Measured
    file: Path

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(self.measured.evaluation.scores)

    def entry(self, evaluation: Evaluation) -> BaselineEntry:
        """What the `evaluation` of its answers gives, under these metrics."""
        metrics = self.measured.evaluation.scores
        found = {name: one for name, one in evaluation.scores.items() if name in metrics}
        return BaselineEntry(
            title=self.baseline.title,
            scores={name: one.value for name, one in found.items()},
            slices=replace(evaluation, found=found).slice_scores(self.measured.labels),
        )


def _entries(cases: Mapping[Path, _Case], options: ScoringOptions) -> dict[Path, BaselineEntry]:
    """The entry of each case, by its file: from there, or computed and put there."""
    kept = {file: _read(file, set(case.metrics)) for file, case in cases.items()}
    found = {file: entry for file, entry in kept.items() if entry is not None}
    missing = {file: case for file, case in cases.items() if file not in found}
    names = tuple(dict.fromkeys(name for case in missing.values() for name in case.metrics))
    wanted = options.model_copy(update={"metrics": names})
    asked = [
        (
            case.baseline,
            case.measured.dataset.clips,
            [item.request for item in case.measured.evaluation.items],
        )
        for case in missing.values()
    ]
    sets = [
        AnswerSet(case.measured.evaluation.task, case.measured.evaluation.items, answers)
        for case, answers in zip(missing.values(), starmap(baseline_answers, asked), strict=True)
    ]
    evaluations = evaluate_sets(sets, wanted) if sets else []
    for (file, case), evaluation in zip(missing.items(), evaluations, strict=True):
        found[file] = case.entry(evaluation)
    with suppress(RunError):  # a cache that cannot be written costs time, and nothing else
        for file in missing:
            write_json(file, found[file].model_dump())
    return found


def _read(path: Path, names: set[str]) -> BaselineEntry | None:
    """The cached entry, if it has all scores; a damaged file is as good as none."""
    try:
        entry = BaselineEntry.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return entry if set(entry.scores) == names and all(map(math.isfinite, entry.scores.values())) else None
