"""Whole runs of an engine that asks servers: clips with small frames, two tasks, real run folders."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from microg_bench.engines.base import Engine
from microg_bench.engines.http.pool import RetryPolicy
from microg_bench.errors import EngineError
from microg_bench.records import Clip, Message, Prompt, Question, Request, TaskName, Text, Video
from microg_bench.runs.execute import Work
from microg_bench.runs.frames import FrameStream, Shown
from microg_bench.runs.record import RunRecord
from tests.engines.conftest import grey_frames
from tests.helpers.runs import Plain, execute, make_configuration, read

TASKS: tuple[TaskName, ...] = ("caption", "vqa")
SHORT = RetryPolicy(
    max_attempts=6, initial_backoff=0.005, max_backoff=0.05, unreachable_pause=0.05, unreachable_timeout=1.0
)


class Asking(Plain):
    """Shows the frames and asks for the id of the request, so that the server can count."""

    def prompt(self, request: Request, instruction: object, frames: object) -> Prompt:
        return Prompt(messages=(Message(role="user", parts=(Video(), Text(text=request.id))),))


def clips(count: int, questions: int = 6) -> list[Clip]:
    asked = tuple(Question(text=f"Question {k}?", answer="A") for k in range(questions))
    return [Clip(video_id=f"clip{n}", source="s", caption="c", questions=asked) for n in range(count)]


async def shown(work: Iterable[Work]) -> FrameStream[Work]:
    """Two small frames a clip, the same pixels throughout; each clip has its own `Frames`."""
    for one in work:
        frames = grey_frames((10, 200))
        yield one, Shown(frames, frames.indices)


def run_all(root: Path, engine: Engine, wanted: list[Clip]) -> tuple[dict[TaskName, RunRecord], str]:
    """Start or resume the runs in `root`; what they hold then, and the error that ended it."""
    one, ended = make_configuration(wanted, TASKS, Asking()), ""
    try:
        engine.start()
        execute(root, one, engine, shown)
    except EngineError as error:
        ended = str(error)
    finally:
        engine.close()
    return read(root, one), ended
