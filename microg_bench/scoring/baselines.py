"""What baselines that need no model reach on the items of a run: the level that a score has to be read from.

They cost time and never change for the same items, so their scores are kept in the user's cache under a key
of everything that moves them.
"""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path
from typing import cast

from microg_bench import __version__
from microg_bench.adapters.base import Baseline
from microg_bench.adapters.references import baseline_answers
from microg_bench.adapters.registry import find_adapter, source_sha256
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


def baseline_entries(
    measured: Sequence[tuple[Dataset, Evaluation]], options: ScoringOptions
) -> list[dict[str, BaselineEntry]]:
    """Scores of the baselines on the items and metrics of each evaluation; new ones are computed together.

    There are none where `blind` would take long.
    """
    for dataset, one in measured:
        if _takes_long(dataset, one):
            log.warning("no baseline is scored on %s items: that takes too long", f"{len(one.items):,}")
    known = [(found, source_sha256(found)) for found in map(find_adapter, BASELINES)]
    folder = cache_folder("baselines")
    cases = [
        _Case(cast(Baseline, found), dataset, one, folder / f"{_key(dataset, one, sha256)}.json")
        for dataset, one in measured
        for found, sha256 in known
    ]
    scores = _scores({case.file: case for case in cases if case.metrics}, options)
    entries = [
        {case.baseline.name: BaselineEntry(title=case.baseline.title, scores=scores[case.file])}
        if case.metrics
        else {}
        for case in cases
    ]
    return [one | other for one, other in zip(entries[::2], entries[1::2], strict=True)]


def _takes_long(dataset: Dataset, measured: Evaluation) -> bool:
    """Whether `blind` has too much to do: without each source video, it weighs all other texts anew."""
    texts = sum(1 if measured.task == "caption" else len(clip.questions) for clip in dataset.clips)
    sources = {item.request.source for item in measured.items}
    return texts * (len(sources) + len(measured.items) // COMPARED) > MOST_TEXTS


def _key(dataset: Dataset, measured: Evaluation, adapter_sha256: str) -> str:
    """A hash of everything that moves the scores of a baseline."""
    signatures = [[one.signature.metric, one.signature.values] for one in measured.scores.values()]
    ids, sources = [item.request.id for item in measured.items], [clip.source for clip in dataset.clips]
    of = [__version__, measured.task, dataset.fingerprint, sources, adapter_sha256]
    moved_by = json.dumps([*of, ids, signatures])
    return hashlib.sha256(moved_by.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class _Case:
    """One baseline on the items of one evaluation, under the metrics that it could compute.

    `file` is where its scores are kept.
    """

    baseline: Baseline
    dataset: Dataset
    measured: Evaluation
    file: Path

    @property
    def metrics(self) -> tuple[str, ...]:
        return () if _takes_long(self.dataset, self.measured) else tuple(self.measured.scores)


def _scores(cases: Mapping[Path, _Case], options: ScoringOptions) -> dict[Path, dict[str, float]]:
    """The scores of each case, by its file: from there, or computed and put there."""
    kept = {file: _read(file, set(case.metrics)) for file, case in cases.items()}
    found = {file: scores for file, scores in kept.items() if scores is not None}
    missing = {file: case for file, case in cases.items() if file not in found}
    names = tuple(dict.fromkeys(name for case in missing.values() for name in case.metrics))
    wanted = options.model_copy(update={"metrics": names})
    asked = [
        (case.baseline, case.dataset.clips, [item.request for item in case.measured.items])
        for case in missing.values()
    ]
    sets = [
        AnswerSet(case.measured.task, case.measured.items, answers)
        for case, answers in zip(missing.values(), starmap(baseline_answers, asked), strict=True)
    ]
    evaluations = evaluate_sets(sets, wanted) if sets else []
    for (file, case), evaluation in zip(missing.items(), evaluations, strict=True):
        scores = evaluation.scores
        found[file] = {name: scores[name].value for name in case.metrics if name in scores}
    with suppress(RunError):  # a cache that cannot be written costs time, and nothing else
        for file in missing:
            write_json(file, found[file])
    return found


def _read(path: Path, names: set[str]) -> dict[str, float] | None:
    """The cached scores, if they are all there; a damaged file is as good as none."""
    try:
        scores = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    sound = isinstance(scores, dict) and set(scores) == names
    return scores if sound and all(isinstance(value, float) for value in scores.values()) else None
