"""What an engine is: the thing that gets prompts answered.

An engine knows nothing of tasks, metrics or files. It is fed a stream of jobs and may answer them in any
order; it pulls the next job only when it has room for it, so that what waits in memory stays bounded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import ClassVar

from microg_bench.records import Failure, Generation, Prompt, Record, Request, Response
from microg_bench.video import Frames


@dataclass(frozen=True)
class Job:
    """One prompt with the frames that it speaks of; `frames` is None for a model that sees no video."""

    request: Request
    prompt: Prompt
    frames: Frames | None
    generation: Generation


class EngineOptions(Record):
    """What an engine is started with. An engine refuses, by name, an option that it does not have.

    `checkpoint` is a hub id or a local folder; `batch_size` counts prompts; `dtype`, `attention` and
    `device_map` are passed on under the names that transformers gives them ("auto" lets it choose).
    """

    checkpoint: str | None = None
    revision: str | None = None
    dtype: str = "auto"
    attention: str | None = None
    device_map: str = "auto"
    batch_size: int = 4
    trust_remote_code: bool = False


@dataclass
class Engine(ABC):
    """Base of all engines. Life: `start`, then `answer` once, then `close`."""

    options: EngineOptions = field(default_factory=EngineOptions)
    name: ClassVar[str]

    @abstractmethod
    def start(self) -> None:
        """Load what is needed to answer.

        Raises:
            MissingExtraError: a package is not installed.
            EngineError: the checkpoint cannot be loaded, or the machine cannot run it.
        """

    @abstractmethod
    def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Response | Failure, None]:
        """Answer every job exactly once, in any order, with a `Response` or a classified `Failure`."""

    def close(self) -> None:  # noqa: B027 - most engines hold nothing
        """Give back what `start` took. Safe to call twice."""

    def provenance(self) -> dict[str, str]:
        """What moves the output and is known only once started: device, dtype, library versions."""
        return {}
