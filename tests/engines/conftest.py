"""Jobs with frames whose origin can be told from their colour, and how engines are fed in tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import numpy as np
import pytest

from microg_bench.engines import Engine, Job
from microg_bench.records import (
    Failure,
    Generation,
    Image,
    Message,
    Prompt,
    Request,
    Response,
    Text,
    Video,
)
from microg_bench.video import Frames

MakeJob = Callable[..., Job]
AnswerAll = Callable[[Engine, Sequence[Job]], list[Response | Failure]]


def noise_frames(seed: int, count: int = 9) -> Frames:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 96, 128, 3), dtype=np.uint8)
    return frames_of(pixels)


def grey_frames(levels: Sequence[int]) -> Frames:
    return frames_of(np.stack([np.full((84, 112, 3), level, dtype=np.uint8) for level in levels]))


def frames_of(pixels: np.ndarray) -> Frames:
    indices = tuple(int(k) for k in np.linspace(0, 89, len(pixels)))
    return Frames(
        pixels=pixels,
        indices=indices,
        timestamps=tuple(k / 30 for k in indices),
        fps=30.0,
        total=90,
        duration=3.0,
    )


def job_of(
    key: int,
    *,
    frames: Frames | None = None,
    parts: tuple[Text | Video | Image, ...] | None = None,
    generation: Generation | None = None,
) -> Job:
    words = "who " * (key % 3)  # prompts of different lengths, so that batches are padded
    parts = parts or (Video(), Text(text=f"{words}is fixing the cable?"))
    return Job(
        request=Request(id=f"clip{key}", task="caption", video_id=f"clip{key}", source="s"),
        prompt=Prompt(messages=(Message(role="user", parts=parts),)),
        frames=noise_frames(key, count=9 - key % 2) if frames is None else frames,
        generation=generation or Generation(max_tokens=16),
    )


async def stream_of(jobs: Sequence[Job]) -> AsyncIterator[Job]:
    for job in jobs:
        yield job


def answers(
    engine: Engine, jobs: Sequence[Job], run: Callable[..., Any] = asyncio.run
) -> list[Response | Failure]:
    """Feed jobs to an engine and collect its outcomes in the order of the jobs, each exactly once."""

    async def collect() -> list[Response | Failure]:
        return [outcome async for outcome in engine.answer(stream_of(jobs))]

    outcomes = run(collect())
    assert sorted(o.id for o in outcomes) == sorted(job.request.id for job in jobs)
    by_id = {outcome.id: outcome for outcome in outcomes}
    return [by_id[job.request.id] for job in jobs]


@pytest.fixture
def answer_all() -> AnswerAll:
    """`answers` in an event loop of its own."""
    return answers
