"""Starts or continues a run. The one entry for the command line and for Python users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from microg_bench.records import TaskName
from microg_bench.runs.folder import RunFolder
from microg_bench.runs.lanes import Lane
from microg_bench.runs.prepare import Prepared
from microg_bench.runs.provenance import provenance
from microg_bench.runs.session import Outcome, Session
from microg_bench.runs.watcher import Watcher


def run_folders(prepared: Prepared, run: Path | None, several: bool) -> dict[TaskName, Path]:
    """Where each task's run lies: `run` itself for a single task, a folder a task below it for `several`."""
    if run is not None and not several:
        return {prepared.tasks[0]: run}
    root = run or prepared.default_folder
    return {task: root / task for task in prepared.tasks}


def start(prepared: Prepared, paths: Mapping[TaskName, Path], watcher: Watcher) -> Outcome:
    """Ask what is open in the runs at `paths`, one a task; they may be new, interrupted or complete.

    Raises:
        RunError: a run is in use, was made with other settings, has requests with a vendor, or cannot be
            written.
        EngineError: the engine cannot be started, or cannot go on; what it answered is safe.
        UsageError: the watcher does not confirm the cost.
    """
    root = next(iter(paths.values()))
    return start_all([(prepared, paths)], root.parent if len(paths) > 1 else root, watcher)


def start_all(
    runs: Sequence[tuple[Prepared, Mapping[TaskName, Path]]], root: Path, watcher: Watcher
) -> Outcome:
    """As `start`, for several that differ in prompt and frames alone, with one engine and one decoding.

    Args:
        runs: what is prepared, and where each of its tasks lies.
        root: the folder of what they share.
        watcher: who is told.
    """
    made_with = provenance()
    with ExitStack() as stack:
        lanes = []
        for prepared, paths in runs:
            folders = {}
            for task, path in paths.items():
                options = prepared.options.model_copy(update={"tasks": (task,)})
                folder = RunFolder(path, prepared.settings(task), options, made_with)
                folders[task] = stack.enter_context(folder)
                if folder.repaired:
                    watcher.note(f"{path}: repaired the last line of the journal, torn by an earlier stop")
            lanes.append(Lane(prepared, folders))
        return Session(lanes, root, watcher).ask()
