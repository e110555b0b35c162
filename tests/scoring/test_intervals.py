from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from microg_bench.metrics import METRICS, score
from microg_bench.scoring import intervals
from microg_bench.scoring.intervals import (
    Clusters,
    bootstrap_t,
    bounds,
    exchanges,
    holm,
    interval,
    linearised,
    paired,
    paired_all,
    resample,
    smallest_corrected,
    smallest_p,
    tries_of,
    with_sample,
)

NORMAL = np.random.default_rng(7)
MEAN = METRICS["ROUGE-L"]


def column(values: object) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)[:, None]


def alone(count: int) -> Clusters:
    """Clusters of one item each."""
    return Clusters.of([f"{number:04}" for number in range(count)])


def weights(clusters: int, resamples: int = 1000) -> np.ndarray:
    return with_sample(resample(clusters, resamples))


def test_the_interval_of_a_mean_is_that_of_scipys_resamples() -> None:
    """Of items that are no clusters: scipy draws the studentised means, their quantile is the reach."""
    values = NORMAL.exponential(0.2, size=40)
    ours = interval(MEAN, column(values), alone(40), weights(40, 20_000))
    error = values.std() / np.sqrt(40)

    def distance(drawn: np.ndarray, axis: int) -> np.ndarray:
        gap = np.abs(drawn.mean(axis=axis) - values.mean())
        return np.asarray(gap / (drawn.std(axis=axis) / np.sqrt(40)))

    drawn = scipy_stats.bootstrap(
        (values,), distance, n_resamples=20_000, method="percentile", rng=np.random.default_rng(0)
    ).bootstrap_distribution
    reach = np.quantile(drawn, 0.95) * error
    assert ours == pytest.approx((100 * (values.mean() - reach), 100 * (values.mean() + reach)), abs=0.15)


def test_the_percentiles_of_resampled_means_are_scipys_bootstrap() -> None:
    values = NORMAL.normal(0.5, 0.1, size=200)
    scores, _ = linearised(MEAN, [column(values)], np.ones(200), resample(200, 20_000))
    theirs = scipy_stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    assert bounds(scores) == pytest.approx((100 * theirs.low, 100 * theirs.high), abs=0.05)


def test_the_error_of_a_mean_over_uneven_clusters_is_that_of_a_ratio() -> None:
    sizes = np.array([3.0, 50.0, 7.0, 20.0])
    sums = sizes * NORMAL.random(4)
    drawn = np.array([[1, 1, 1, 1], [2, 0, 1, 1], [0, 0, 4, 0]], dtype=np.float64)
    scores, errors = linearised(MEAN, [sums[:, None]], sizes, drawn)
    for weight, found, error in zip(drawn, scores, errors, strict=True):
        ratio = weight @ sums / (weight @ sizes)
        assert found == pytest.approx(100 * ratio)
        expected = 100 * np.sqrt(weight @ (sums - ratio * sizes) ** 2) / (weight @ sizes)
        assert error == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("name", ["BLEU-4", "METEOR"])
def test_the_error_of_other_scores_is_near_that_of_the_jackknife(name: str) -> None:
    count, width = 400, {"BLEU-4": 10, "METEOR": 23}[name]
    most = NORMAL.integers(8, 15, size=(count, 1))
    sums = np.sort(NORMAL.integers(1, most, size=(count, width)), axis=1)[:, ::-1].astype(np.float64)
    if name == "BLEU-4":  # as many n-grams matched as there are, at most
        sums[:, 6:10], sums[:, 2:6] = sums[:, 2:6].copy(), sums[:, 6:10].copy()
    sizes = np.ones(count)
    _, (error, gap) = linearised(METRICS[name], [sums], sizes, np.ones((2, count)))
    without, _ = linearised(METRICS[name], [sums], sizes, 1 - np.eye(count))
    assert error == gap > 0.01
    assert error == pytest.approx(np.sqrt(((without - without.mean()) ** 2).sum()), rel=0.02)


