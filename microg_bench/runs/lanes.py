"""Runs side by side: one engine and one decoding of each clip serve runs that differ in prompt or frames.

A lane is a run's own way through them. Where there are several, the engine knows each request under the
number of its lane.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from dataclasses import dataclass, replace

from microg_bench.engines import Job
from microg_bench.errors import DecodeError
from microg_bench.records import Clip, TaskName
from microg_bench.runs.execute import Execution
from microg_bench.runs.folder import RunFolder
from microg_bench.runs.frames import FrameStream, Shown
from microg_bench.runs.plan import Work, plan
from microg_bench.runs.prepare import Prepared
from microg_bench.video import FrameSpec, FrameUnion, indices


@dataclass(frozen=True)
class Lane:
    """One run, or several that differ in their task alone: what is prepared, and where it is written."""

    prepared: Prepared
    folders: Mapping[TaskName, RunFolder]

    def work(self, clips: Sequence[Clip], but: AbstractSet[str] = frozenset()) -> Iterator[Work]:
        """What of `clips` had no answer when the folders were opened, without the requests `but`."""
        settled = {task: folder.done | but if but else folder.done for task, folder in self.folders.items()}
        return plan(clips, self.prepared.tasks, settled)

    def shown(self, shown: Shown | DecodeError) -> Shown | DecodeError:
        """This lane's own frames among those that were decoded for all lanes."""
        spec = self.prepared.spec
        if spec is None or not isinstance(shown, Shown) or shown.frames is None:
            return shown
        picks = indices(spec, [0.0] * shown.frames.total)
        frames = shown.frames if picks == shown.frames.indices else shown.frames.only(picks)
        return Shown(frames, frames.indices)


def union_of(lanes: Sequence[Lane]) -> FrameSpec | FrameUnion | None:
    """The frames that all lanes need together; None where they see no video."""
    specs = tuple(dict.fromkeys(lane.prepared.spec for lane in lanes if lane.prepared.spec))
    if len(specs) < 2:
        return specs[0] if specs else None
    return FrameUnion(specs=specs)


def merged(lanes: Sequence[Lane], clips: Sequence[Clip]) -> Iterator[Work]:
    """The clips that any lane asks about, each once, with the requests of all lanes."""
    for clip in clips:
        requests = tuple(request for lane in lanes for one in lane.work([clip]) for request in one.requests)
        if requests:
            yield Work(clip, requests)


async def ask(lanes: Sequence[Lane], executions: Sequence[Execution], frames: FrameStream) -> None:
    """Ask everything that is open in all lanes; `frames` are of all clips that they need.

    Raises:
        RunError, EngineError: as `Execution.run`.
    """
    jobs = _jobs(lanes, executions, frames)
    async with aclosing(jobs), aclosing(executions[0].engine.answer(jobs)) as outcomes:
        async for outcome in outcomes:
            number, _, name = outcome.id.partition("/")
            executions[int(number)].take(outcome.model_copy(update={"id": name}))
    for execution in executions:
        execution.give_up()


async def _jobs(
    lanes: Sequence[Lane], executions: Sequence[Execution], frames: FrameStream
) -> AsyncGenerator[Job, None]:
    async for work, shown in frames:
        for number, (lane, execution) in enumerate(zip(lanes, executions, strict=True)):
            for own in lane.work([work.clip]):
                async for job in execution.jobs_of(own, lane.shown(shown)):
                    name = f"{number}/{job.request.id}"
                    yield replace(job, request=job.request.model_copy(update={"id": name}))
        if any(execution.budget and execution.budget.exhausted for execution in executions):
            return
