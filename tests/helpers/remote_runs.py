"""Whole runs of an engine that asks servers: clips with small frames, two tasks, real run folders."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from microg_bench.engines import Engine
from microg_bench.engines._remote import Patience
from microg_bench.errors import EngineError
from microg_bench.prompts import find_template
from microg_bench.records import Clip, Message, Prompt, Question, Request, TaskName, Text, Video
from microg_bench.runs.execute import Execution
from microg_bench.runs.folder import RunFolder, State, read_state
from microg_bench.runs.frames import FrameStream, Shown
from microg_bench.runs.plan import Work, plan
from microg_bench.runs.settings import Options
from tests.engines.conftest import grey_frames
from tests.helpers.runs import Plain, make_settings

TASKS: tuple[TaskName, ...] = ("caption", "vqa")
SHORT = Patience(attempts=6, first_wait=0.005, longest_wait=0.05, apart=0.05, gone=1.0)


class Asking(Plain):
    """Shows the frames and asks for the id of the request, so that the server can count."""

    def prompt(self, request: Request, instruction: object, frames: object) -> Prompt:
        return Prompt(messages=(Message(role="user", parts=(Video(), Text(text=request.id))),))


def clips(count: int, questions: int = 6) -> list[Clip]:
    asked = tuple(Question(text=f"Question {k}?", answer="A") for k in range(questions))
    return [Clip(video_id=f"clip{n}", source="s", caption="c", questions=asked) for n in range(count)]


async def shown(work: Iterable[Work]) -> FrameStream:
    """Two small frames a clip, the same pixels throughout; each clip has its own `Frames`."""
    for one in work:
        frames = grey_frames((10, 200))
        yield one, Shown(frames, frames.indices)


def run_all(root: Path, engine: Engine, wanted: list[Clip]) -> tuple[dict[TaskName, State], str]:
    """Start or go on with the runs in `root`; returns what the journals hold, and the error that ended it."""
    folders = {
        task: RunFolder(root / task, make_settings(task=task), Options(), {"started": "now"})
        for task in TASKS
    }
    work = plan(wanted, TASKS, {task: folder.done for task, folder in folders.items()})
    templates = {task: find_template(task, "default") for task in TASKS}
    execution, ended = Execution(Asking(), engine, folders, templates), ""
    try:
        engine.start()
        asyncio.run(execution.run(shown(work)))
    except EngineError as error:
        ended = str(error)
    finally:
        engine.close()
        for folder in folders.values():
            folder.close()
    return {task: read_state(root / task) for task in TASKS}, ended
