"""Shares with intervals and corrected rates, compared with scipy and with values of the authors' package."""

import pytest
from scipy.stats import binomtest

from microg_bench.scoring.rates import CorrectedRate, Proportion, corrected_rate


@pytest.mark.parametrize(("count", "of"), [(0, 1), (1, 1), (3, 7), (0, 20), (20, 20), (431, 997)])
@pytest.mark.parametrize("level", [0.5, 0.95])
def test_the_interval_of_a_share_is_that_of_scipy(count: int, of: int, level: float) -> None:
    wanted = binomtest(count, of).proportion_ci(confidence_level=level, method="wilson")
    assert Proportion(count, of).interval(level) == pytest.approx((wanted.low, wanted.high))


def test_of_nothing_there_is_no_share() -> None:
    assert Proportion(0, 0).value is None and Proportion(0, 0).interval() is None


# Shares, sizes and level, with the bounds that the package of the authors of arXiv 2511.21140 gives for them
# (llm_judge_reporting, commit 082884d, as recorded by the tests of llmJudgeReporting for R).
PUBLISHED = [
    ((0.4, 0.7, 0.9), (1000, 200, 200), 0.95, (0.05635072484160894, 0.2627330257859588)),
    ((0.5, 0.8, 0.8), (500, 100, 100), 0.95, (0.3799746588561528, 0.6200253411438469)),
    ((0.9, 0.6, 0.99), (10000, 1000, 1000), 0.99, (0.8273348478706124, 0.8686713102464316)),
    ((0.05, 0.9, 0.9), (1000, 200, 200), 0.95, (0.0, 0.0)),
    ((0.97, 0.9, 0.9), (1000, 200, 200), 0.95, (1.0, 1.0)),
    ((0.0, 1.0, 1.0), (50, 10, 10), 0.95, (0.0, 0.09568563633822108)),
    ((1.0, 1.0, 1.0), (50, 10, 10), 0.95, (0.9043143636617791, 1.0)),
]


@pytest.mark.parametrize(("shares", "sizes", "level", "wanted"), PUBLISHED)
def test_the_interval_of_a_corrected_rate_is_the_published_one(
    shares: tuple[float, float, float],
    sizes: tuple[int, int, int],
    level: float,
    wanted: tuple[float, float],
) -> None:
    judged, specificity, sensitivity = (
        Proportion(round(p * n), n) for p, n in zip(shares, sizes, strict=True)
    )
    found = corrected_rate(judged, specificity, sensitivity, level)
    assert found is not None and found.interval == pytest.approx(wanted, abs=1e-12)


def test_a_judge_without_errors_corrects_nothing() -> None:
    found = corrected_rate(Proportion(30, 100), Proportion(50, 50), Proportion(50, 50))
    assert found is not None and found.value == pytest.approx(0.3)
    assert found.interval[0] < 0.3 < found.interval[1]


def test_the_correction_undoes_known_errors() -> None:
    """Of 1,000 answers 600 are right: 540 are found, and 80 of the wrong ones are called right."""
    found = corrected_rate(Proportion(620, 1000), Proportion(80, 100), Proportion(90, 100))
    assert found is not None and found.value == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("judged", "specificity", "sensitivity"),
    [
        (Proportion(0, 0), Proportion(1, 1), Proportion(1, 1)),
        (Proportion(1, 2), Proportion(0, 0), Proportion(9, 10)),
        (Proportion(1, 2), Proportion(9, 10), Proportion(0, 0)),
        (Proportion(1, 2), Proportion(5, 10), Proportion(5, 10)),
        (Proportion(1, 2), Proportion(1, 10), Proportion(2, 10)),
    ],
)
def test_nothing_is_corrected_by_a_judge_that_tells_nothing(
    judged: Proportion, specificity: Proportion, sensitivity: Proportion
) -> None:
    assert corrected_rate(judged, specificity, sensitivity) is None


def test_a_rate_is_cut_to_what_is_possible() -> None:
    assert corrected_rate(Proportion(1, 100), Proportion(80, 100), Proportion(90, 100)) == CorrectedRate(
        0.0, (0.0, 0.0)
    )
