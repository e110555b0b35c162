import asyncio
import math
from collections.abc import AsyncIterator

import pytest

from microg_bench.engines import base
from microg_bench.engines.base import FunctionEngine, Job
from microg_bench.engines.registry import engine_class
from microg_bench.records import Failure, Response
from tests.engines.conftest import AnswerAll, job_of


def test_every_job_gets_what_the_function_returns_for_it(answer_all: AnswerAll) -> None:
    engine = FunctionEngine(function=lambda job: job.request.id.upper())
    engine.start()
    outcomes = answer_all(engine, [job_of(k) for k in range(3)])
    assert [outcome.text for outcome in outcomes] == ["CLIP0", "CLIP1", "CLIP2"]


def test_jobs_are_answered_in_order_and_few_are_taken_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_TAKEN", 2)
    monkeypatch.setattr(base, "_LONGEST_S", math.inf)
    taken: list[str] = []

    async def jobs() -> AsyncIterator[Job]:
        for key in range(5):
            taken.append(f"clip{key}")
            yield job_of(key)

    async def watch() -> None:
        engine = FunctionEngine(function=lambda job: "")
        answered: list[str] = []
        async for pairs in engine.answer(jobs()):
            answered += [outcome.id for _, outcome in pairs]
            assert len(pairs) <= 2
            assert taken == answered

    asyncio.run(watch())
    assert taken == ["clip0", "clip1", "clip2", "clip3", "clip4"]


def test_an_exception_is_the_failure_of_its_job_alone(answer_all: AnswerAll) -> None:
    def answer(job: Job) -> str:
        if job.request.id == "clip1":
            raise KeyError("no reference")
        return "fine"

    first, second, third = answer_all(FunctionEngine(function=answer), [job_of(k) for k in range(3)])
    assert second == Failure(id="clip1", stage="engine", reason="KeyError: 'no reference'", retryable=False)
    assert isinstance(first, Response)
    assert isinstance(third, Response)


def test_others_get_their_turn_where_the_function_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_LONGEST_S", -1.0)

    async def watch() -> list[str]:
        turns: list[str] = []

        async def other() -> None:
            for _ in range(3):
                turns.append("other")
                await asyncio.sleep(0)

        async def jobs() -> AsyncIterator[Job]:
            for key in range(3):
                yield job_of(key)

        task = asyncio.create_task(other())
        async for _ in FunctionEngine(function=lambda job: "").answer(jobs()):
            turns.append("answer")
        await task
        return turns

    assert asyncio.run(watch()) == ["answer", "other", "answer", "other", "answer", "other"]


def test_it_is_found_by_name() -> None:
    assert engine_class("function") is FunctionEngine
