"""What the confidence of a model in its answers is worth: risk over coverage, and calibration."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from microg_bench.abstention import BINS, RIGHT_FROM, Confidence, Share
from microg_bench.metrics.base import Array
from microg_bench.scoring.intervals import Clusters, bounds, ratio, resample, with_sample

POINTS = 20  # of the curve, at equal steps of coverage
Flags = NDArray[np.bool_]


def confidence_in(logprobs: Array, rouge: Array, clusters: Clusters) -> Confidence:
    """What the confidence in answers is worth.

    Area and error are no functions of sums over items: their intervals are percentiles over resampled
    clusters.

    Args:
        logprobs: natural logarithms of the probabilities of the answers, shape (n,), n at least 1.
        rouge: their ROUGE-L with the reference, ×100.
        clusters: the items' clusters.
    """
    weights = with_sample(resample(clusters.count))
    order = np.argsort(-logprobs, kind="stable")
    confidence, right = np.exp(logprobs[order]), rouge[order] >= RIGHT_FROM
    member, count = clusters.member[order], len(order)
    found = np.empty((len(weights), 2))
    for place, drawn in enumerate(weights.astype(np.intp)):
        rows = np.repeat(np.arange(count), drawn[member])
        area = risks(confidence[rows], right[rows]).mean()
        found[place] = area, calibration_error(confidence[rows], right[rows])
    area, error = (
        Share(value=float(column[0]), interval=bounds(column[1:]) if clusters.count > 1 else None)
        for column in found.T
    )
    risk = risks(confidence, right)
    kept = np.unique(np.ceil(np.arange(1, POINTS + 1) / POINTS * count).astype(int))
    share, within = ratio(rouge >= RIGHT_FROM, np.ones(count), clusters, weights)
    return Confidence(
        items=count,
        right=Share(value=share, interval=within),
        right_from=RIGHT_FROM,
        risk_coverage=tuple((float(k / count), float(risk[k - 1])) for k in kept),
        area=area,
        bins=BINS,
        calibration_error=error,
    )


def risks(confidence: Array, right: Flags) -> Array:
    """The share of wrong answers among the first 1, 2, ..., n, shape (n,).

    Where answers have the same confidence, the mean over all of their orders.

    Args:
        confidence: in each answer, the highest first, shape (n,).
        right: whether each is right.
    """
    _, starts, counts = np.unique(-confidence, return_index=True, return_counts=True)
    wrong = np.add.reduceat(1.0 - right, starts) / counts
    risk: Array = np.cumsum(np.repeat(wrong, counts)) / np.arange(1, len(right) + 1)
    return risk


def calibration_error(confidence: Array, right: Flags, bins: int = BINS) -> float:
    """The mean distance of confidence from the share of right answers, over bins of equal numbers of answers.

    Bins follow the order of the answers. Fewer answers than bins are a bin each.

    Args:
        confidence: in each answer, sorted, shape (n,).
        right: whether each is right.
        bins: how many.
    """
    edges = np.unique(np.linspace(0, len(right), bins + 1).astype(int))
    gaps = np.add.reduceat(confidence - right, edges[:-1])
    return float(np.abs(gaps).sum() / len(right))
