"""A model for repeats, which samples: its answers follow from the seed.

``python -m tests.helpers.sampling ADAPTER DATA RUN`` repeats it, in a process of its own.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import AsyncGenerator, AsyncIterator

import microg_bench as mb
from microg_bench import variants
from microg_bench.engines.base import Answered, Job
from microg_bench.records import Failure, Response
from tests.helpers.oriented import Oriented, answered_by


class Sampling(Oriented):
    """Answers by chance, which follows from the seed and the request; the first question always alike."""

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
        """Answer each alone."""
        async for job in jobs:
            chance = hashlib.sha256(f"{job.generation.seed} {job.request.id}".encode()).digest()[0]
            words = ["Answer", "1", "about", "clip", "number", "0", "and", "more."]
            said = "Answer 0." if job.request.id.endswith("#1") else " ".join(words[: 1 + chance % 8])
            yield [(job, Response(id=job.request.id, text=said))]


class Refusing(Sampling):
    """Refuses the second question of each clip of source a, always."""

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
        """Answer each alone, or fail."""
        async for job in jobs:
            name = job.request.id
            if name.startswith("a_") and "#2" in name:
                yield [(job, Failure(id=name, stage="engine", reason="refused"))]
            else:
                yield [(job, Response(id=name, text=f"Answer {job.generation.seed}."))]


def main(adapter: str, data: str, run: str) -> None:
    """Repeat `Sampling` twice."""
    variants.configure = answered_by(Sampling)  # type: ignore[attr-defined]
    mb.repeat(adapter, data, repeats=2, temperature=1.0, run=run, metrics="ROUGE-L", progress=None)


if __name__ == "__main__":
    main(*sys.argv[1:])
