"""Times the start of the command line: `microg-bench --help` of this checkout against another one.

Usage: ``python benchmarks/startup.py --against DIR [--rounds N]``. Both run in turn with this interpreter,
each with its checkout as PYTHONPATH. Prints the median processor seconds of each and their ratio; exit status
1 where the ratio is above 0.6.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
LIMIT = 0.6


def processor_seconds(checkout: Path) -> float:
    """User and system time of one `--help`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "microg_bench", "--help"],
        check=True,
        cwd=tempfile.gettempdir(),
        env={**os.environ, "PYTHONPATH": str(checkout)},
        stdout=subprocess.DEVNULL,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    """Print one line; return 1 where the start takes too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, required=True, help="another checkout of this repository")
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    sides: dict[Path, list[float]] = {HERE: [], given.against.resolve(): []}
    for checkout in sides:
        processor_seconds(checkout)  # writes the bytecode
    for _ in range(given.rounds):
        for checkout, seconds in sides.items():
            seconds.append(processor_seconds(checkout))
    ours, theirs = map(statistics.median, sides.values())
    print(
        f"microg-bench --help, {given.rounds} rounds: {ours:.3f} s of processor time, "
        f"{given.against} {theirs:.3f} s; ratio {ours / theirs:.2f} (limit {LIMIT})"
    )
    return int(ours / theirs > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
