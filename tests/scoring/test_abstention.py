"""What the confidence in answers is worth, against plain counts."""

import numpy as np
import pytest

from microg_bench.abstention import BINS, RIGHT_FROM
from microg_bench.metrics.base import Array
from microg_bench.scoring.abstention import calibration_error, confidence_in, risks
from microg_bench.scoring.intervals import Clusters, ratio, resample, with_sample


def clusters(items: int, count: int = 12) -> Clusters:
    return Clusters.of([str(k % count) for k in range(items)])


def test_risk_is_the_share_of_wrong_answers_so_far() -> None:
    confidence = np.array([0.9, 0.8, 0.7, 0.6])
    right = np.array([True, False, True, False])
    assert risks(confidence, right) == pytest.approx([0, 1 / 2, 1 / 3, 2 / 4])


def test_answers_of_the_same_confidence_have_the_mean_risk_of_their_orders() -> None:
    generator = np.random.default_rng(0)
    confidence = np.array([0.9, 0.5, 0.5, 0.5, 0.5, 0.1])
    right = np.array([True, True, False, False, True, False])
    found = []
    for _ in range(4000):
        middle = generator.permutation(4) + 1
        order = np.concatenate([[0], middle, [5]])
        found.append(np.cumsum(~right[order]) / np.arange(1, 7))
    assert risks(confidence, right) == pytest.approx(np.mean(found, axis=0), abs=0.01)


def test_the_calibration_error_is_that_of_bins_of_equal_size() -> None:
    confidence = np.linspace(1, 0, 40)
    right = np.random.default_rng(1).random(40) < 0.5
    bins = zip(np.split(confidence, 10), np.split(right, 10), strict=True)
    expected = np.mean([abs(one.mean() - other.mean()) for one, other in bins])
    assert calibration_error(confidence, right, 10) == pytest.approx(expected)
    assert calibration_error(np.array([1.0, 0.25]), np.array([True, True])) == pytest.approx(0.375)
    assert calibration_error(np.ones(7), np.ones(7, dtype=bool)) == 0


def logprobs(items: int, seed: int = 0) -> Array:
    return np.log(np.random.default_rng(seed).random(items))


def test_a_model_that_knows_what_it_knows_has_a_small_area() -> None:
    items = 240
    sure = logprobs(items)
    rouge = np.where(np.exp(sure) > 0.5, RIGHT_FROM, RIGHT_FROM - 0.01)
    other = np.random.default_rng(1).permutation(rouge)
    knows, guesses = (confidence_in(sure, one, clusters(items)) for one in (rouge, other))
    assert knows.right.value == guesses.right.value
    assert knows.right.value == np.mean(np.exp(sure) > 0.5)
    assert knows.area.value < 0.2 < 0.4 < guesses.area.value
    assert knows.risk_coverage[0] == (0.05, 0.0)
    assert knows.risk_coverage[-1] == (1.0, pytest.approx(1 - knows.right.value))
    assert len(knows.risk_coverage) == 20 and knows.items == items and knows.bins == BINS
    for share in (knows.area, knows.calibration_error, knows.right):
        assert share.interval is not None
        assert share.interval[0] <= share.interval[1]


def test_the_area_does_not_depend_on_the_order_of_the_items() -> None:
    sure, rouge, order = logprobs(60), 100 * np.exp(logprobs(60, 3)), np.random.default_rng(2).permutation(60)
    member = clusters(60).member
    one = confidence_in(sure, rouge, Clusters.of(member))
    other = confidence_in(sure[order], rouge[order], Clusters.of(member[order]))
    assert one.risk_coverage == other.risk_coverage
    for share, again in ((one.area, other.area), (one.calibration_error, other.calibration_error)):
        assert share.value == pytest.approx(again.value)
        assert share.interval == pytest.approx(again.interval)


@pytest.mark.parametrize("sources", [2, 5])
def test_area_and_error_are_those_of_the_answers_and_of_their_resamples(sources: int) -> None:
    sure, rouge, owners = logprobs(40), 100 * np.exp(logprobs(40, 3)), clusters(40, sources)
    found = confidence_in(sure, rouge, owners)
    order = np.argsort(-sure)
    told = []
    for drawn in with_sample(resample(sources)):
        rows = [row for row in order for _ in range(int(drawn[owners.member[row]]))]
        confidence, right = np.exp(sure[rows]), rouge[rows] >= RIGHT_FROM
        told.append((risks(confidence, right).mean(), calibration_error(confidence, right)))
    for share, column in zip((found.area, found.calibration_error), np.transpose(told), strict=True):
        assert share.value == pytest.approx(column[0])
        assert share.interval == pytest.approx(np.percentile(column[1:], [2.5, 97.5]))


def test_one_source_video_gives_no_interval() -> None:
    found = confidence_in(logprobs(3), np.array([0.0, 60.0, 100.0]), clusters(3, 1))
    assert (found.area.interval, found.calibration_error.interval, found.right.interval) == (None, None, None)
    assert len(found.risk_coverage) == 3


def test_a_ratio_of_sums_has_an_interval_over_the_clusters() -> None:
    generator = np.random.default_rng(4)
    below = generator.random(200) < 0.5
    above = below & (generator.random(200) < 0.7)
    weights = with_sample(resample(12))
    value, within = ratio(above, below, clusters(200), weights)
    assert value == above.sum() / below.sum()
    assert within is not None and within[0] < value < within[1]
    nothing, bounds = ratio(np.zeros(200), np.zeros(200), clusters(200), weights)
    assert np.isnan(nothing) and bounds is None
