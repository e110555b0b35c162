"""Measures how often tests call a slice different that is not, and how often they find one that is.

Usage: ``python benchmarks/slices.py [--shared DIR] [--draws 1000] [--shift 1.0]``. The slices are those by
action of the captioned clips of MicroG-4M, and random halves of the source videos. A draw gives each clip a
score: the effect of its source video, and noise that runs on from clip to clip. The scores of a slice are
moved by ``--shift`` standard deviations of the noise, or by nothing. Prints for each kind of slice and size
of the effects the share of p-values up to 0.05, of two tests over source videos: flipping the signs of what
each contributes, and exchanging its items of the slice with its others (source videos that have only one kind
of items exchange their places).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from microg_bench.dataset.clip_labels import read_clip_labels
from microg_bench.dataset.load import load
from microg_bench.metrics import METRICS
from microg_bench.metrics.base import Array
from microg_bench.scoring.intervals import Clusters
from microg_bench.scoring.slices import Places, contributions, flip_test
from microg_bench.slices import SMALLEST
from microg_bench.tables.markdown import table

MEAN = METRICS["ROUGE-L"]  # a metric whose score is the mean of its one statistic
TRIES = 399
RUNS_ON = 0.8  # correlation of the noise of a clip with that of the next
EFFECTS = (0.0, 0.5, 1.0)  # standard deviations of the effects of source videos; that of the noise is 1
Test = Callable[[Array, Clusters, Places, Places, np.random.Generator], float]


def flipping(
    scores: Array, sources: Clusters, within: Places, others: Places, generator: np.random.Generator
) -> float:
    """The p-value by sign flips."""
    return flip_test(contributions(MEAN, scores[:, None], sources, within, others)[None])[0]


def exchanging(
    scores: Array, sources: Clusters, within: Places, others: Places, generator: np.random.Generator
) -> float:
    """The p-value by exchanging the parts of source videos, and the places of those that have one part."""
    members = [sources.member[rows] for rows in (within, others)]
    counts = np.stack([np.bincount(one, minlength=sources.count) for one in members]).astype(float)
    sums = np.stack(
        [
            np.bincount(one, scores[rows], minlength=sources.count)
            for one, rows in zip(members, (within, others), strict=True)
        ]
    )
    whole = (counts == 0).any(axis=0)
    inside = counts[0, whole] > 0
    reached, least = 1, abs(_difference(sums, counts)) - 1e-9
    for _ in range(TRIES):
        exchanged = generator.random(sources.count) < 0.5
        exchanged[whole] = generator.permutation(inside) != inside
        moved = [np.where(exchanged, one[::-1], one) for one in (sums, counts)]
        reached += abs(_difference(*moved)) >= least
    return reached / (1 + TRIES)


TESTS: dict[str, Test] = {"sign flips": flipping, "exchanges": exchanging}


def _difference(sums: Array, counts: Array) -> float:
    first, second = sums.sum(axis=1) / counts.sum(axis=1)
    return float(first - second)


def _noise(sizes: Array, generator: np.random.Generator) -> Array:
    """Noise of standard deviation 1 that runs on within each source video."""
    steps = generator.normal(size=int(sizes.sum()))
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(int)
    for k in range(1, len(steps)):
        if k not in starts:
            steps[k] = RUNS_ON * steps[k - 1] + np.sqrt(1 - RUNS_ON**2) * steps[k]
    return steps


def _slices(shared: Path, generator: np.random.Generator) -> tuple[Clusters, dict[str, list[Places]]]:
    folder = shared / "data" / "microg4m"
    clips = sorted(load(folder / "vqa_and_captioning.json").clips, key=lambda clip: clip.video_id)
    clips.sort(key=lambda clip: clip.source)
    labels = read_clip_labels(folder / "actions.csv").by_kind["action"]
    names = sorted({name for clip in clips for name in labels[clip.video_id]})
    rows = [np.array([k for k, clip in enumerate(clips) if name in labels[clip.video_id]]) for name in names]
    sources = Clusters.of([clip.source for clip in clips])
    halves = [
        np.flatnonzero(np.isin(sources.member, generator.permutation(sources.count)[: sources.count // 2]))
        for _ in range(5)
    ]
    large = [one for one in rows if SMALLEST <= len(one) <= len(clips) - SMALLEST]
    return sources, {"actions": large, "halves of the source videos": halves}


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--shift", type=float, default=1.0)
    given = parser.parse_args()
    generator = np.random.default_rng(0)
    sources, kinds = _slices(given.shared, generator)
    lines = []
    for kind, slices in kinds.items():
        for effect in EFFECTS:
            found: dict[tuple[str, float], list[bool]] = {}
            for _ in range(given.draws):
                noise = _noise(sources.sizes(), generator)
                scores = noise + effect * generator.normal(size=sources.count)[sources.member]
                within = slices[generator.integers(len(slices))]
                others = np.setdiff1d(np.arange(len(scores)), within)
                for shift in (0.0, given.shift):
                    moved = scores.copy()
                    moved[within] += shift
                    for name, test in TESTS.items():
                        p = test(moved, sources, within, others, generator)
                        found.setdefault((name, shift), []).append(p <= 0.05)
            shares = [np.mean(found[name, shift]) for shift in (0.0, given.shift) for name in TESTS]
            lines.append([kind, f"{effect:g}", *(f"{share:.2f}" for share in shares)])
    headings = [f"{name}, {what}" for what in ("none", f"{given.shift:g}") for name in TESTS]
    print("\n".join(table(["slices", "effects", *headings], lines, "lr" + "r" * len(headings))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
