"""Clips a second of a run with replicas whose GPUs are stood in for, and how many cores a GPU needs.

Usage: ``python -m benchmarks.scale [VIDEO] [--seconds 30]``, in some three minutes. Decoding (9 frames of 90,
854x480, H.264) and the processor of Qwen2.5-VL-7B are real, a clip is asked for a caption and six answers,
and the answers are journalled; the model is an engine that waits, so that it takes 2 clips a second. With 1
and 2 replicas the run should reach 0.95 of that or more, where the machine has the cores; with 8 it shows
what saturates. Prints for each the wall-clock pace and what a clip costs, in processor seconds by part, which
others that use the machine move less; then the cores that 8 GPUs need.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.datasets import make_dataset
from benchmarks.decode import FOOTAGE, write_clips
from benchmarks.stand_in import CLIPS_A_SECOND, NOTES, SHAPE, StandIn, process, video_processor
from microg_bench.options import Options
from microg_bench.progress import Progress
from microg_bench.runs.configure import Configuration, configure
from microg_bench.runs.execute import Variant, ask
from microg_bench.runs.record import RunRecord

CORES = len(os.sched_getaffinity(0))
DISTINCT = 6  # clips; the others are links to them
GPUS = 8
PACES = (2.0, 4.0, 8.0)  # clips a second that a GPU takes
TARGET = 0.95


class Clock(Progress):
    """Notes when requests were answered, and what this process had spent by then."""

    def __init__(self) -> None:
        self.first = self.last = 0.0
        self.spent_before = self.spent = 0.0

    def advance(self) -> None:
        """See `Progress`."""
        self.last, self.spent = time.monotonic(), time.process_time()
        if not self.first:
            self.first, self.spent_before = self.last, self.spent


@dataclass(frozen=True)
class Taken:
    """What a run took: clips a second, and processor seconds a clip by part."""

    replicas: int
    pace: float
    parts: dict[str, float]

    @property
    def cost(self) -> float:
        """Processor seconds a clip."""
        return sum(self.parts.values())

    @property
    def share(self) -> float:
        """Of what the engines can take."""
        return self.pace / (CLIPS_A_SECOND * self.replicas)

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {seconds * 1e3:.1f}" for name, seconds in self.parts.items())
        used = self.pace * self.cost / CORES
        return (
            f"{self.replicas} replicas: {self.pace:.2f} clips/s, {self.share:.3f} of what they take; "
            f"{self.cost * 1e3:.1f} ms of processor a clip ({parts}); {1 / self.cost:.2f} clips/s a core, "
            f"{used:.0%} of {CORES} cores"
        )


def configured(data: Path, replicas: int, clips: int) -> Configuration:
    """A run of both tasks with the engine that waits."""
    options = Options(
        model="qwen2.5-vl",
        engine="transformers",
        data=str(data),
        replicas=replicas,
        limit=clips,
        batch_size=1,
    )
    return replace(configure(options), engine=StandIn)


def measured(data: Path, replicas: int, clips: int) -> Taken:
    """Ask everything of so many clips."""
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        folder = Path(scratch)
        os.environ[NOTES] = json.dumps({"folder": scratch, "replicas": replicas})
        one = configured(data, replicas, clips)
        records = {
            task: stack.enter_context(
                RunRecord.open(folder / "run" / task, one.settings(task), one.given, {})
            )
            for task in one.tasks
        }
        clock = Clock()
        outcomes = asyncio.run(ask([Variant(one, records)], folder / "run", clock))
        if outcomes.failed or sum(len(record.answers) for record in records.values()) != 7 * clips:
            raise SystemExit("not all was answered")
        spent = [json.loads(file.read_text()) for file in folder.glob("spent-*.json")]
    seconds = clock.last - max(one["since"] for one in spent)
    count = sum(one["clips"] for one in spent)
    total = {name: sum(one[name] for one in spent) / count for name in ("decoding", "processor", "process")}
    # One replica is the process of the driver.
    driver = (clock.spent - clock.spent_before) / clips if replicas > 1 else 0.0
    parts = {
        "decoding": total["decoding"],
        "processor": total["processor"],
        "prompts and frames": total["process"] - total["processor"],
        "driver and journal": driver,
    }
    return Taken(replicas, clips / seconds, parts)


def report_processor() -> None:
    """Print what the processor costs, as bytes and as floats, in turn."""
    processor, spent = video_processor(), {False: 0.0, True: 0.0}
    pixels = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
    for floats in (False, True) * 4:
        begun = time.process_time()
        process(processor, pixels, floats=floats)
        spent[floats] += time.process_time() - begun
    ratio = spent[True] / spent[False]
    print(f"processor alone: {spent[False] / 4 * 1e3:.1f} ms as bytes, {ratio:.1f} times that as floats")


def report_cores(cost: float) -> None:
    """Print the cores that a machine of 8 GPUs needs."""
    print(
        f"cores = GPUs x clips/s of each / {1 / cost:.2f} clips/s a core; what the engine does is not in it"
    )
    for pace in PACES:
        print(f"{GPUS} GPUs of {pace:.0f} clips/s each: {GPUS * pace * cost:.1f} cores")


def main() -> int:
    """Measure and print; return 1 where 1 or 2 replicas are not fed though there are cores for them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("video", nargs="?", type=Path, default=FOOTAGE if FOOTAGE.exists() else None)
    parser.add_argument("--seconds", type=int, default=30, help="of each run, where nothing saturates")
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2, 8])
    given = parser.parse_args()
    fed = True
    with tempfile.TemporaryDirectory() as scratch:
        (folder := Path(scratch, "clips")).mkdir()
        videos = [path.read_bytes() for path in write_clips(folder, DISTINCT, given.video)]
        clips = [round(CLIPS_A_SECOND * given.seconds * min(count, 4)) for count in given.replicas]
        data = make_dataset(Path(scratch, "data"), max(clips), videos)
        size = np.mean([len(video) for video in videos]) / 1e3
        print(f"{CORES} cores, load {os.getloadavg()[0]:.1f}; clips of {size:.0f} kB")
        report_processor()
        for replicas, count in zip(given.replicas, clips, strict=True):
            taken = measured(data, replicas, count)
            print(f"{taken}; load {os.getloadavg()[0]:.1f}", flush=True)
            has_room = CLIPS_A_SECOND * replicas * taken.cost < CORES
            fed = fed and (taken.share >= TARGET or not has_room)
        report_cores(taken.cost)
    return int(not fed)


if __name__ == "__main__":
    sys.exit(main())
