"""What the model-free floors reach on the items of a run: the ground that a score has to be read from.

Floors cost time and never change for the same items, so their scores are kept in the user's cache under a
key of everything that moves them.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import cast

from microg_bench import __version__
from microg_bench.adapters import Floor, find_adapter
from microg_bench.adapters.references import References
from microg_bench.adapters.registry import source_sha256
from microg_bench.dataset import Dataset
from microg_bench.errors import RunError
from microg_bench.files import write_json
from microg_bench.records import TaskName
from microg_bench.runs.evaluate import Evaluation, Scoring, evaluate
from microg_bench.runs.scorecard import FloorEntry
from microg_bench.tasks import Item

FLOORS = ("constant", "blind")


def floor_entries(
    task: TaskName, dataset: Dataset, measured: Evaluation, scoring: Scoring
) -> dict[str, FloorEntry]:
    """Scores of the floors on the items of `measured`, under the metrics that could be computed there."""
    names = tuple(measured.scores)
    if not names:
        return {}
    references = References(dataset.clips)
    return {name: _entry(name, task, dataset, references, measured, scoring) for name in FLOORS}


def _entry(
    name: str,
    task: TaskName,
    dataset: Dataset,
    references: References,
    measured: Evaluation,
    scoring: Scoring,
) -> FloorEntry:
    floor = cast(Floor, find_adapter(name))
    signatures = [one.signature.long() for one in measured.scores.values()]
    ids = [item.request.id for item in measured.items]
    key = [__version__, task, dataset.fingerprint, ids, signatures, source_sha256(floor)]
    cached = _cache_folder() / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]}.json"
    if (known := _read(cached, set(measured.scores))) is not None:
        return FloorEntry(title=floor.title, scores=known)
    answers = {item.request.id: _answer(floor, item, references) for item in measured.items}
    wanted = Scoring(tuple(measured.scores), scoring.protocol, scoring.options)
    found = evaluate(task, measured.items, answers, wanted).scores
    scores = {metric: one.value for metric, one in found.items()}
    _keep(cached, scores)
    return FloorEntry(title=floor.title, scores=scores)


def _answer(floor: Floor, item: Item, references: References) -> str:
    return floor.answer(item.request, None, references.without(item.request.source))


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
