"""Measures how often the 95% intervals of several methods hold the true score over few, uneven source videos.

Usage: ``python benchmarks/coverage.py [--shared DIR] [--draws 1000] [--sources 7 18]``. A draw takes source
videos with replacement from the 18 of MicroG-4M, with the statistics of all their items; the true score is
that over all 18. Prints for each number of sources a table of coverage, with the mean and the lowest of all
measures, and the width against that of the percentile interval (the median over draws and measures).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from microg_bench.dataset.load import Dataset, load
from microg_bench.metrics import METRICS
from microg_bench.metrics.base import Array, Metric
from microg_bench.options import ScoringOptions
from microg_bench.records import TaskName
from microg_bench.scoring.evaluate import AnswerSet, evaluate_sets
from microg_bench.scoring.intervals import (
    LEVEL,
    METHOD,
    RESAMPLES,
    Clusters,
    bootstrap_t,
    bounds,
    linearised,
    resample,
    with_sample,
)
from microg_bench.scoring.predictions import read_predictions
from microg_bench.storage import shipped
from microg_bench.submissions.load import load as load_submission
from microg_bench.tables.markdown import table
from microg_bench.tasks import TASKS, is_unanswerable, items_of

Bounds = tuple[float, float]
Covered = dict[str, tuple[float, Array]]  # by method: the share of draws that hold the truth, and all widths
FILES: dict[TaskName, str] = {"caption": "captions.json", "vqa": "vqa.json"}
EDITED, BLIND, CONSTANT = "edited references", "blind", "constant"
MEAN = METRICS["ROUGE-L"]  # a metric whose score is the mean of its one statistic
TAILS = np.array([(1 - LEVEL) / 2, (1 + LEVEL) / 2])
SCORED: tuple[tuple[TaskName, str, tuple[str, ...]], ...] = (
    ("caption", "CIDEr", (EDITED,)),
    ("caption", "BLEU-4", (EDITED,)),
    ("vqa", "METEOR", (EDITED,)),
    ("caption", "CIDEr", (BLIND,)),
    ("caption", "BLEU-4", (BLIND,)),
    ("caption", "METEOR", (BLIND,)),
    ("caption", "BLEU-4", (BLIND, CONSTANT)),
    ("vqa", "CIDEr", (BLIND, CONSTANT)),
)


@dataclass(frozen=True)
class Measure:
    """A score of one system, or the difference of two; statistics by source, as `linearised` takes them."""

    name: str
    metric: type[Metric]
    systems: Sequence[Array]
    sizes: Array

    def scores(self, weights: Array) -> tuple[Array, Array]:
        """See `linearised`."""
        return linearised(self.metric, self.systems, self.sizes, weights)

    def drawn(self, sources: NDArray[np.intp]) -> Measure:
        """The same of some of its sources, which may repeat."""
        return Measure(self.name, self.metric, [one[sources] for one in self.systems], self.sizes[sources])


@dataclass(frozen=True)
class Draw:
    """What the methods know of a draw of sources: its scores and those of its resamples."""

    measure: Measure
    weights: Array

    @cached_property
    def all(self) -> tuple[Array, Array]:
        """Scores and errors, the draw's own first."""
        return self.measure.scores(self.weights)

    @property
    def score(self) -> float:
        """The draw's own."""
        return float(self.all[0][0])

    @property
    def error(self) -> float:
        """The draw's own, for its number of sources."""
        count = self.weights.shape[1]
        return float(self.all[1][0] * np.sqrt(count / (count - 1)))


def percentile(draw: Draw) -> Bounds:
    """Efron 1981."""
    return bounds(draw.all[0][1:]) or (np.nan, np.nan)


def basic(draw: Draw) -> Bounds:
    """The percentiles, reflected at the score."""
    low, high = percentile(draw)
    return 2 * draw.score - high, 2 * draw.score - low


def bca(draw: Draw) -> Bounds:
    """Bias-corrected and accelerated, Efron 1987."""
    values = draw.all[0][1:]
    below = ((values < draw.score).mean() + (values <= draw.score).mean()) / 2
    without = draw.measure.scores(1 - np.eye(draw.weights.shape[1]))[0]
    gaps = without.mean() - without
    spread = 6 * (gaps**2).sum() ** 1.5
    acceleration = (gaps**3).sum() / spread if spread else 0.0
    bias = stats.norm.ppf(np.clip(below, 1 / len(values), 1 - 1 / len(values)))
    moved = bias + stats.norm.ppf(TAILS)
    low, high = np.quantile(values, stats.norm.cdf(bias + moved / (1 - acceleration * moved)))
    return float(low), float(high)


def student_t(draw: Draw) -> Bounds:
    """Student's t with one degree of freedom less than sources."""
    reach = stats.t.ppf(TAILS[1], draw.weights.shape[1] - 1) * draw.error
    return draw.score - reach, draw.score + reach


