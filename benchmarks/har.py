"""Times the scoring of detection files against a plain per-box evaluation, and of twelve files together.

Usage: ``python -m benchmarks.har [--shared DIR] [--rounds N]`` prints seconds and their ratio, reading
included on both sides, and the largest difference of a score; then the seconds of twelve files with
intervals, in this process and as ``microg-bench har score``. If there are fewer files, some are given again.
Both sides read unpacked copies: unpacking takes either the same time.
"""

from __future__ import annotations

import argparse
import lzma
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

from microg_bench import har
from tests.helpers import har_oracle

SPLITS = ("test", "val")
FILES = 12

Side = Callable[[Path, Path], dict[str, float]]


def pairs(folder: Path, ending: str) -> list[tuple[Path, Path]]:
    """Each detections file with its ground truth."""
    return [
        (path, folder / f"groundtruth_{split}{ending}")
        for split in SPLITS
        for path in sorted(folder.glob(f"*.{split}{ending}"))
    ]


def unpacked(folder: Path, into: Path) -> None:
    """Copy the tables of `folder`, unpacked."""
    for path in folder.glob("*.csv.xz"):
        (into / path.stem).write_bytes(lzma.decompress(path.read_bytes()))


def fast(detections: Path, truth: Path, resamples: int = 0) -> dict[str, float]:
    """Scores of this package, in %."""
    labels = har.read_label_map()
    found = har.read_detections(detections, labels)
    card = har.evaluate(found, har.read_ground_truth(truth, labels), labels, resamples=resamples)
    return {name: value or 0.0 for name, value in card.values().items()}


def plain(detections: Path, truth: Path) -> dict[str, float]:
    """Scores of the plain evaluation, in %."""
    ids = list(har.read_label_map().ids)
    return har_oracle.evaluate(har_oracle.read_rows(detections), har_oracle.read_rows(truth), ids)


def compare(folder: Path, rounds: int) -> float:
    """Print both sides of every file, each the best of `rounds`; return the largest difference of a score."""
    worst, total = 0.0, {fast: 0.0, plain: 0.0}
    for detections, truth in pairs(folder, ".csv"):
        seconds = {fast: float("inf"), plain: float("inf")}
        values = {}
        for side in (fast, plain) * rounds:
            start = time.perf_counter()
            values[side] = side(detections, truth)
            seconds[side] = min(seconds[side], time.perf_counter() - start)
        gap = max(abs(values[fast][name] - values[plain][name]) for name in values[fast])
        worst = max(worst, gap)
        print(f"{detections.name}: {summary(seconds)}, largest difference {gap:.0e}", flush=True)
        total = {side: total[side] + seconds[side] for side in total}
    print(f"all of them: {summary(total)}")
    return worst


def summary(seconds: dict[Side, float]) -> str:
    """Both sides and their ratio."""
    ratio = seconds[plain] / seconds[fast]
    return f"{seconds[fast]:.3f} s, plain {seconds[plain]:.3f} s, {ratio:.1f} times as fast"


def many(folder: Path) -> None:
    """Print the seconds of twelve test files, with intervals."""
    known = [pair for pair in pairs(folder, ".csv.xz") if "test" in pair[1].name]
    chosen = list(islice(cycle(known), FILES))
    start = time.perf_counter()
    for detections, truth in chosen:
        fast(detections, truth, resamples=1000)
    inside = time.perf_counter() - start
    command = [sys.executable, "-m", "microg_bench", "har", "score", "--groundtruth", str(chosen[0][1])]
    for path, _ in chosen:
        command += ["--detections", str(path)]
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    outside = time.perf_counter() - start
    print(f"{FILES} files with intervals: {inside:.2f} s in this process, {outside:.2f} s as a command")


def main() -> int:
    """End with 1 where the two sides differ by more than 1e-9."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    folder = given.shared / "data" / "har"
    if not pairs(folder, ".csv.xz"):
        parser.error(f"--shared: there are no detection files in {folder}")
    with tempfile.TemporaryDirectory() as name:
        unpacked(folder, Path(name))
        fast(*pairs(Path(name), ".csv")[0])  # what is imported once is not timed
        worst = compare(Path(name), given.rounds)
    many(folder)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    return int(worst > 1e-9)


if __name__ == "__main__":
    sys.exit(main())
