"""Several runs side by side: one engine, one decoding, and each run as if it had been alone."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from microg_bench.engines import Job
from microg_bench.engines.function import FunctionEngine
from microg_bench.runs.execute import Execution
from microg_bench.runs.folder import RunFolder, State, read_state
from microg_bench.runs.frames import decoded
from microg_bench.runs.lanes import Lane, ask, merged, union_of
from microg_bench.runs.prepare import Prepared, prepare
from microg_bench.runs.settings import Options
from microg_bench.video import DecodePool, Frames, FrameSpec, FrameUnion, decode
from tests.helpers.datasets import make_dataset

IDS = ["a_000", "a_001", "b_000"]

pytest.importorskip("transformers", reason="the extra transformers is not installed")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set", IDS)


def prepared(data: Path, frames: int, prompt: str = "default", **changed: object) -> Prepared:
    options = {"model": "qwen2.5-vl", "engine": "transformers", "data": str(data), **changed}
    return prepare(Options.model_validate({**options, "frames": frames, "prompt": prompt}))


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


def run_lanes(points: Sequence[Prepared], roots: Sequence[Path]) -> tuple[list[dict[str, State]], int]:
    """Ask all points; what their journals hold, and how many decodings it took."""
    with ExitStack() as stack:
        lanes = [
            Lane(
                point,
                {
                    task: stack.enter_context(RunFolder(root / task, point.settings(task), point.options, {}))
                    for task in point.tasks
                },
            )
            for point, root in zip(points, roots, strict=True)
        ]
        engine = FunctionEngine(function=describe)
        executions = [
            Execution(lane.prepared.adapter, engine, lane.folders, lane.prepared.templates) for lane in lanes
        ]
        pool = stack.enter_context(CountingPool(workers=1))
        spec = union_of(lanes)
        assert spec is not None
        clips = points[0].clips
        asyncio.run(ask(lanes, executions, decoded(merged(lanes, clips), pool, spec, ahead=2)))
    states = [
        {task: read_state(root / task) for task in point.tasks}
        for point, root in zip(points, roots, strict=True)
    ]
    return states, pool.submitted


def texts(states: dict[str, State]) -> dict[str, str]:
    return {name: answer.text for state in states.values() for name, answer in state.answers.items()}


def test_each_run_is_what_it_would_be_alone_and_each_clip_is_decoded_once(data: Path, tmp_path: Path) -> None:
    points = [prepared(data, 2), prepared(data, 5), prepared(data, 5, "plain")]
    together, decodings = run_lanes(points, [tmp_path / f"t{k}" for k in range(3)])
    assert decodings == len(IDS)
    for number, point in enumerate(points):
        (alone,), _ = run_lanes([point], [tmp_path / f"a{number}"])
        assert texts(together[number]) == texts(alone)
        assert len(texts(alone)) == 3 * len(IDS)
    assert {answer.frames for answer in together[0]["vqa"].answers.values()} == {(22, 67)}


def test_only_what_is_open_in_a_lane_is_asked_in_it(data: Path, tmp_path: Path) -> None:
    points = [prepared(data, 2), prepared(data, 3)]
    roots = [tmp_path / "two", tmp_path / "three"]
    run_lanes(points[:1], roots[:1])
    before = (roots[0] / "vqa" / "journal.jsonl").read_bytes()
    states, decodings = run_lanes(points, roots)
    assert decodings == len(IDS)
    assert (roots[0] / "vqa" / "journal.jsonl").read_bytes() == before
    assert [len(texts(state)) for state in states] == [9, 9]
    assert run_lanes(points, roots)[1] == 0


def test_a_clip_that_cannot_be_decoded_fails_in_every_lane(data: Path, tmp_path: Path) -> None:
    broken = make_dataset(tmp_path / "set", IDS)
    (broken / "videos" / "real" / "a" / "a_001.mp4").write_bytes(b"broken")
    states, _ = run_lanes([prepared(broken, 2), prepared(broken, 3)], [tmp_path / "two", tmp_path / "three"])
    for state in states:
        assert sorted(state["caption"].failures) == ["a_001"]
        assert sorted(state["vqa"].failures) == ["a_001#1", "a_001#2"]
        assert len(texts(state)) == 6


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