def equal_tailed(draw: Draw) -> Bounds:
    """The bootstrap-t with a tail of the same share on each side, Efron 1981."""
    scores, errors = draw.all
    with np.errstate(divide="ignore", invalid="ignore"):
        studentised = (scores[1:] - scores[0]) / np.where(errors[1:] < 1e-6, 0.0, errors[1:])
    low, high = np.quantile(studentised[~np.isnan(studentised)], TAILS, method="inverted_cdf") * errors[0]
    return float(scores[0] - high), float(scores[0] - low)


def ours(draw: Draw) -> Bounds:
    """That of the package."""
    return bootstrap_t(*draw.all) or (np.nan, np.nan)


METHODS: dict[str, Callable[[Draw], Bounds]] = {
    "percentile": percentile,
    "basic": basic,
    "BCa": bca,
    "Student's t": student_t,
    "bootstrap-t": equal_tailed,
    METHOD: ours,
}


def measures(shared: Path) -> Iterator[Measure]:
    """Two means over the references, then the scores of predictions and of baselines."""
    dataset = load(str(shared / "data" / "microg4m" / "vqa_and_captioning.json"))
    captions, questions = (items_of(TASKS[task], dataset.clips) for task in FILES)
    words = [len(item.reference.split()) / 100 for item in captions]
    unanswerable = [float(is_unanswerable(item.reference)) for item in questions]
    for name, items, values in (
        ("words a caption", captions, words),
        ("unanswerable questions, %", questions, unanswerable),
    ):
        clusters = Clusters.of([item.request.source for item in items])
        yield Measure(name, MEAN, [clusters.sums(np.array(values)[:, None])], clusters.sizes())
    scored = {task: _scored(task, dataset, shared) for task in FILES}
    for task, metric, systems in SCORED:
        clusters, statistics = scored[task]
        sums = [clusters.sums(statistics[system][metric]) for system in systems]
        name = f"{metric} of {TASKS[task].title.lower()}, {' − '.join(systems)}"
        yield Measure(name, METRICS[metric], sums, clusters.sizes())


def _scored(task: TaskName, dataset: Dataset, shared: Path) -> tuple[Clusters, dict[str, dict[str, Array]]]:
    """The statistics of each metric, by system."""
    items = items_of(TASKS[task], dataset.clips)
    predictions = read_predictions(shared / "data" / "oracle" / "full" / FILES[task], task, items)
    answers = {EDITED: predictions.answers}
    for name in (BLIND, CONSTANT):
        (folder,) = shipped("results/submissions").glob(f"{name}-{task}-*")
        answers[name] = {key: one.answer for key, one in load_submission(folder).answers.items()}
    metrics = tuple(dict.fromkeys(metric for own, metric, _ in SCORED if own == task))
    sets = [AnswerSet(task, items, own) for own in answers.values()]
    found = evaluate_sets(sets, ScoringOptions(metrics=metrics))
    statistics = [one.statistics() for one in found]
    systems = {name: dict(one.metrics) for name, one in zip(answers, statistics, strict=True)}
    return Clusters.of(statistics[0].sources), systems


def coverage(measure: Measure, sources: int, draws: int) -> Covered:
    """The share of draws whose interval holds the true score, and the widths, by method."""
    generator = np.random.default_rng(sources)
    truth = float(measure.scores(np.ones((1, len(measure.sizes))))[0][0])
    held: dict[str, list[bool]] = {name: [] for name in METHODS}
    widths: dict[str, list[float]] = {name: [] for name in METHODS}
    for number in range(draws):
        own = measure.drawn(generator.integers(0, len(measure.sizes), sources))
        draw = Draw(own, with_sample(resample(sources, RESAMPLES, seed=number)))
        for name, method in METHODS.items():
            low, high = method(draw)
            held[name].append(low - 1e-9 <= truth <= high + 1e-9)
            widths[name].append(high - low)
    return {name: (float(np.mean(held[name])), np.array(widths[name])) for name in METHODS}


def _width(found: Iterable[Covered], method: str) -> float:
    """The median over draws and measures of the width, that of the percentile interval being 1."""
    return float(np.median([own[method][1] / own["percentile"][1] for own in found]))


def main() -> int:
    """Print a table for each number of sources."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--sources", type=int, nargs="+", default=[7, 18])
    given = parser.parse_args()
    every = list(measures(given.shared))
    for sources in given.sources:
        found = {one.name: coverage(one, sources, given.draws) for one in every}
        rows = [[name, *(f"{own[method][0]:.2f}" for method in METHODS)] for name, own in found.items()]
        for name, summary in (("mean", np.mean), ("lowest", np.min)):
            shares = [summary([own[method][0] for own in found.values()]) for method in METHODS]
            rows.append([name, *(f"{one:.2f}" for one in shares)])
        rows.append(["width", *(f"{_width(found.values(), method):.2f}" for method in METHODS)])
        print("\n".join(table([f"{sources} source videos", *METHODS], rows, "l" + "r" * len(METHODS))), "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
