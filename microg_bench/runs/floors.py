"""What the model-free floors reach on the items of a run: the ground that a score has to be read from.

Floors cost time and never change for the same items, so their scores are kept in the user's cache under a
key of everything that moves them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

from microg_bench import __version__
from microg_bench.adapters import Floor, find_adapter
from microg_bench.adapters.references import References
from microg_bench.adapters.registry import source_sha256
from microg_bench.dataset import Dataset
from microg_bench.errors import RunError
from microg_bench.files import write_json
from microg_bench.runs.evaluate import Answered, Evaluation, Scoring, evaluate_all
from microg_bench.runs.scorecard import FloorEntry

FLOORS = ("constant", "blind")


@dataclass(frozen=True)
class Ground:
    """What floors are scored on: the items of an evaluation, under the metrics that it could compute."""

    dataset: Dataset
    measured: Evaluation


def floor_entries(grounds: Sequence[Ground], scoring: Scoring) -> list[dict[str, FloorEntry]]:
    """Scores of the floors on each ground, those that are not known yet computed together."""
    cases = [
        [_Case(cast(Floor, find_adapter(name)), name, ground) for name in FLOORS if ground.measured.scores]
        for ground in grounds
    ]
    scores = _scores({case.file: case for some in cases for case in some}, scoring)
    return [
        {case.name: FloorEntry(title=case.floor.title, scores=scores[case.file]) for case in some}
        for some in cases
    ]


@dataclass(frozen=True)
class _Case:
    """One floor on one ground."""

    floor: Floor
    name: str
    ground: Ground

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        return tuple(self.ground.measured.scores)

    @cached_property
    def file(self) -> Path:
        """Where its scores are kept."""
        measured = self.ground.measured
        signatures = [one.signature.long() for one in measured.scores.values()]
        ids = [item.request.id for item in measured.items]
        setting = [measured.task, self.ground.dataset.fingerprint, ids, signatures]
        key = json.dumps([__version__, *setting, source_sha256(self.floor)])
        return _cache_folder() / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"

    def answered(self) -> Answered:
        """What it says."""
        references = References(self.ground.dataset.clips)
        measured = self.ground.measured
        requests = [item.request for item in measured.items]
        answers = {
            request.id: self.floor.answer(request, None, references.without(request.source))
            for request in requests
        }
        return Answered(measured.task, measured.items, answers)


def _scores(cases: Mapping[Path, _Case], scoring: Scoring) -> dict[Path, dict[str, float]]:
    """The scores of each case, by its file: from there, or computed and put there."""
    kept = {file: _read(file, set(case.metrics)) for file, case in cases.items()}
    found = {file: scores for file, scores in kept.items() if scores is not None}
    missing = {file: case for file, case in cases.items() if file not in found}
    names = dict.fromkeys(name for case in missing.values() for name in case.metrics)
    wanted = Scoring(tuple(names), scoring.protocol, scoring.options)
    evaluations = evaluate_all([case.answered() for case in missing.values()], wanted) if missing else []
    for (file, case), evaluation in zip(missing.items(), evaluations, strict=True):
        scores = evaluation.scores
        found[file] = {name: scores[name].value for name in case.metrics if name in scores}
        _keep(file, found[file])
    return found


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "microg-bench" / "floors"


def _read(path: Path, names: set[str]) -> dict[str, float] | None:
    """The cached scores, if they are all there; a damaged file is as good as none."""
    try:
        scores = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    sound = isinstance(scores, dict) and set(scores) == names
    return scores if sound and all(isinstance(value, float) for value in scores.values()) else None


def _keep(path: Path, scores: dict[str, float]) -> None:
    try:
        write_json(path, scores)
    except RunError:
        return  # a cache that cannot be written costs time, and nothing else
