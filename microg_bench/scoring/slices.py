"""The intervals of slices, and whether they differ from the other items, from per-item statistics alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from microg_bench.metrics import METRICS, Score
from microg_bench.metrics.base import Array, Metric
from microg_bench.scoring.intervals import (
    BLOCK,
    EXACT,
    TIE,
    Clusters,
    exchanges,
    holm,
    influences,
    interval,
    resample,
    with_sample,
)
from microg_bench.slices import SMALLEST, SliceDifference
from microg_bench.tasks import Item

Places = NDArray[np.intp]
Key = tuple[str, str]  # kind and label of a slice
FLIPS = 9_999  # random ones: with them p can stay below 0.05 after a correction for 400 slices


@dataclass(frozen=True)
class LargeSlices:
    """The slices of `items` that have intervals and are compared, under the metrics of `scores`.

    `rows` are those of all slices, by kind and label; `keys` tells which are large.
    """

    items: Sequence[Item]
    rows: Mapping[Key, Places]
    keys: Sequence[Key]
    scores: Mapping[str, Score]

    def intervals(self, clusters: Clusters) -> dict[Key, dict[str, tuple[float, float]]]:
        """The intervals of each slice by metric, made as those of all items are."""
        return {key: self._intervals(clusters.member[self.rows[key]], self.rows[key]) for key in self.keys}

    def _intervals(self, member: Places, rows: Places) -> dict[str, tuple[float, float]]:
        own = Clusters.of(member)
        weights = with_sample(resample(own.count))
        found = {
            name: interval(METRICS[name], one.statistics[rows], own, weights)
            for name, one in self.scores.items()
        }
        return {name: bounds for name, bounds in found.items() if bounds is not None}

    def differences(self) -> dict[Key, dict[str, SliceDifference]]:
        """The differences from the other items of the kind, by metric; none where these are too few."""
        sources = Clusters.of([item.request.source for item in self.items])
        compared = (key for key in self.keys if key[0] != "source")
        sides = {key: both for key in compared if (both := self._sides(key)) is not None}
        found: dict[Key, dict[str, SliceDifference]] = {key: {} for key in sides}
        for name, score in self.scores.items() if sources.count > 1 else ():
            metric, statistics = METRICS[name], score.statistics
            values = {
                key: metric.aggregate(statistics[within]) - metric.aggregate(statistics[others])
                for key, (within, others) in sides.items()
            }
            known = [key for key, value in values.items() if np.isfinite(value)]
            parts = [contributions(metric, statistics, sources, *sides[key]) for key in known]
            p_values = flip_test(np.array(parts)) if parts else ()
            for key, p, corrected in zip(known, p_values, holm(list(p_values)), strict=True):
                found[key][name] = SliceDifference(value=values[key], p=p, corrected=corrected)
        return found

    def _sides(self, key: Key) -> tuple[Places, Places] | None:
        """The rows of a slice, and the others of its kind; None where these are too few."""
        kind = np.unique(np.concatenate([rows for other, rows in self.rows.items() if other[0] == key[0]]))
        others = np.setdiff1d(kind, self.rows[key], assume_unique=True)
        return (self.rows[key], others) if clips_of(self.items, others) >= SMALLEST else None


def clips_of(items: Sequence[Item], rows: Places) -> int:
    """How many clips these items are about."""
    return len({items[row].request.video_id for row in rows})


def contributions(
    metric: type[Metric], statistics: Array, sources: Clusters, within: Places, others: Places
) -> Array:
    """What each source adds to the difference between two groups of items, ×100, shape (sources,).

    An item adds its influence on the score of both groups together, divided by its group's share of the
    items; those of `others` count negatively. For a metric that is a mean the sum is the difference itself,
    for others it is its linear part.
    """
    rows = np.concatenate([within, others])
    shares = np.repeat([len(within), -len(others)], [len(within), len(others)]) / len(rows)
    added = influences(metric, statistics[rows]) / shares
    return np.bincount(sources.member[rows], added, minlength=sources.count).astype(np.float64)


def flip_test(found: Array, tries: int = FLIPS, seed: int = 0) -> list[float]:
    """Two-sided p-values of sums, by flipping the signs of what is summed.

    The test by sign flips of score contributions (Hemerik, Goeman and Finos 2020). Sources are flipped as
    wholes, all tests with the same flips. All flips are enumerated for up to 12 sources; above, none and
    `tries` random ones (Phipson and Smyth 2010).

    Args:
        found: what each source adds to each sum, shape (tests, sources).
        tries: how many random flips.
        seed: of these.
    """
    least = np.abs(found.sum(axis=1)) - TIE
    sources = found.shape[1]
    if sources <= EXACT:
        signs = 2 * exchanges(sources) - 1
        return [float(share) for share in (np.abs(signs @ found.T) >= least).mean(axis=0)]
    generator, reached = np.random.default_rng(seed), np.ones(len(found))
    for start in range(0, tries, BLOCK):
        signs = generator.choice([-1.0, 1.0], (min(BLOCK, tries - start), sources))
        reached += (np.abs(signs @ found.T) >= least).sum(axis=0)
    return [float(share) for share in reached / (1 + tries)]
