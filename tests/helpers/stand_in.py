"""An engine that waits in place of a model, and does what a test asks of it, in whatever process it runs.

The environment variable STAND_IN holds JSON: a folder for what happened, the seconds that an answer takes,
and what goes wrong.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from microg_bench.engines.base import Answered, Engine, Job, Outcome, answer_concurrently
from microg_bench.errors import EngineError
from microg_bench.records import Failure, Response

ADAPTER = """
from microg_bench.adapters.base import Adapter

class StandIn(Adapter):
    name = "stand-in"
    title = "Stand-in"
    checkpoint = "none/such"
    architecture = "Qwen2_5_VLForConditionalGeneration"
    frames = 2
    engines = ("transformers",)
"""


def write_adapter(folder: Path) -> Path:
    """The file of the adapter, in a folder."""
    file = folder / "stand_in_adapter.py"
    file.write_text(ADAPTER)
    return file


def environment(folder: Path, **wanted: Any) -> str:
    """What STAND_IN is set to.

    Args:
        folder: where replicas note what they are asked.
        wanted: `seconds` of an answer; ids of requests that `kill` the process, on which the engine `ends`,
            on which the first process does `hang`, or that are `busy` so many times; `starts`, how many
            processes may start; `version`, of each process; `device`, of all.
    """
    folder.mkdir(exist_ok=True)
    return json.dumps({"folder": str(folder), **wanted})


def asked(folder: Path) -> list[str]:
    """The ids of all requests that replicas were asked, in no order."""
    return [name for file in folder.glob("asked-*") for name in file.read_text().split()]


@dataclass
class StandIn(Engine):
    """Answers with the request's id and what it was shown, 8 requests at a time."""

    name: ClassVar[str] = "transformers"

    def start(self) -> None:
        """Take a number among the processes."""
        self._wanted = json.loads(os.environ["STAND_IN"])
        self._folder = Path(self._wanted["folder"])
        self._number = self._take_number()
        self._ended = ""
        if self._number >= self._wanted.get("starts", 1000):
            raise EngineError("no memory for another")

    def _take_number(self) -> int:
        for number in range(1000):
            try:
                (self._folder / f"process-{number}").touch(exist_ok=False)
            except FileExistsError:
                continue
            return number
        raise EngineError("too many processes")

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
        """Wait, and answer."""
        async for answered in answer_concurrently(jobs, self._respond, 8, lambda: bool(self._ended)):
            yield answered
        if self._ended:
            raise EngineError(self._ended)

    async def _respond(self, job: Job) -> Outcome:
        name, wanted = job.request.id, self._wanted
        with (self._folder / f"asked-{self._number}").open("a") as file:
            file.write(f"{name}\n")
        await asyncio.sleep(wanted.get("seconds", 0.0))
        if name in wanted.get("kill", ()):
            os.kill(os.getpid(), signal.SIGKILL)
        if name in wanted.get("hang", ()) and self._number == 0:
            time.sleep(600)
        if name in wanted.get("ends", ()) and self._number == 0:
            self._ended = "the device is lost"
        if self._ended:
            return Failure(id=name, stage="engine", reason=self._ended, retryable=True)
        if self._tries(name) <= wanted.get("busy", {}).get(name, 0):
            return Failure(id=name, stage="engine", reason="busy", retryable=True)
        shown = job.frames.pixels.shape if job.frames else None
        return Response(id=name, text=f"{name} {shown} {job.prompt.model_dump_json()[-40:]}", seconds=0.0)

    def _tries(self, name: str) -> int:
        return asked(self._folder).count(name)

    def provenance(self) -> dict[str, str]:
        """A version for each process, and its number as the device."""
        versions = self._wanted.get("version", ["1"])
        return {
            "device": self._wanted.get("device", str(self._number)),
            "stand_in": versions[min(self._number, len(versions) - 1)],
        }
