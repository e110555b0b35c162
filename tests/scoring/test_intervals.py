import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from microg_bench.metrics import METRICS, score
from microg_bench.metrics.base import MeanMetric
from microg_bench.scoring.intervals import Clusters, bounds, holm, interval, paired, resample

NORMAL = np.random.default_rng(7)


def column(values: object) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)[:, None]


def test_the_interval_of_a_mean_is_scipys_bootstrap() -> None:
    values = NORMAL.normal(0.5, 0.1, size=200)
    clusters = Clusters.of([str(n) for n in range(200)])
    ours = interval(MeanMetric, column(values), clusters, resample(200, 20_000))
    theirs = scipy_stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    assert ours is not None
    assert ours[0] == pytest.approx(100 * theirs.low, abs=0.05)
    assert ours[1] == pytest.approx(100 * theirs.high, abs=0.05)


def test_items_that_agree_within_a_source_widen_the_interval() -> None:
    effect = np.repeat(NORMAL.normal(0.5, 0.1, size=10), 30)
    values = column(effect + NORMAL.normal(0, 0.01, size=300))
    by_clip = Clusters.of([str(n) for n in range(300)])
    by_source = Clusters.of([str(n // 30) for n in range(300)])
    narrow = interval(MeanMetric, values, by_clip, resample(300))
    wide = interval(MeanMetric, values, by_source, resample(10))
    assert narrow is not None
    assert wide is not None
    assert wide[1] - wide[0] > 3 * (narrow[1] - narrow[0])


@pytest.mark.parametrize("name", ["CIDEr", "BLEU-4", "ROUGE-L"])
def test_a_resample_scores_as_its_items_would(name: str) -> None:
    """The weights of a resample are applied to real statistics and compared with repeating the rows."""
    words = [
        "a red pen floats",
        "the crew smiles at the camera",
        "a man turns",
        "tools float in the air",
        "no",
    ]
    found = score(words[::-1], words, (name,))[name]
    statistics = found.statistics  # type: ignore[union-attr]
    clusters = Clusters.of(["x", "y", "x", "z", "y"])
    weights = resample(clusters.count, 5)
    fast = METRICS[name].combine(weights @ clusters.sums(statistics), weights @ clusters.sizes())
    for drawn, value in zip(weights, np.asarray(fast), strict=True):
        rows = np.repeat(np.arange(5), drawn[clusters.member].astype(int))
        assert value == pytest.approx(METRICS[name].aggregate(statistics[rows]))


def test_one_cluster_gives_no_interval() -> None:
    clusters = Clusters.of(["a", "a"])
    assert interval(MeanMetric, column([0.1, 0.2]), clusters, resample(1)) is None
    found = paired(MeanMetric, column([0.1, 0.2]), column([0.2, 0.3]), clusters)
    assert (found.value, found.low, found.p) == (pytest.approx(-10), None, None)


def test_the_same_system_is_not_different_from_itself() -> None:
    values = column(NORMAL.random(50))
    found = paired(MeanMetric, values, values, Clusters.of([str(n % 10) for n in range(50)]))
    assert (found.value, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


def test_the_p_value_is_scipys_permutation_test() -> None:
    first = NORMAL.normal(0.52, 0.1, size=30)
    second = first - NORMAL.normal(0.02, 0.06, size=30)
    found = paired(
        MeanMetric, column(first), column(second), Clusters.of([str(n) for n in range(30)]), 20_000
    )
    theirs = scipy_stats.permutation_test(
        (first, second),
        lambda a, b, axis: np.mean(a, axis=axis) - np.mean(b, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20_000,
        rng=np.random.default_rng(0),
    )
    assert found.p == pytest.approx(theirs.pvalue, abs=0.01)
    assert found.value == pytest.approx(100 * theirs.statistic)


def test_holm_steps_down() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(values: list[float]) -> None:
    corrected = holm(values)
    assert all(after >= before for before, after in zip(values, corrected, strict=True))
    ranked = [corrected[k] for k in sorted(range(len(values)), key=lambda k: values[k])]
    assert ranked == sorted(ranked)


def test_the_same_seed_gives_the_same_resamples() -> None:
    assert (resample(5, 10, seed=1) == resample(5, 10, seed=1)).all()
    assert (resample(5, 10).sum(axis=1) == 5).all()


def test_bounds_are_percentiles_of_what_is_defined() -> None:
    values = NORMAL.normal(size=101)
    expected = tuple(np.percentile(values, [2.5, 97.5]))
    assert bounds(values) == expected
    assert bounds(np.append(values, np.nan)) == expected
    assert bounds(values, level=0.5) == tuple(np.percentile(values, [25, 75]))
    assert bounds(np.array([np.nan])) is None
    assert bounds(np.array([])) is None
