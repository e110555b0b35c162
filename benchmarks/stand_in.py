"""An engine that stands in for a GPU: it runs the real processor once a clip, and then waits.

It answers `REQUESTS_A_SECOND`, whatever their number, as a GPU does that has enough of them. The processor is
that of Qwen2.5-VL-7B. It makes no floats of the pixels: `vllm` does that on the device.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from microg_bench.engines.base import Answered, Engine, Job, Outcome, answer_concurrently
from microg_bench.records import Response
from microg_bench.storage import write_json
from microg_bench.torchvision_repair import ensure_torchvision

CLIPS_A_SECOND = 2.0
REQUESTS_A_CLIP = 7
A_REQUEST_S = 1 / (CLIPS_A_SECOND * REQUESTS_A_CLIP)
SIZE = {"shortest_edge": 3136, "longest_edge": 12845056}  # pixels
SHAPE = (9, 480, 854, 3)
NOTES = "MICROG_BENCH_STAND_IN"  # environment variable: JSON with `folder` and `replicas`
TICKS = os.sysconf("SC_CLK_TCK")


def video_processor() -> Any:
    """That of Qwen2.5-VL-7B-Instruct, in one thread, so that the time of a thread is all that it takes."""
    ensure_torchvision()
    import torch
    from transformers import Qwen2VLVideoProcessor

    torch.set_num_threads(1)
    return Qwen2VLVideoProcessor(size=dict(SIZE), patch_size=14, merge_size=2, temporal_patch_size=2)


def process(processor: Any, pixels: Any, *, floats: bool = False) -> None:
    """Make patches of the frames of a clip: of bytes, or of floats of 32 bits, normalised."""
    processor(
        videos=[pixels],
        do_sample_frames=False,
        do_rescale=floats,
        do_normalize=floats,
        cap_pixels_per_frame=False,
        return_tensors="pt",
    )


@dataclass
class StandIn(Engine):
    """Has as many requests at a time as `vllm`; writes down what its process has spent, after each clip."""

    name: ClassVar[str] = "transformers"
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _known: set[str] = field(default_factory=set, init=False)
    _free: float = field(default=0.0, init=False)
    _processor_s: float = field(default=0.0, init=False)

    def start(self) -> None:
        """Load the processor, and wait until all replicas have."""
        self._processor = video_processor()
        process(self._processor, np.zeros(SHAPE, np.uint8))
        wanted = json.loads(os.environ[NOTES])
        folder = Path(wanted["folder"])
        self._file = folder / f"spent-{os.getpid()}.json"
        (folder / f"ready-{os.getpid()}").touch()
        while len(list(folder.glob("ready-*"))) < wanted["replicas"]:
            time.sleep(0.01)
        self._begun = {"since": time.monotonic(), **spent()}
        self._free = self._begun["since"]

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
        """See `Engine`."""
        limit = 2 * self.options.max_concurrency
        async for answered in answer_concurrently(jobs, self._respond, limit, lambda: False):
            yield answered

    async def _respond(self, job: Job) -> Outcome:
        async with self._turn:
            if job.request.video_id not in self._known and job.frames:
                self._processor_s += await asyncio.to_thread(self._process, job.frames.pixels)
                self._known.add(job.request.video_id)
                self._note()
        self._free = max(self._free, time.monotonic()) + A_REQUEST_S
        await asyncio.sleep(self._free - time.monotonic())
        return Response(id=job.request.id, text="An astronaut holds on to a blue handrail.", seconds=0.5)

    def _process(self, pixels: Any) -> float:
        begun = time.thread_time()
        process(self._processor, pixels)
        return time.thread_time() - begun

    def _note(self) -> None:
        now = {name: value - self._begun[name] for name, value in spent().items()}
        more = {"since": self._begun["since"], "processor": self._processor_s, "clips": len(self._known)}
        write_json(self._file, {**now, **more})

    def provenance(self) -> dict[str, str]:
        """See `Engine`."""
        return {"device": "none"}


def spent() -> dict[str, float]:
    """Processor seconds of this process, and of the decoders that it has started."""
    own = Path("/proc/self/task")
    children = [pid for task in own.iterdir() for pid in (task / "children").read_text().split()]
    return {"process": time.process_time(), "decoding": sum(map(_spent_by, children))}


def _spent_by(process_id: str) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
