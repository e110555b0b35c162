"""Kendall's tau-b and its interval, compared with scipy on the sample and on resamples written out."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from microg_bench.errors import DataError
from microg_bench.scoring.intervals import Clusters, resample
from microg_bench.scoring.rank_correlation import kendall_tau_b

GENERATOR = np.random.default_rng(3)


@pytest.mark.parametrize("levels", [2, 3, 50])
@pytest.mark.parametrize("count", [2, 9, 120])
def test_tau_is_that_of_scipy(levels: int, count: int) -> None:
    x, y = (GENERATOR.integers(0, levels, count).astype(float) for _ in range(2))
    x[0], y[0], x[1], y[1] = 0, 0, 1, 1
    y += 0.3 * x
    found = kendall_tau_b(x, y, Clusters.of([str(k) for k in range(count)]))
    assert found.tau == pytest.approx(kendalltau(x, y).statistic)


def test_the_interval_is_that_of_resamples_written_out() -> None:
    x = GENERATOR.integers(0, 3, 40).astype(float)
    y = x + GENERATOR.normal(size=40)
    clusters = Clusters.of([str(k % 7) for k in range(40)])
    found = kendall_tau_b(x, y, clusters, resamples=60)
    taus = []
    for drawn in resample(7, 60):
        rows = np.repeat(np.arange(40), drawn[clusters.member].astype(int))
        taus.append(kendalltau(x[rows], y[rows]).statistic)
    assert found.interval == pytest.approx(tuple(np.nanpercentile(taus, [2.5, 97.5])))


def test_where_nothing_differs_there_is_no_tau() -> None:
    ones, clusters = np.ones(5), Clusters.of(list("aabbc"))
    assert kendall_tau_b(ones, np.arange(5.0), clusters).tau is None
    assert kendall_tau_b(ones[:1], ones[:1], Clusters.of(["a"])).tau is None
    single = kendall_tau_b(np.arange(5.0), np.arange(5.0), Clusters.of(["a"] * 5))
    assert (single.tau, single.interval) == (1.0, None)
    with pytest.raises(DataError, match="too many"):
        kendall_tau_b(np.ones(5000), np.ones(5000), Clusters.of(["a"] * 5000))
