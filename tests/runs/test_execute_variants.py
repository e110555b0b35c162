"""Run variants that share an engine: one decoding of each clip, and each run as if it had been alone."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from microg_bench.engines.base import Answered, FunctionEngine, Job
from microg_bench.options import Options
from microg_bench.progress import Progress
from microg_bench.records import Response, TaskName
from microg_bench.runs.configure import Configuration, configure
from microg_bench.runs.execute import Execution, ask, open_work
from microg_bench.runs.frames import decoded
from microg_bench.runs.record import RunRecord
from microg_bench.video.decode import Frames, decode
from microg_bench.video.pool import DecodePool
from microg_bench.video.sampling import FrameSpec, FrameUnion
from tests.helpers.datasets import make_dataset
from tests.helpers.runs import opened, read

pytestmark = pytest.mark.slow

IDS = ["a_000", "a_001", "b_000"]

pytest.importorskip("transformers", reason="the extra transformers is not installed")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set", IDS)


def configured(data: Path, frames: int, prompt: str = "default") -> Configuration:
    given = {"model": "qwen2.5-vl", "engine": "transformers", "data": str(data)}
    return configure(Options.of(given, {"frames": frames, "prompt": prompt}))


class CountingPool(DecodePool):
    """Counts what it is asked to decode."""

    submitted = 0

    def submit(self, path: object, spec: FrameSpec | FrameUnion) -> "Future[Frames]":
        self.submitted += 1
        return super().submit(path, spec)  # type: ignore[arg-type]


def describe(job: Job) -> str:
    """An answer that tells everything that the model was given."""
    assert job.frames is not None
    assert job.frames.pixels.flags.c_contiguous
    words = job.prompt.messages[-1].parts[-1]
    return f"{words} {job.frames.indices} {job.frames.timestamps} {int(job.frames.pixels.sum())}"


Records = dict[TaskName, RunRecord]


def run(configurations: Sequence[Configuration], roots: Sequence[Path]) -> tuple[list[Records], int]:
    """Ask all variants together; what is in their runs then, and how many decodings it took."""
    with ExitStack() as stack:
        pairs = list(zip(roots, configurations, strict=True))
        variants = [stack.enter_context(opened(root, one)) for root, one in pairs]
        pool = stack.enter_context(CountingPool(workers=1))
        spec = FrameUnion(specs=tuple(one.frames for one in configurations if one.frames))
        source = partial(decoded, pool=pool, spec=spec)
        execution = Execution(FunctionEngine(function=describe), Progress())
        asyncio.run(execution.run(source(open_work(variants))))
    return [read(root, one) for root, one in pairs], pool.submitted


def texts(records: Records) -> dict[str, str]:
    return {name: answer.text for record in records.values() for name, answer in record.answers.items()}


def test_each_run_is_what_it_would_be_alone_and_each_clip_is_decoded_once(data: Path, tmp_path: Path) -> None:
    variants = [configured(data, 2), configured(data, 5), configured(data, 5, "plain")]
    together, decodings = run(variants, [tmp_path / f"t{k}" for k in range(3)])
    assert decodings == len(IDS)
    for number, one in enumerate(variants):
        (alone,), _ = run([one], [tmp_path / f"a{number}"])
        assert texts(together[number]) == texts(alone)
        assert len(texts(alone)) == 3 * len(IDS)
    assert {answer.frames for answer in together[0]["vqa"].answers.values()} == {(22, 67)}


def test_only_what_is_open_in_a_variant_is_asked_in_it(data: Path, tmp_path: Path) -> None:
    variants = [configured(data, 2), configured(data, 3)]
    roots = [tmp_path / "two", tmp_path / "three"]
    run(variants[:1], roots[:1])
    before = (roots[0] / "vqa" / "journal.jsonl").read_bytes()
    records, decodings = run(variants, roots)
    assert decodings == len(IDS)
    assert (roots[0] / "vqa" / "journal.jsonl").read_bytes() == before
    assert [len(texts(one)) for one in records] == [9, 9]
    assert run(variants, roots)[1] == 0


def test_a_clip_that_cannot_be_decoded_fails_in_every_variant(tmp_path: Path) -> None:
    broken = make_dataset(tmp_path / "set", IDS)
    (broken / "videos" / "real" / "a" / "a_001.mp4").write_bytes(b"broken")
    roots = [tmp_path / "two", tmp_path / "three"]
    found, _ = run([configured(broken, 2), configured(broken, 3)], roots)
    for records in found:
        assert sorted(records["caption"].failures) == ["a_001"]
        assert sorted(records["vqa"].failures) == ["a_001#1", "a_001#2"]
        assert len(texts(records)) == 6


class Forgets(FunctionEngine):
    """Comes back with every second job alone."""

    name = "forgets"

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__(function=describe)

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
        asked = [job async for job in jobs]
        for job in asked[::2]:
            yield [(job, Response(id=job.request.id, text=describe(job)))]


def test_what_is_lost_is_recorded_in_each_of_the_runs_that_are_asked_together(
    data: Path, tmp_path: Path
) -> None:
    variants = [replace(configured(data, frames), engine=Forgets) for frames in (2, 3)]
    roots = [tmp_path / "two", tmp_path / "three"]
    with ExitStack() as stack:
        pairs = zip(roots, variants, strict=True)
        outcomes = asyncio.run(
            ask([stack.enter_context(opened(root, one)) for root, one in pairs], tmp_path, Progress())
        )
    records = [
        record for root, one in zip(roots, variants, strict=True) for record in read(root, one).values()
    ]
    answers = [answer for record in records for answer in record.answers.values()]
    failures = [failure for record in records for failure in record.failures.values()]
    assert len(answers) == len(failures) == outcomes.failed == 3 * len(IDS)
    assert {failure.stage for failure in failures} == {"engine"}
    assert all(failure.retryable for failure in failures)
    for record in records:
        assert record.settings.frames is not None
        counts = {len(answer.frames) for answer in record.answers.values()}
        assert counts <= {record.settings.frames.count}


def test_frames_taken_from_a_union_are_those_decoded_alone(data: Path) -> None:
    clip = data / "videos" / "real" / "a" / "a_000.mp4"
    specs = (FrameSpec(count=3), FrameSpec(count=4, how="endpoints"), FrameSpec(count=200))
    union = decode(clip, FrameUnion(specs=specs))
    assert union.indices == tuple(range(90))
    for spec in specs:
        alone = decode(clip, spec)
        taken = union.only(alone.indices)
        assert (taken.indices, taken.timestamps) == (alone.indices, alone.timestamps)
        assert np.array_equal(taken.pixels, alone.pixels)
        assert (taken.fps, taken.total, taken.duration) == (alone.fps, alone.total, alone.duration)
