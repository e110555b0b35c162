"""An ablation: one model under several prompts and numbers of frames, each of them a run of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from microg_bench.adapters import Floor
from microg_bench.errors import UsageError
from microg_bench.records import TaskName
from microg_bench.runs.prepare import Prepared, prepare
from microg_bench.runs.session import Outcome
from microg_bench.runs.settings import Options
from microg_bench.runs.start import run_folders, start_all
from microg_bench.runs.watcher import Watcher


@dataclass(frozen=True)
class Point:
    """One setting of a sweep: what is prepared, and where each task's run lies."""

    name: str
    prepared: Prepared
    paths: Mapping[TaskName, Path]


def points(options: Options, frames: Sequence[int], prompts: Sequence[str], root: Path) -> list[Point]:
    """Every number of frames with every prompt, each below `root` in a folder named after both.

    Args:
        options: what all points have in common.
        frames: numbers of frames; none takes the adapter's.
        prompts: names of prompts or .toml files; none takes the default.
        root: the folder of the sweep.

    Raises:
        UsageError, DataError: as `prepare`; frames that are not counted, or two points of one name.
    """
    found: dict[str, Point] = {}
    counts: Sequence[int | None] = frames or [None]
    for count, prompt in product(counts, prompts or ["default"]):
        prepared = prepare(options.model_copy(update={"frames": count, "prompt": prompt}))
        if len(frames) > 1 and prepared.spec and prepared.spec.count is None:
            raise UsageError(
                f"--sampling {prepared.spec} sets the number of frames itself: sweep prompts alone"
            )
        name = "-".join(_parts(count, prompt))
        if name in found:
            raise UsageError(
                f"two points of the sweep have the name {name}: give each number and prompt once"
            )
        found[name] = Point(name, prepared, run_folders(prepared, root / name, several=True))
    return list(found.values())


def _parts(count: int | None, prompt: str) -> Iterator[str]:
    if count is not None:
        yield f"frames{count}"
    yield Path(prompt).stem


def start_sweep(found: Sequence[Point], root: Path, watcher: Watcher) -> Outcome:
    """Ask what is open at all points: with one engine and one decoding, or floors one after the other.

    Raises:
        RunError, EngineError, UsageError: as `start`.
    """
    runs = [(point.prepared, point.paths) for point in found]
    if not isinstance(found[0].prepared.adapter, Floor):
        return start_all(runs, root, watcher)
    outcomes = [start_all([run], root / point.name, watcher) for run, point in zip(runs, found, strict=True)]
    return Outcome(usages=[usage for outcome in outcomes for usage in outcome.usages])
