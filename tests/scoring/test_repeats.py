"""Variance within a model and between clips, compared with a plain computation and with what is known."""

import numpy as np
import pytest

from microg_bench.metrics import METRICS
from microg_bench.metrics.base import MeanMetric
from microg_bench.metrics.texts import Texts
from microg_bench.scoring.intervals import Clusters, interval, resample, with_sample
from microg_bench.scoring.repeats import repeated_score


class Given(MeanMetric):
    """The mean of values that a test gives."""

    name = "Given"

    def measure(self, texts: Texts) -> np.ndarray:
        """Is not called."""
        raise NotImplementedError


def drawn(between: float, within: float, repeats: int, clusters: int = 60, each: int = 10) -> np.ndarray:
    """Values, shape (repeats, items, 1): of each cluster one, and of each repeat of an item one."""
    generator = np.random.default_rng(3)
    shared = np.repeat(generator.normal(0.5, between, clusters), each)
    return (shared + generator.normal(0, within, (repeats, clusters * each)))[:, :, None]


def grouped(clusters: int = 60, each: int = 10) -> Clusters:
    return Clusters.of([f"{number:02}" for number in range(clusters) for _ in range(each)])


def test_the_variances_are_those_of_a_plain_computation() -> None:
    values, clusters = drawn(0.1, 0.2, 4), grouped()
    found = repeated_score(Given, list(values), clusters)
    scores = 100 * values.mean(axis=(1, 2))
    assert found.scores == pytest.approx(tuple(scores))
    assert found.mean == pytest.approx(scores.mean())
    assert found.within == pytest.approx(scores.std(ddof=1))
    means = values.mean(axis=0).reshape(60, 10).sum(axis=1)
    error2 = (((100 * means - found.mean * 10) / 600) ** 2).sum()
    assert found.between == pytest.approx(np.sqrt(error2 - found.within**2 / 4), rel=1e-4)


@pytest.mark.parametrize(("name", "columns"), [("CIDEr", 1), ("ROUGE-L", 1), ("BLEU-4", 10)])
def test_equal_repeats_are_one_run(name: str, columns: int) -> None:
    rows = np.abs(np.random.default_rng(0).normal(3, 1, (40, columns)))
    clusters = Clusters.of([f"{k % 8}" for k in range(40)])
    found = repeated_score(METRICS[name], [rows] * 3, clusters)
    alone = interval(METRICS[name], rows, clusters, with_sample(resample(8)))
    assert found.within == 0
    assert found.mean == pytest.approx(METRICS[name].aggregate(rows))
    assert alone is not None
    assert found.interval == pytest.approx(alone)


def test_chance_within_is_told_from_clips() -> None:
    clusters = grouped()
    clips = repeated_score(Given, list(drawn(0.1, 0.0, 5)), clusters)
    chance = repeated_score(Given, list(drawn(0.0, 0.3, 5)), clusters)
    assert clips.within == pytest.approx(0)
    assert clips.between == pytest.approx(100 * 0.1 / np.sqrt(60), rel=0.3)
    assert chance.between is not None
    assert chance.between < chance.within
    # More repeats make the interval of the mean narrower where it is all chance, not where it is all clips.
    for between, within, narrower in ((0.0, 0.3, True), (0.1, 0.0, False)):
        few, many = (
            repeated_score(Given, list(drawn(between, within, repeats)), clusters).interval
            for repeats in (2, 20)
        )
        assert few is not None
        assert many is not None
        assert (many[1] - many[0] < 0.6 * (few[1] - few[0])) == narrower


@pytest.mark.parametrize("by_item", [False, True])
def test_known_variances_are_found_and_the_interval_holds_the_true_mean(by_item: bool) -> None:
    generator, clusters, times = np.random.default_rng(5), grouped(20), 60
    within, between, held = 0.0, 0.0, 0
    for _ in range(times):
        clips = np.repeat(generator.normal(0.5, 0.05, 20), 10)
        values = clips + generator.normal(0, 0.3, (3, 200))
        found = repeated_score(Given, list(values[:, :, None]), clusters, by_item)
        assert found.interval is not None
        within += found.within**2 / times
        between += (found.between or 0.0) ** 2 / times
        held += found.interval[0] <= 50 <= found.interval[1]
    assert np.sqrt(within) == pytest.approx(100 * 0.3 / np.sqrt(200), rel=0.15)
    assert np.sqrt(between) == pytest.approx(100 * 0.05 / np.sqrt(20), rel=0.25)
    assert held >= 0.88 * times


def test_one_source_video_has_no_interval() -> None:
    found = repeated_score(Given, list(drawn(0.0, 0.1, 3, clusters=1)), grouped(clusters=1))
    assert (found.interval, found.between) == (None, None)
    assert found.within > 0
