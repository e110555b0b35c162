"""What the conditions of probes share: decodings and seconds, asked together and each as a run of its own.

Usage: ``python -m benchmarks.probes [VIDEO] [--clips 24]``, in some minutes. Decoding (8 frames of 90,
854x480, H.264), transforms, prompts and journals are real; the engine answers at once. First come the seven
probes that show frames of the clip, or none; then `swap` as well, which decodes the clip that is shown in
place of each. Both ways are measured in turn, in the same process.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.datasets import A_SOURCE, make_dataset
from benchmarks.decode import FOOTAGE, write_clips
from microg_bench.engines.base import Answered, Engine, Job
from microg_bench.probes import configured
from microg_bench.progress import Progress
from microg_bench.records import Response
from microg_bench.runs.configure import Configuration
from microg_bench.runs.execute import Variant, ask
from microg_bench.runs.record import RunRecord
from microg_bench.scoring.probes import PROBES, folder_name
from microg_bench.video.pool import DecodePool

DISTINCT = 6  # clips; the others are links to them
SHARING = tuple(name for name in PROBES if name != "swap")


class AtOnce(Engine):
    """Answers each job at once."""

    name: ClassVar[str] = "transformers"

    def start(self) -> None:
        """Nothing is loaded."""

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
        """Answer each alone."""
        async for job in jobs:
            yield [(job, Response(id=job.request.id, text="A man floats."))]


class CountingPool(DecodePool):
    """Counts the clips that it decodes."""

    decodings: ClassVar[int] = 0

    def submit(self, *arguments: Any) -> Any:
        """See `DecodePool`."""
        CountingPool.decodings += 1
        return super().submit(*arguments)


@dataclass
class Taken:
    """What asking took: decodings, the seconds of all decoders, and those of a clock."""

    decodings: int = 0
    decoding: float = 0.0
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.decodings} decodings, {self.decoding:.1f} s of decoding, {self.seconds:.1f} s in all"


def measured(groups: Sequence[dict[str, Configuration]], clips: int) -> Taken:
    """Ask the conditions of each group together, one group after the other."""
    taken = Taken()
    for group in groups:
        with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
            variants = []
            for label, one in group.items():
                path = Path(scratch, folder_name(label), "caption")
                record = stack.enter_context(RunRecord.open(path, one.settings("caption"), one.given, {}))
                variants.append(Variant(one, {"caption": record}))
            before, begun = CountingPool.decodings, time.perf_counter()
            asyncio.run(ask(variants, Path(scratch), Progress()))
            taken.seconds += time.perf_counter() - begun
            taken.decodings += CountingPool.decodings - before
            taken.decoding += variants[0].usage.decoding
            if any(len(record.answers) != clips for one in variants for record in one.records.values()):
                raise SystemExit("not all was answered")
    return taken


def compare(data: Path, names: Sequence[str], clips: int) -> None:
    """Print both ways of asking, and their ratio."""
    given = {"checkpoint": "none/such", "engine": "transformers", "num_workers": 2, "limit": clips}
    found = configured("qwen2.5-vl", data, "caption", names, given, Progress())
    conditions = {label: replace(one, engine=AtOnce) for label, one in found.items()}
    together = measured([conditions], clips)
    apart = measured([{label: one} for label, one in conditions.items()], clips)
    print(f"{len(names)} probes, {len(conditions)} conditions, {clips} clips; load {os.getloadavg()[0]:.1f}")
    print(f"  together: {together} ({together.decodings / clips:.2f} decodings a clip)")
    print(f"  apart:    {apart} ({apart.decodings / clips:.2f} decodings a clip)")
    print(
        f"  together / apart: {together.decodings / apart.decodings:.2f} of the decodings, "
        f"{together.decoding / apart.decoding:.2f} of their seconds, "
        f"{together.seconds / apart.seconds:.2f} of all",
        flush=True,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("video", nargs="?", type=Path, default=FOOTAGE if FOOTAGE.exists() else None)
    parser.add_argument("--clips", type=int, default=24)
    given = parser.parse_args()
    from microg_bench.video import pool

    pool.DecodePool = CountingPool  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as scratch:
        (folder := Path(scratch, "clips")).mkdir()
        videos = [path.read_bytes() for path in write_clips(folder, DISTINCT, given.video)]
        data = make_dataset(Path(scratch, "data"), A_SOURCE + given.clips, videos)
        for names in (SHARING, tuple(PROBES)):
            compare(data, names, given.clips)


if __name__ == "__main__":
    main()
