"""A run of a million requests in a hundred shards: what each step takes, and how large its files are.

Usage: ``python -m benchmarks.million [--requests 1000000] [--shards 100] [--folder DIR] [--metrics NAMES]``.
The dataset is a folder of clips with a caption and six questions each. The answers are its references, with
what the engine `vllm` notes beside them, and go into the journals a clip at a time. Each step runs in a
process of its own: load the dataset and start a shard; write all shards; merge them; resume what was merged,
which has nothing left to ask; and, where metrics are given, score it and read the statistics of its items.
Prints wall-clock and processor seconds and the peak of resident memory. A million requests take five
minutes of an idle machine without scoring, two more with the lexical metrics but METEOR, and 1.2 GB.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.datasets import QUESTIONS, make_dataset
from microg_bench.api import score_and_save
from microg_bench.dataset.load import Dataset, load
from microg_bench.options import Options
from microg_bench.progress import Progress
from microg_bench.records import Answer, Clip, TaskName
from microg_bench.runs.configure import configure
from microg_bench.runs.execute import Variant, open_work
from microg_bench.runs.merge import merge
from microg_bench.runs.record import RunRecord
from microg_bench.tasks import TASKS

NAMES: tuple[TaskName, ...] = ("caption", "vqa")
FRAMES = tuple(range(0, 90, 10))
EMPTY_VIDEO = b"\0\0\0\x20ftypisom" + bytes(20)  # the head of a file: nothing is decoded
STEPS = ("start a shard", "write", "merge", "resume")
SCORING = ("score", "read the scores")


class Run:
    """The run in a folder. Methods are the steps, by their names."""

    def __init__(self, folder: Path, shards: int, metrics: str) -> None:
        self.folder, self.shards, self.metrics = folder, shards, metrics

    def step(self, name: str) -> None:
        """Do a step."""
        getattr(self, name.replace(" ", "_"))()

    def start_a_shard(self) -> None:
        """Load the dataset, divide it, and plan a shard."""
        variant = self._opened(1, self._dataset())
        assert sum(map(len, open_work([variant])))
        _close(variant)

    def write(self) -> None:
        """Write the journals of all shards."""
        dataset = self._dataset()
        count, seconds = 0, 0.0
        for number in range(1, self.shards + 1):
            variant = self._opened(number, dataset)
            found = [(task, list(_answers(one.clip, task))) for one in open_work([variant]) for task in NAMES]
            begun = time.perf_counter()
            for task, answers in found:
                variant.records[task].add(*answers)
                count += len(answers)
            seconds += time.perf_counter() - begun
            _close(variant)
        print(f"{count / seconds:,.0f} answers journalled a second")

    def merge(self) -> None:
        """`runs merge` without scoring."""
        merge([self.folder / "shards"], self.folder / "merged", None, Progress())

    def resume(self) -> None:
        """Open the merged run as the start that resumes it."""
        variant = self._opened(None, self._dataset())
        assert not list(open_work([variant]))
        _close(variant)

    def score(self) -> None:
        """Score both tasks."""
        _, errors = score_and_save(self._merged(), Options(metrics=self.metrics), None, Progress())
        if errors:
            raise errors[0]

    def read_the_scores(self) -> None:
        """Read the statistics of the items, as a comparison does."""
        assert all(record.statistics.ids for record in self._merged())

    def _merged(self) -> list[RunRecord]:
        return [RunRecord.read(self.folder / "merged" / task) for task in NAMES]

    def _dataset(self) -> Dataset:
        return load(self.folder / "data")

    def _opened(self, shard: int | None, dataset: Dataset) -> Variant:
        """The runs of a shard, or of the whole; nothing of the model is loaded."""
        options = Options(
            model="qwen2.5-vl",
            engine="transformers",
            data=str(self.folder / "data"),
            tasks=NAMES,
            shard=f"{shard}/{self.shards}" if shard else None,
        )
        one = configure(options, dataset)
        root = one.shard_folder(self.folder / "shards") if shard else self.folder / "merged"
        return Variant(
            one, {task: RunRecord.open(root / task, one.settings(task), one.given, {}) for task in NAMES}
        )


def _close(variant: Variant) -> None:
    for record in variant.records.values():
        record.close()


def _answers(clip: Clip, task: TaskName) -> Iterator[Answer]:
    """What a model says of a clip, with what the engine `vllm` notes."""
    for item in TASKS[task].items(clip):
        yield Answer(
            id=item.request.id,
            text=item.reference,
            answer=item.reference,
            prompt_tokens=2629,
            cached_tokens=2592,
            output_tokens=len(item.reference) // 4,
            seconds=0.8123456789,
            frames=FRAMES,
            clip_sha256="0123456789abcdef",
        )


def do_apart(step: str, given: argparse.Namespace, folder: Path) -> None:
    """Do a step in a process of its own and print what it took."""
    command = [sys.executable, "-m", "benchmarks.million", "--step", step, "--folder", str(folder)]
    command += ["--shards", str(given.shards), "--metrics", given.metrics]
    begun = time.perf_counter()
    # Baselines that an earlier measurement has scored would cost nothing.
    process = subprocess.Popen(command, env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache")})
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{step} failed")
    seconds, spent = time.perf_counter() - begun, usage.ru_utime + usage.ru_stime
    print(
        f"{step:16}{seconds:>7.1f} s, {spent:.1f} s of processor, {usage.ru_maxrss / 1e3:,.0f} MB", flush=True
    )


def print_sizes(folder: Path) -> None:
    """Print what the files take."""
    for place in ("shards", "merged"):
        sizes = {file: file.stat().st_size for file in (folder / place).rglob("*") if file.is_file()}
        journals = sum(size for file, size in sizes.items() if file.name == "journal.jsonl")
        print(f"{place}: journals {journals / 1e6:,.1f} MB, all {sum(sizes.values()) / 1e6:,.1f} MB")


def main() -> None:
    """Do all steps, or one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--shards", type=int, default=100)
    parser.add_argument("--folder", type=Path, help="where to write; the folder of temporary files else")
    parser.add_argument("--metrics", default="", help="such as CIDEr,BLEU-4,ROUGE-L,METEOR")
    parser.add_argument("--step", choices=(*STEPS, *SCORING), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        Run(given.folder, given.shards, given.metrics).step(given.step)
        return
    if given.folder:
        given.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
        clips = -(-given.requests // (1 + QUESTIONS))
        make_dataset(Path(scratch, "data"), clips, [EMPTY_VIDEO])
        print(f"{given.requests:,} requests of {clips:,} clips in {given.shards} shards")
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
        for step in (*STEPS, *(SCORING if given.metrics else ())):
            do_apart(step, given, Path(scratch))
        print_sizes(Path(scratch))


if __name__ == "__main__":
    main()
