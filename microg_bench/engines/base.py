"""What an engine is: the thing that gets prompts answered.

An engine knows nothing of tasks, metrics or files. It is fed a stream of jobs and may answer them in any
order; it pulls the next job only when it has room for it, so that what waits in memory stays bounded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from microg_bench.errors import UsageError
from microg_bench.records import Failure, Generation, Prompt, Record, Request, Response
from microg_bench.video import Frames


@dataclass(frozen=True)
class Job:
    """One prompt with what it shows: decoded `frames`, or the file `video` where the model gets it whole.

    Both are None for a model that sees no video.
    """

    request: Request
    prompt: Prompt
    frames: Frames | None
    generation: Generation
    video: Path | None = None


class EngineOptions(Record):
    """What an engine is started with. An engine refuses, by name, an option that it does not have.

    Weights: `checkpoint` is a hub id, a local folder, or the model's name at its server; `loader` names, as
    `module:function`, what loads weights that no library can load by itself.
    Engines with weights: `dtype`, `attention` and `device_map` go under the names that transformers gives
    them ("auto" lets it choose), `batch_size` counts prompts. vLLM: sizes of parallelism in devices,
    `gpu_memory` a share in (0, 1], `max_length` in tokens, `engine_args` whatever else it takes, under its
    own names. Servers: `urls`; `at_once` is the most requests under way, `timeout` the seconds that one may
    take; `serve` starts a vLLM server here, on `port`. `media` says how a clip travels, as JPEG `images`, as
    one `video` of JPEG frames, or as the `clip`'s own file; `jpeg_quality` 1 to 95; `detail` is the level at
    which the vendor reads an image.
    """

    checkpoint: str | None = None
    revision: str | None = None
    loader: str | None = None
    trust_remote_code: bool = False
    dtype: str = "auto"
    attention: str | None = None
    device_map: str = "auto"
    batch_size: int = Field(default=4, ge=1)
    tensor_parallel: int = Field(default=1, ge=1)
    pipeline_parallel: int = Field(default=1, ge=1)
    data_parallel: int = Field(default=1, ge=1)
    gpu_memory: float | None = Field(default=None, gt=0, le=1)
    max_length: int | None = Field(default=None, ge=1)
    quantization: str | None = None
    engine_args: dict[str, Any] = Field(default_factory=dict)
    urls: tuple[str, ...] = ()
    serve: bool = False
    port: int | None = Field(default=None, ge=1, le=65535)
    at_once: int = Field(default=64, ge=1)
    timeout: float = Field(default=300.0, gt=0)
    media: Literal["images", "video", "clip"] | None = None
    jpeg_quality: int = Field(default=90, ge=1, le=95)
    detail: Literal["auto", "low", "high"] = "auto"


WEIGHTS = frozenset({"checkpoint", "revision", "trust_remote_code", "dtype"})


@dataclass
class Engine(ABC):
    """Base of all engines. Life: `start`, then `answer` once, then `close`.

    `takes` names the options that the engine has.
    """

    options: EngineOptions = field(default_factory=EngineOptions)
    name: ClassVar[str]
    takes: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def check(cls, options: EngineOptions) -> None:
        """Refuse what this engine cannot be started with, before anything is loaded.

        Raises:
            UsageError: an option that it does not have, by name.
        """
        for name in type(options).model_fields:
            given = getattr(options, name)
            if name not in cls.takes and given != getattr(EngineOptions(), name):
                raise UsageError(f"engine {cls.name} has no --{name.replace('_', '-')} (given: {given})")

    @abstractmethod
    def start(self) -> None:
        """Load what is needed to answer.

        Raises:
            MissingExtraError: a package is not installed.
            EngineError: the checkpoint cannot be loaded, or the machine cannot run it.
        """

    @abstractmethod
    def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Response | Failure, None]:
        """Answer every job exactly once, in any order, with a `Response` or a classified `Failure`.

        Raises:
            EngineError: the engine cannot go on; what was under way was given back as retryable failures.
        """

    def close(self) -> None:  # noqa: B027 - most engines hold nothing
        """Give back what `start` took. Safe to call twice."""

    def drop(self, settings: Collection[str]) -> None:  # noqa: B027 - most models take every setting
        """Send no request with these settings, which the model rejected before. To be called once started."""

    def dropped(self) -> tuple[str, ...]:
        """Settings of `Generation` that the model rejects, so that requests are asked without them."""
        return ()

    def provenance(self) -> dict[str, str]:
        """What moves the output and is known only once started: device, dtype, library versions."""
        return {}
