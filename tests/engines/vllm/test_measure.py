"""What vLLM tells while cost is measured: first tokens, and the memory of its workers."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import microg_bench as mb
from microg_bench.engines.registry import ENGINES
from microg_bench.options import Options

if ENGINES["vllm"].missing():
    pytest.skip("vLLM is not installed here: make test-vllm", allow_module_level=True)

from microg_bench.engines.vllm.engine import VllmEngine
from microg_bench.records import Response
from microg_bench.runs.cost import throughput
from microg_bench.runs.record import RunRecord
from tests.engines.conftest import answers, grey_frames, job_of
from tests.helpers.datasets import make_dataset


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def engine(tiny_qwen: Path) -> Iterator[VllmEngine]:
    engine = VllmEngine(Options(checkpoint=str(tiny_qwen), max_concurrency=1), first_tokens={})
    engine.start()
    yield engine
    engine.close()


def test_the_first_token_is_noted_before_the_last(engine: VllmEngine, loop: asyncio.Runner) -> None:
    job = job_of(1, frames=grey_frames([10, 200]))
    started = time.perf_counter()
    (outcome,) = answers(engine, [job], run=loop.run)
    ended = time.perf_counter()
    assert isinstance(outcome, Response)
    assert outcome.output_tokens is not None and outcome.output_tokens > 1
    assert engine.first_tokens is not None
    assert started < engine.first_tokens[job] < ended


def test_a_cpu_has_no_gpus_and_workers_are_asked_of_theirs(engine: VllmEngine, loop: asyncio.Runner) -> None:
    assert loop.run(engine.gpus()) == []
    with pytest.raises(Exception, match="CUDA"):  # of torch in the process of the worker, which has none
        loop.run(engine._llm.collective_rpc("told_gpu"))


def test_a_run_is_measured(tiny_qwen: Path, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "set", ["a_001", "a_002", "a_003"])
    given: dict[str, Any] = {"metrics": "ROUGE-L", "progress": None, "frames": 2, "max_tokens": 6}
    mb.evaluate(f"vllm:{tiny_qwen}", str(data), "vqa", run=tmp_path / "r", **given)
    record = RunRecord.read(tmp_path / "r" / "vqa")
    ((title, rate),) = throughput(record).items()
    (report,) = mb.measure(tmp_path / "r", 2, progress=None).values()
    (one,) = report.measurements
    assert one.hardware.title == title and rate > 0
    assert one.clips == 2 and one.failed == 0 and one.unknown == {}
    assert one.first_token is not None and one.seconds_per_clip is not None
    assert one.first_token.requests == 2
    assert one.first_token.p95 < one.seconds_per_clip
    assert one.tokens_per_second is not None and one.tokens_per_second > 0
