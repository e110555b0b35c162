"""Times the rules of `annotate check` on an annotation file, against reading that file.

Usage: ``python -m benchmarks.consistency FILE`` prints processor seconds of both, the best of five, and their
ratio. Exit status 1 where the rules take more than three times as long as reading.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from microg_bench.annotation.consistency import text_findings
from microg_bench.dataset.annotations import read_annotations

MOST = 3.0
ROUNDS = 5


def seconds(action: Callable[[], object]) -> float:
    """Processor seconds of an action, the best of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        action()
        best = min(best, time.process_time() - start)
    return best


def main() -> int:
    """Return 1 where the rules take too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    path = parser.parse_args().file
    annotations = read_annotations(path)
    reading, rules = seconds(lambda: read_annotations(path)), seconds(lambda: text_findings(annotations))
    pairs = sum(len(one.questions) for one in annotations)
    print(f"{len(annotations):,} records with {pairs:,} pairs, {len(text_findings(annotations)):,} findings")
    print(f"reading {reading:.3f} s, rules {rules:.3f} s, {rules / reading:.2f} times as long")
    return int(rules > MOST * reading)


if __name__ == "__main__":
    sys.exit(main())
