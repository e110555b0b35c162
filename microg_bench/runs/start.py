"""Starts or continues a run, then scores it. The one entry for the command line and for Python users."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from microg_bench.adapters.base import Floor
from microg_bench.adapters.references import References
from microg_bench.engines import Engine, Job, engine_class
from microg_bench.engines.function import FunctionEngine
from microg_bench.records import Failure, TaskName
from microg_bench.runs.execute import Execution
from microg_bench.runs.folder import RunFolder
from microg_bench.runs.frames import Description, FrameStream, decoded, described, make_gallery, nothing_shown
from microg_bench.runs.plan import Work, plan
from microg_bench.runs.prepare import Prepared
from microg_bench.runs.provenance import provenance
from microg_bench.runs.settings import Options
from microg_bench.video import DecodePool

GALLERY_FILE = "gallery.jsonl"


class Watcher(Protocol):
    """Who is told how a run goes: the command line's progress bar, or nobody."""

    def begin(self, what: str, total: int, done: int) -> None:
        """A stage of `total` steps begins, `done` of which an earlier start has taken."""

    def step(self) -> None:
        """One step was taken."""

    def failure(self, failure: Failure) -> None:
        """One request failed."""

    def note(self, text: str) -> None:
        """Something that the user should know."""


@dataclass(frozen=True)
class Session:
    """One start of a run: what is prepared, where it is written, who watches."""

    prepared: Prepared
    folders: Mapping[TaskName, RunFolder]
    watcher: Watcher

    def ask(self, root: Path) -> None:
        """Ask everything that is not answered yet; `root` holds what the runs share."""
        work = plan(self.prepared.clips, self.prepared.tasks, {t: f.done for t, f in self.folders.items()})
        total = sum(len(self.prepared.items(task)) for task in self.prepared.tasks)
        left = sum(len(one.requests) for one in work)
        if not left:
            return
        with ExitStack() as stack:
            pool = self._pool(stack)
            if isinstance(self.prepared.adapter, Floor):
                engine, frames = self._floor(self.prepared.adapter, pool, root, work)
            else:
                engine = engine_class(self.prepared.engine)(self.prepared.engine_options)
                frames = self._frames(pool, work)
                self.watcher.note(f"loading {self.prepared.engine_options.checkpoint} with {engine.name}")
            stack.callback(engine.close)
            engine.start()
            for folder in self.folders.values():
                folder.started_with(engine.provenance())
            self.watcher.begin("asking", total, total - left)
            asyncio.run(self._execution(engine).run(frames))

    def _pool(self, stack: ExitStack) -> DecodePool | None:
        if self.prepared.spec is None:
            return None
        return stack.enter_context(DecodePool(workers=self.prepared.options.decoders))

    def _frames(self, pool: DecodePool | None, work: list[Work]) -> FrameStream:
        if pool is None or self.prepared.spec is None:
            return nothing_shown(work)
        return decoded(work, pool, self.prepared.spec, ahead=2 * self.prepared.options.decoders)

    def _floor(
        self, floor: Floor, pool: DecodePool | None, root: Path, work: list[Work]
    ) -> tuple[Engine, FrameStream]:
        clips = self.prepared.dataset.clips
        if pool is None or self.prepared.spec is None:
            return _floor_engine(floor, References(clips)), nothing_shown(work)
        self.watcher.begin("describing clips", len(clips), 0)
        gallery = asyncio.run(
            make_gallery(clips, floor, pool, self.prepared.spec, root / GALLERY_FILE, self.watcher.step)
        )
        seen = {name: one.descriptor for name, one in gallery.items() if isinstance(one, Description)}
        return _floor_engine(floor, References(clips, seen)), described(work, gallery)

    def _execution(self, engine: Engine) -> Execution:
        return Execution(
            adapter=self.prepared.adapter,
            engine=engine,
            folders=self.folders,
            templates=self.prepared.templates,
            on_answer=self.watcher.step,
            on_failure=self.watcher.failure,
        )


def run_folders(prepared: Prepared, run: Path | None, several: bool) -> dict[TaskName, Path]:
    """Where each task's run lies: `run` itself for a single task, a folder a task below it for `several`."""
    if run is not None and not several:
        return {prepared.tasks[0]: run}
    root = run or prepared.default_folder
    return {task: root / task for task in prepared.tasks}


def start(prepared: Prepared, paths: Mapping[TaskName, Path], watcher: Watcher) -> None:
    """Ask what is open in the runs at `paths`, one a task; they may be new, interrupted or complete.

    Raises:
        RunError: a run is in use, was made with other settings, or cannot be written.
        EngineError: the engine cannot be started.
    """
    made_with = provenance()
    with ExitStack() as stack:
        folders = {}
        for task, path in paths.items():
            settings = prepared.settings(task)
            folder = stack.enter_context(RunFolder(path, settings, _own_options(prepared, task), made_with))
            if folder.repaired:
                watcher.note(f"{path}: repaired the last line of the journal, torn by an earlier stop")
            folders[task] = folder
        root = next(iter(paths.values()))
        Session(prepared, folders, watcher).ask(root.parent if len(paths) > 1 else root)


def _own_options(prepared: Prepared, task: TaskName) -> Options:
    return prepared.options.model_copy(update={"tasks": (task,)})


def _floor_engine(floor: Floor, references: References) -> FunctionEngine:
    return FunctionEngine(function=partial(_floor_answer, floor, references))


def _floor_answer(floor: Floor, references: References, job: Job) -> str:
    request = job.request
    return floor.answer(request, references.descriptor(request.video_id), references.without(request.source))
