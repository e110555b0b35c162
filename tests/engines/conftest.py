"""Jobs with frames whose origin can be told from their colour, and how engines are fed in tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from microg_bench.engines.base import Engine, Job, Outcome
from microg_bench.records import Generation, Image, Message, Prompt, Request, Text, Video
from microg_bench.video.decode import Frames

MakeJob = Callable[..., Job]
AnswerAll = Callable[[Engine, Sequence[Job]], list[Outcome]]


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


def variants_of(job: Job) -> list[Job]:
    """The same request in run variants with fewer frames, other words, and as it is."""
    assert job.frames is not None
    fewer = replace(job, frames=frames_of(job.frames.pixels[::3]))
    reworded = (Video(), Text(text="Name the cable that is being fixed."))
    other = replace(job, prompt=Prompt(messages=(Message(role="user", parts=reworded),)))
    return [fewer, other, job]


async def stream_of(jobs: Sequence[Job]) -> AsyncIterator[Job]:
    for job in jobs:
        yield job


def answers(engine: Engine, jobs: Sequence[Job], run: Callable[..., Any] = asyncio.run) -> list[Outcome]:
    """Feed jobs to an engine and collect its outcomes in the order of the jobs, each exactly once."""

    async def collect() -> list[tuple[Job, Outcome]]:
        return [pair async for answered in engine.answer(stream_of(jobs)) for pair in answered]

    pairs = run(collect())
    assert all(outcome.id == job.request.id for job, outcome in pairs)
    by_job = dict(pairs)
    assert len(pairs) == len(by_job) == len(jobs)
    return [by_job[job] for job in jobs]


@pytest.fixture
def answer_all() -> AnswerAll:
    """`answers` in an event loop of its own."""
    return answers
