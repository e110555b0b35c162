"""The response cache: two runs that ask the very same thing share the answer.

A file an answer, named by the hash of all that the answer depends on: engine, weights with their commit,
arithmetic, prompt, pixels, generation settings. Only greedy answers are kept, since sampling is random. What
a server calls a model may change behind its name; that is for the user to know, who names the cache.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from microg_bench.errors import UsageError
from microg_bench.records import Response
from microg_bench.storage import cause, file_sha256, write_json

if TYPE_CHECKING:
    from microg_bench.engines.base import Job
    from microg_bench.video.decode import Frames


@dataclass(frozen=True)
class ResponseCache:
    """Answers below `folder`; `model` is everything about engine and weights that moves an answer."""

    folder: Path
    model: dict[str, Any]

    def key(self, job: Job) -> str | None:
        """The name of the answer to `job`; None where it is left to chance, and never shared."""
        if job.generation.temperature > 0:
            return None
        asked = {
            "model": self.model,
            "prompt": job.prompt.model_dump(mode="json"),
            "generation": job.generation.model_dump(mode="json", exclude={"seed"}),
            "frames": _frames_hash(job.frames) if job.frames else None,
            "video": _file_hash(job.video) if job.video else None,
        }
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

    def get(self, key: str, request: str) -> Response | None:
        """The answer kept under `key`, as the response to `request`; a damaged file is none."""
        try:
            kept = json.loads(self._file(key).read_bytes())
            return Response.model_validate({**kept, "id": request, "seconds": 0.0, "from_cache": True})
        except (OSError, ValueError, TypeError, ValidationError):
            return None

    def put(self, key: str, response: Response) -> None:
        """Keep `response` under `key`.

        Raises:
            RunError: it cannot be written.
        """
        write_json(self._file(key), response.model_dump(mode="json", exclude={"id", "seconds", "from_cache"}))

    def _file(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"


def open_cache(folder: Path, model: dict[str, Any]) -> ResponseCache:
    """The cache in `folder`, which is made where there is none.

    Raises:
        UsageError: the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot be used: {cause(error)}", path=folder, item="--cache") from error
    return ResponseCache(folder, model)


# All requests of a clip show the same frames one after the other.
@lru_cache(maxsize=2)
def _frames_hash(frames: Frames) -> str:
    digest = hashlib.sha256(frames.pixels.data.cast("B"))
    facts = [frames.pixels.shape, frames.indices, frames.fps, frames.total, frames.duration]
    digest.update(json.dumps(facts).encode())
    return digest.hexdigest()


@lru_cache(maxsize=2)
def _file_hash(path: Path) -> str:
    return file_sha256(path)
