"""Times ROUGE-L on one long and one short text, in both directions, against pycocoevalcap.

Usage: ``python -m benchmarks.rouge [--words N]`` prints processor seconds and their ratio for N words and 10
words, then how the time here grows: with ten times the words in the long text, and with a hundred times in
the short one. Last come two texts of N words each, which are cut. Exit status 1 where a score differs by more
than 1e-9, or where ten times the words take more than 30 times as long.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

from pycocoevalcap.rouge.rouge import Rouge

from microg_bench.metrics import Score, score

SHORT, WIDER = 10, 1000
VOCABULARY = [f"word{number}" for number in range(50)]


def text(words: int) -> str:
    """So many random words."""
    return " ".join(random.Random(words).choices(VOCABULARY, k=words))


def here(candidate: str, reference: str) -> tuple[float, Score]:
    """Seconds and score of this harness, the best of three."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        found = score([candidate], [reference], ["ROUGE-L"])["ROUGE-L"]
        best = min(best, time.process_time() - start)
    assert isinstance(found, Score)
    return best, found


def compared(candidate: str, reference: str) -> float:
    """Print both sides; return the difference of the scores."""
    start = time.process_time()
    expected, _ = Rouge().compute_score({0: [reference]}, {0: [candidate]})
    slow = time.process_time() - start
    fast, found = here(candidate, reference)
    sizes = f"{len(candidate.split()):,} words against {len(reference.split()):,}"
    print(
        f"{sizes}: pycocoevalcap {slow:.2f} s, here {fast:.3f} s, {slow / fast:.0f} times as fast", flush=True
    )
    return abs(100 * float(expected) - found.value)


def main() -> int:
    """Return 1 where the comparison fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--words", type=int, default=500_000)
    words = parser.parse_args().words
    short = text(SHORT)
    gap = max(compared(text(words), short), compared(short, text(words)))
    once, more = here(text(words), short)[0], here(text(10 * words), short)[0]
    print(f"ten times the words of the long text: {more / once:.1f} times as long ({more:.2f} s)")
    wide = here(text(words), text(WIDER))[0]
    print(
        f"{WIDER // SHORT} times the words of the short one: {wide / once:.1f} times as long ({wide:.2f} s)"
    )
    seconds, found = here(text(words), text(words + 1))
    print(f"two texts of {words:,} words: {seconds:.2f} s, {'; '.join(found.notes)}")
    return int(gap > 1e-9 or more > 30 * once)


if __name__ == "__main__":
    sys.exit(main())
