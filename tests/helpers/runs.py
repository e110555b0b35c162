"""Settings, run variants and child processes for tests of runs."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from microg_bench.adapters.base import Adapter, generation_of
from microg_bench.dataset.load import Dataset, fingerprint
from microg_bench.engines.base import Answered, Engine, FunctionEngine, Job
from microg_bench.options import Options, ScoringOptions
from microg_bench.progress import Progress
from microg_bench.prompts import find_template
from microg_bench.records import Clip, Failure, Generation, TaskName
from microg_bench.runs.configure import Configuration
from microg_bench.runs.execute import Execution, Source, Variant, nothing_shown, open_work
from microg_bench.runs.record import RunRecord
from microg_bench.scoring.score import ScoredRun, score_records
from microg_bench.settings import PromptId, Settings
from microg_bench.video.sampling import FrameSpec

PRICES = """
[openai.m]
date = 2026-01-01
input = 1000000
output = 1000000
image = 10
"""  # of model `m`, so high that rounding is not seen


class Plain(Adapter):
    """An adapter that changes nothing."""

    name = "plain"
    title = "Plain"


class OneByOne(FunctionEngine):
    """A function engine that yields each answer alone, before it takes the next job."""

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
        """As its base does with a single job."""
        async for job in jobs:
            async for answered in super().answer(_only(job)):
                yield answered


async def _only(job: Job) -> AsyncIterator[Job]:
    yield job


class Notes(Progress):
    """A progress callback that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Keep it."""
        self.notes.append(text)


def make_settings(**changed: Any) -> Settings:
    """Settings of a run of captions, with what the test wants otherwise."""
    values: dict[str, Any] = {
        "task": "caption",
        "model": "m",
        "title": "M",
        "adapter_sha256": "0" * 64,
        "checkpoint": None,
        "revision": None,
        "engine": "function",
        "dtype": "auto",
        "frames": FrameSpec(count=8),
        "prompt": PromptId(id="p", version=1, hash="0a1b2c3d"),
        "generation": Generation(max_tokens=8),
        "dataset": "d",
        "fingerprint": "f",
        "clips": None,
    }
    return Settings.model_validate({**values, **changed})


def open_run(path: Path, **changed: Any) -> RunRecord:
    """A run with the settings of `make_settings`, open for writing."""
    return RunRecord.open(path, make_settings(**changed), {"model": "m"}, {"started": "now"})


def begun_run(path: Path, **changed: Any) -> Path:
    """A run as `open_run` makes it, in which a request has failed; nobody writes to it any more."""
    with open_run(path, **changed) as record:
        record.add(Failure(id="a", stage="engine", reason="busy"))
    return path


def score_by_rouge(records: Sequence[RunRecord], data: Dataset) -> None:
    """Score runs by ROUGE-L, without baselines, and write what that gives into their folders."""
    for found in score_records(records, ScoringOptions(metrics=("ROUGE-L",)), data, baselines=False):
        assert isinstance(found, ScoredRun)
        found.save()


def make_configuration(
    clips: Iterable[Clip],
    tasks: Sequence[TaskName] = ("caption",),
    adapter: Adapter | None = None,
    frames: FrameSpec | None = None,
    engine: type[Engine] = FunctionEngine,
    **options: Any,
) -> Configuration:
    """The configuration of an adapter over clips made by hand, at most 8 tokens an answer."""
    asked, adapter = tuple(clips), adapter or Plain()
    chosen = Options(**{"model": adapter.name, "tasks": tuple(tasks), "max_tokens": 8, **options})
    return Configuration(
        options=chosen,
        given=chosen.given(),
        adapter=adapter,
        dataset=Dataset("d", asked, fingerprint(asked)),
        clips=asked,
        templates={task: find_template(task, chosen.prompt) for task in tasks},
        engine=engine,
        engine_options=chosen,
        frames=frames,
        generations={task: generation_of(adapter, task) for task in tasks},
    )


@contextmanager
def opened(root: Path, one: Configuration) -> Iterator[Variant]:
    """A run variant with its runs below `root`, one a task, open for writing."""
    with ExitStack() as stack:
        yield Variant(
            one,
            {
                task: stack.enter_context(
                    RunRecord.open(root / task, one.settings(task), one.given, {"started": "now"})
                )
                for task in one.tasks
            },
        )


def read(root: Path, one: Configuration) -> dict[TaskName, RunRecord]:
    """The runs below `root`, read afresh."""
    return {task: RunRecord.read(root / task) for task in one.tasks}


def execute(
    root: Path, one: Configuration, engine: Engine, source: Source = nothing_shown, **execution: Any
) -> dict[TaskName, RunRecord]:
    """Ask a started engine what is open in the runs below `root`; what is in them then, read afresh."""
    with opened(root, one) as variant:
        work = open_work([variant])
        asyncio.run(Execution(engine, Progress(), **execution).run(source(work)))
    return read(root, one)


def content(folder: Path) -> dict[str, bytes]:
    """Every byte in `folder`, but for its lock."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def start_bench(*arguments: str, cwd: Path, env: dict[str, str]) -> subprocess.Popen[str]:
    """Start `microg-bench` and do not wait for it."""
    command = [sys.executable, "-m", "microg_bench", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=cwd, env=env, stdout=pipe, stderr=pipe, text=True)


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder; of run.json all but its starts."""
    found = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = file.read_bytes()
        if file.name == "run.json":
            content = json.dumps({**json.loads(content), "starts": None}).encode()
        found[str(file.relative_to(folder))] = content
    return found


def wait_until(true: Callable[[], bool], process: subprocess.Popen[str], pause: float = 0.005) -> None:
    """Wait for something that a running process will bring about, for at most a minute."""
    deadline = time.monotonic() + 60
    while not true() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(pause)