def test_the_error_of_a_difference_is_that_of_the_differences() -> None:
    first, second = NORMAL.random(30), NORMAL.random(30)
    _, (error,) = linearised(MEAN, [column(first), column(second)], np.ones(30), np.ones((1, 30)))
    assert error == pytest.approx(100 * (first - second).std() / np.sqrt(30))


def test_items_that_agree_within_a_source_widen_the_interval() -> None:
    effect = np.repeat(NORMAL.normal(0.5, 0.1, size=10), 30)
    values = column(effect + NORMAL.normal(0, 0.01, size=300))
    by_clip = Clusters.of([str(n) for n in range(300)])
    by_source = Clusters.of([str(n // 30) for n in range(300)])
    narrow = interval(MEAN, values, by_clip, weights(300))
    wide = interval(MEAN, values, by_source, weights(10))
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
    some = resample(clusters.count, 5)
    fast, _ = linearised(METRICS[name], [clusters.sums(statistics)], clusters.sizes(), some)
    for drawn, value in zip(some, fast, strict=True):
        rows = np.repeat(np.arange(5), drawn[clusters.member].astype(int))
        assert value == pytest.approx(METRICS[name].aggregate(statistics[rows]))


def test_one_cluster_gives_no_interval() -> None:
    clusters = Clusters.of(["a", "a"])
    assert interval(MEAN, column([0.1, 0.2]), clusters, weights(1)) is None
    found = paired(MEAN, column([0.1, 0.2]), column([0.2, 0.3]), clusters)
    assert (found.value, found.interval, found.p) == (pytest.approx(-10), None, None)


@pytest.mark.parametrize("count", [2, 3])
def test_so_few_clusters_that_many_resamples_have_only_one_give_no_interval(count: int) -> None:
    values = NORMAL.random((2, count))
    assert interval(MEAN, column(values[0]), alone(count), weights(count)) is None
    found = paired(MEAN, column(values[0]), column(values[1]), alone(count))
    assert (found.interval, found.p is None) == (None, False)


def test_clusters_that_score_alike_give_an_interval_without_width() -> None:
    clusters = Clusters.of(["a", "b", "b", "c"])
    for value in (0.0, 0.3, 1.0):
        found = interval(MEAN, column([value] * 4), clusters, weights(3))
        assert found == pytest.approx((100 * value, 100 * value))
    assert interval(MEAN, column([0.3, 0.3]), alone(2), weights(2)) == pytest.approx((30, 30))


def test_an_interval_holds_no_impossible_score() -> None:
    values = np.array([0.01, 0.02, 0.03, 0.05, 0.06, 0.2])
    low = interval(MEAN, column(values), alone(6), weights(6))
    high = interval(MEAN, column(1 - values), alone(6), weights(6))
    assert low is not None
    assert high is not None
    assert low[0] == 0.0 < 100 * values.mean() < low[1] < 100.0
    assert high == pytest.approx((100 - low[1], 100.0))


def test_a_resample_without_error_is_infinitely_far() -> None:
    scores = np.append(50.0, NORMAL.normal(50, 1, size=100))
    errors = np.full(101, 1.0)
    errors[1:5] = 1e-9
    found = bootstrap_t(scores, errors)
    assert found is not None
    assert np.isfinite(found).all()
    errors[1:8] = 0.0
    assert bootstrap_t(scores, errors) == (-np.inf, np.inf)


def test_nan_scores_do_not_count() -> None:
    scores = np.append(50.0, NORMAL.normal(50, 1, size=100))
    errors = np.ones(101)
    with_nan = np.append(scores, [np.nan] * 20), np.append(errors, [np.nan] * 20)
    assert bootstrap_t(*with_nan) == bootstrap_t(scores, errors)
    assert bootstrap_t(np.append(50.0, [np.nan] * 20), np.ones(21)) == (-np.inf, np.inf)
    assert bootstrap_t(np.append(np.nan, scores), np.append(1.0, errors)) is None

    values = np.append(NORMAL.random(9), np.nan)
    assert interval(MEAN, column(values), alone(10), weights(10)) is None
    found = paired(MEAN, column(values), column(NORMAL.random(10)), alone(10))
    assert np.isnan(found.value)
    assert (found.interval, found.p) == (None, None)


def test_the_same_system_is_not_different_from_itself() -> None:
    values = column(NORMAL.random(50))
    found = paired(MEAN, values, values, Clusters.of([str(n % 10) for n in range(50)]))
    assert (found.value, found.interval, found.p) == (0.0, (0.0, 0.0), 1.0)


@pytest.mark.parametrize("count", range(2, 13))
def test_few_clusters_that_all_differ_the_same_way_have_the_exact_p(count: int) -> None:
    found = paired(MEAN, column([0.5] * count), column([0.3] * count), alone(count))
    assert found.p == 2 / 2**count == smallest_p(count)
    sizes = [number + 1 for number in range(count)]
    uneven = Clusters.of([str(number) for number in np.repeat(range(count), sizes)])
    first = column(0.5 + 0.1 * NORMAL.random(sum(sizes)))
    assert paired(MEAN, first, first - 0.2, uneven).p == 2 / 2**count


def test_more_clusters_have_random_exchanges_and_never_a_p_of_zero() -> None:
    found = paired(MEAN, column([0.5] * 40), column([0.3] * 40), alone(40), resamples=500)
    assert found.p == pytest.approx(1 / 501) == smallest_p(40, 500)


def test_the_exchanges_of_few_clusters_are_all_that_there_are() -> None:
    assert exchanges(12).shape == (4096, 12)
    assert len(np.unique(exchanges(12), axis=0)) == 4096
    assert exchanges(13, 50).shape == (51, 13)
    assert exchanges(13, 50)[0].all(), "the first exchanges nothing"
    assert (exchanges(13, 50, seed=3) == exchanges(13, 50, seed=3)).all()


def test_the_exact_p_value_is_scipys_permutation_test() -> None:
    first = NORMAL.normal(0.52, 0.1, size=10)
    second = first - NORMAL.normal(0.03, 0.06, size=10)
    found = paired(MEAN, column(first), column(second), alone(10))
    theirs = scipy_stats.permutation_test(
        (first, second),
        lambda a, b, axis: np.mean(a, axis=axis) - np.mean(b, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    )
    assert found.p == pytest.approx(theirs.pvalue, abs=1e-12)


def test_the_p_value_is_scipys_permutation_test() -> None:
    normal = np.random.default_rng(7)  # both draw exchanges, so the data must not depend on what ran before
    first = normal.normal(0.52, 0.1, size=30)
    second = first - normal.normal(0.02, 0.06, size=30)
    found = paired(MEAN, column(first), column(second), alone(30), 20_000)
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


def test_a_difference_that_is_shown_as_zero_is_none() -> None:
    """All of twelve sources score higher: by 1e-14 points, by less than can be seen, and by what is shown."""
    base = np.full(12, 0.2)
    found = [paired(MEAN, column(base + gap), column(base), alone(12)).p for gap in (1e-16, 4e-5, 6e-5)]
    assert found == [1.0, 1.0, smallest_p(12)]


@pytest.mark.parametrize(("clusters", "pairs", "least"), [(7, 10, 0.15625), (7, 1, 0.015625), (1, 1, 1.0)])
def test_the_smallest_p_after_the_correction(clusters: int, pairs: int, least: float) -> None:
    assert smallest_corrected(clusters, pairs) == least
    assert smallest_corrected(18, 780) < 0.025


def test_holm_steps_down() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == holm([0.9, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(values: list[float]) -> None:
    corrected = holm(values)
    assert all(after >= before for before, after in zip(values, corrected, strict=True))
    ranked = [corrected[k] for k in sorted(range(len(values)), key=lambda k: values[k])]
    assert ranked == sorted(ranked)


@pytest.mark.parametrize("name", ["CIDEr", "BLEU-4"])
def test_the_same_statistics_give_the_same_bytes(name: str) -> None:
    width = {"CIDEr": 1, "BLEU-4": 10}[name]
    rows, others = NORMAL.random((2, 90, width))
    clusters = Clusters.of([str(number % 9) for number in range(90)])
    again = [interval(METRICS[name], rows, clusters, weights(9)) for _ in range(2)]
    assert again[0] == again[1] is not None
    assert paired(METRICS[name], rows, others, clusters) == paired(METRICS[name], rows, others, clusters)


@pytest.mark.parametrize("count", [9, 30])
def test_all_pairs_of_systems_are_what_each_pair_is_alone(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    systems = list(NORMAL.random((4, 90, 10)))
    clusters = Clusters.of([str(number % count) for number in range(90)])
    alone = [paired(METRICS["BLEU-4"], *pair, clusters) for pair in combinations(systems, 2)]
    monkeypatch.setattr(intervals, "_NUMBERS", 7 * 4 * count)  # seven resamples at a time, some exchanges
    together = paired_all(METRICS["BLEU-4"], systems, clusters)
    for one, other in zip(together, alone, strict=True):
        assert (one.value, one.p, one.clusters) == (other.value, other.p, other.clusters)
        assert one.interval == pytest.approx(other.interval)


def test_of_many_pairs_so_many_exchanges_are_drawn_that_one_can_differ_after_the_correction() -> None:
    assert [tries_of(pairs) for pairs in (1, 25, 26, 780)] == [1000, 1000, 1040, 31_200]
    assert tries_of(3, 50) == 120
    assert smallest_p(18, tries_of(780)) * 780 < 0.025
    systems = [column(np.linspace(0, 0.01, 30) + 0.1 * (number // 5)) for number in range(10)]
    found = [one.p or 0.0 for one in paired_all(MEAN, systems, alone(30))]
    assert min(found) == 1 / 1801
    assert min(holm(found)) < 0.05


def test_a_single_cluster_has_differences_alone() -> None:
    systems = [column([0.5, 0.25]), column([0.25, 0.25]), column([0.0, 0.5])]
    found = paired_all(MEAN, systems, Clusters.of(["a", "a"]))
    assert [(one.interval, one.p) for one in found] == [(None, None)] * 3
    assert [one.value for one in found] == pytest.approx([12.5, 12.5, 0.0])


def test_the_same_seed_gives_the_same_resamples() -> None:
    assert (resample(5, 10, seed=1) == resample(5, 10, seed=1)).all()
    assert (resample(5, 10).sum(axis=1) == 5).all()


def test_numbers_that_nothing_else_is_said_of_are_from_1000_resamples_of_seed_0() -> None:
    assert (resample(9) == resample(9, 1000, seed=0)).all()
    assert (exchanges(13) == exchanges(13, 1000, seed=0)).all()
    assert smallest_p(13) == 1 / 1001
    rows, others = NORMAL.random((2, 60, 1))
    clusters = Clusters.of([str(number % 20) for number in range(60)])
    assert paired(MEAN, rows, others, clusters) == paired(MEAN, rows, others, clusters, 1000, seed=0)


def test_bounds_are_percentiles_of_what_is_defined() -> None:
    values = NORMAL.normal(size=101)
    expected = pytest.approx(tuple(np.percentile(values, [2.5, 97.5])))
    assert bounds(values) == expected
    assert bounds(np.append(values, np.nan)) == expected
    assert bounds(values, level=0.5) == tuple(np.percentile(values, [25, 75]))
    assert bounds(np.array([np.nan])) is None
    assert bounds(np.array([])) is None
