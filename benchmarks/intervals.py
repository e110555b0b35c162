"""Times the intervals of all scores on the full oracle against a bootstrap that scores each resample by rows.

Usage: ``python benchmarks/intervals.py [--shared DIR]``. Both use the same resamples of source videos; the
row-by-row side is timed on a twentieth of them and multiplied. Then compares all pairs of forty systems at
once, with the exchanges that so many pairs need, and some pairs alone, with a thousand; their time is
multiplied. Each system lacks the statistics of another half of the source videos. Prints seconds, their ratio
and the largest difference of a resampled score or of a bound.
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import combinations, islice
from pathlib import Path

import numpy as np

from microg_bench.dataset.load import load
from microg_bench.metrics import METRICS
from microg_bench.metrics.base import Array
from microg_bench.options import ScoringOptions
from microg_bench.records import TaskName
from microg_bench.runs.statistics import Statistics
from microg_bench.scoring.evaluate import AnswerSet, evaluate_sets
from microg_bench.scoring.intervals import RESAMPLES, Clusters, linearised, paired, paired_all, resample
from microg_bench.scoring.predictions import read_predictions
from microg_bench.tasks import TASKS, items_of

FILES: dict[TaskName, str] = {"caption": "captions.json", "vqa": "vqa.json"}
PART = 20
SYSTEMS, SOME = 40, 20
METRIC_NAMES = ("CIDEr", "BLEU-4", "ROUGE-L", "METEOR", "S-BERT")


def measure(shared: Path, task: TaskName) -> Statistics:
    """The statistics of the full oracle's predictions under every metric that needs no download."""
    dataset = load(str(shared / "data" / "microg4m" / "vqa_and_captioning.json"))
    items = items_of(TASKS[task], dataset.clips)
    predictions = read_predictions(shared / "data" / "oracle" / "full" / FILES[task], task, items)
    answers = AnswerSet(task, items, predictions.answers)
    (evaluation,) = evaluate_sets([answers], ScoringOptions(metrics=METRIC_NAMES))
    return evaluation.statistics()


def at_once(measured: Statistics, clusters: Clusters, weights: Array) -> list[Array]:
    """Resampled scores, with their errors, from sums over clusters."""
    return [
        linearised(METRICS[name], [clusters.sums(rows)], clusters.sizes(), weights)[0]
        for name, rows in measured.metrics.items()
    ]


def row_by_row(measured: Statistics, clusters: Clusters, weights: Array) -> list[Array]:
    """The same scores from the repeated rows of each resample."""
    drawn = [np.repeat(np.arange(len(clusters.member)), one[clusters.member].astype(int)) for one in weights]
    return [
        np.array([METRICS[name].aggregate(rows[chosen]) for chosen in drawn])
        for name, rows in measured.metrics.items()
    ]


def comparisons(measured: Statistics, clusters: Clusters) -> tuple[float, float, float]:
    """Seconds for all pairs at once and one by one, and the largest difference of a bound."""
    kept = np.random.default_rng(0).integers(0, 2, (SYSTEMS, clusters.count))
    at_once = alone = worst = 0.0
    for name, rows in measured.metrics.items():
        systems = [rows * own[clusters.member, None] for own in kept]
        start = time.perf_counter()
        found = paired_all(METRICS[name], systems, clusters)
        middle = time.perf_counter()
        some = [paired(METRICS[name], *pair, clusters) for pair in islice(combinations(systems, 2), SOME)]
        alone += (time.perf_counter() - middle) * len(found) / SOME
        at_once += middle - start
        for one, other in zip(found, some, strict=False):
            pairs = zip(one.interval or (), other.interval or (), strict=True)
            worst = max([worst, *(abs(a - b) for a, b in pairs)])
    return at_once, alone, worst


def main() -> int:
    """Print two lines; end with 1 where the two sides differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared")
    shared = parser.parse_args().shared
    ours = plain = worst = 0.0
    pairs = np.zeros(2)
    for task in FILES:
        measured = measure(shared, task)
        clusters = Clusters.of(measured.sources)
        weights = resample(clusters.count)
        start = time.perf_counter()
        fast = at_once(measured, clusters, weights)
        middle = time.perf_counter()
        slow = row_by_row(measured, clusters, weights[: RESAMPLES // PART])
        ours, plain = ours + middle - start, plain + PART * (time.perf_counter() - middle)
        gaps = [np.abs(a[: len(b)] - b).max() for a, b in zip(fast, slow, strict=True)]
        *seconds, gap = comparisons(measured, clusters)
        pairs += seconds
        worst = max(worst, gap, *map(float, gaps))
    print(
        f"{RESAMPLES} resamples, {len(measured.metrics)} metrics, both tasks: {ours:.3f} s; "
        f"row by row {plain:.1f} s, {plain / ours:.0f} times as long; largest difference {worst:.1e}"
    )
    print(
        f"all pairs of {SYSTEMS} systems: {pairs[0]:.1f} s; one by one {pairs[1]:.0f} s, "
        f"{pairs[1] / pairs[0]:.0f} times as long"
    )
    return int(worst > 1e-6)


if __name__ == "__main__":
    sys.exit(main())
