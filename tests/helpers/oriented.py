"""Models for probes: one sees which side of its frames is bright, the other only whether they are bright.

``python -m tests.helpers.oriented ADAPTER DATA RUN PROBES`` probes the first, in a process that can be
killed; it takes as many seconds for an answer as the environment variable ORIENTED_SECONDS has.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import microg_bench as mb
from microg_bench import variants
from microg_bench.engines.base import Answered, Engine, Job
from microg_bench.records import Response
from microg_bench.runs.configure import Configuration, configure
from microg_bench.video.decode import Frames
from microg_bench.video.pool import DecodePool
from tests.helpers.datasets import make_dataset, write_annotations
from tests.helpers.videos import write_clip

UPRIGHT = "The bright side is top."
SIDES = ("top", "bottom", "left", "right")


class Oriented(Engine):
    """Tells which side is bright."""

    name: ClassVar[str] = "transformers"

    def start(self) -> None:
        """Nothing is loaded."""

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
        """Answer each alone."""
        async for job in jobs:
            await asyncio.sleep(float(os.environ.get("ORIENTED_SECONDS", "0")))
            said = self.look(job.frames) if job.frames else "I see nothing."
            yield [(job, Response(id=job.request.id, text=said))]

    def look(self, frames: Frames) -> str:
        """What is said of frames."""
        seen = frames.pixels.mean(axis=(0, 3))
        rows, columns = seen.mean(axis=1), seen.mean(axis=0)
        halves = [part.mean() for both in (rows, columns) for part in np.array_split(both, 2)]
        return f"The bright side is {SIDES[int(np.argmax(halves))]}."


class Even(Oriented):
    """Sees the same whatever the orientation and the order."""

    def look(self, frames: Frames) -> str:
        """What is said of frames."""
        return UPRIGHT if frames.pixels.max() > 200 else "It is dark."


def upright_dataset(root: Path, ids: Sequence[str]) -> Path:
    """Clips that are bright at the top, and references that say so."""
    make_dataset(root, ids)
    write_annotations(
        root / "vqa_and_captioning.json",
        [
            {"video_id": name, "caption": UPRIGHT, "qa_pairs": [{"Q": "What is up?", "A": UPRIGHT}]}
            for name in ids
        ],
    )
    for file in sorted(root.rglob("*.mp4")):
        write_clip(file, frames=12, size=(80, 64), draw=_bright_at_the_top)
    return root


def _bright_at_the_top(number: int, size: tuple[int, int]) -> np.ndarray:
    width, height = size
    levels = np.linspace(250, 10, height).astype(np.uint8)
    return np.repeat(levels[:, None, None], width, axis=1).repeat(3, axis=2)


def answered_by(engine: type[Engine]) -> Callable[..., Configuration]:
    """What takes the place of `variants.configure`, so that this engine answers."""

    def configured(*arguments: Any, **named: Any) -> Configuration:
        return replace(configure(*arguments, **named), engine=engine)

    return configured


def decoded_clips(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of clips that are decoded from now on, one for each decoding."""
    found: list[str] = []
    submit = DecodePool.submit

    def counted(pool: DecodePool, file: Path, spec: Any) -> Any:
        found.append(file.stem)
        return submit(pool, file, spec)

    monkeypatch.setattr(DecodePool, "submit", counted)
    return found


def main(adapter: str, data: str, run: str, names: str) -> None:
    """Probe `Oriented`."""
    variants.configure = answered_by(Oriented)  # type: ignore[attr-defined]
    mb.probe(adapter, data=data, run=run, probes=names, tasks="caption", metrics="ROUGE-L", progress=None)


if __name__ == "__main__":
    main(*sys.argv[1:])
