"""What other words do to scores, compared with sums by hand."""

from math import sqrt

import numpy as np
import pytest

from microg_bench.metrics import METRICS
from microg_bench.scoring.intervals import Clusters
from microg_bench.scoring.paraphrases import wording_effect
from microg_bench.scoring.repeats import item_variance, repeated_score
from tests.scoring.test_repeats import Given

# Four questions of two source videos in three wordings: only the first and the last change with the words.
VALUES = np.array([[0.9, 0.5, 0.2, 0.1], [0.6, 0.5, 0.2, 0.5], [0.3, 0.5, 0.2, 0.3]])
WORDINGS = [row[:, None] for row in VALUES]
SOURCES = Clusters.of(["a", "a", "b", "b"])


def test_the_variance_within_questions_is_that_of_sums_by_hand() -> None:
    # Sample variances of the questions: 0.09 (0.9, 0.6, 0.3), 0, 0 and 0.04 (0.1, 0.5, 0.3).
    assert item_variance(Given, WORDINGS) == pytest.approx(100**2 * (0.09 + 0.04) / 4**2)
    found = repeated_score(Given, WORDINGS, SOURCES, by_item=True)
    assert found.scores == pytest.approx((42.5, 45.0, 32.5))
    assert found.mean == pytest.approx(40.0)
    assert found.within == pytest.approx(100 * sqrt(0.13) / 4)
    # Means over wordings: 0.6 and 0.5 of source a, 0.2 and 0.3 of source b. Both sums are 0.3 from 2 × 0.4.
    error2 = 2 * (100 * 0.3 / 4) ** 2
    assert found.between == pytest.approx(sqrt(error2 - found.within**2 / 3), rel=1e-4)


def test_the_order_of_paraphrases_of_a_question_changes_no_variance() -> None:
    moved = VALUES.copy()
    moved[:, 0] = VALUES[[2, 0, 1], 0]
    one, other = (
        repeated_score(Given, [row[:, None] for row in rows], SOURCES, by_item=True)
        for rows in (VALUES, moved)
    )
    assert (one.within, one.between, one.mean) == pytest.approx((other.within, other.between, other.mean))
    assert one.interval == pytest.approx(other.interval)
    assert one.scores != pytest.approx(other.scores)


def test_between_is_nothing_where_the_words_explain_the_error_of_the_mean() -> None:
    values = np.array([[0.0, 1.0], [1.0, 0.0]])
    found = repeated_score(Given, [row[:, None] for row in values], Clusters.of(["a", "b"]), by_item=True)
    assert found.within == pytest.approx(100 * sqrt(0.5 + 0.5) / 2)
    assert found.between == 0


@pytest.mark.parametrize("name", ["CIDEr", "BLEU-4"])
def test_the_variance_of_any_metric_is_that_of_scores_with_wordings_by_chance(name: str) -> None:
    generator, items = np.random.default_rng(1), 60
    columns = 10 if name == "BLEU-4" else 1
    rows = generator.integers(20, 60, (3, items, columns)).astype(float)
    if name == "BLEU-4":
        rows[:, :, 0::2] = np.sort(rows[:, :, 0::2], axis=2)
    drawn = [
        METRICS[name].aggregate(rows[generator.integers(0, 3, items), np.arange(items)]) for _ in range(4000)
    ]
    # Drawing with replacement from three wordings has 2/3 of the sample variance.
    assert np.var(drawn) == pytest.approx(item_variance(METRICS[name], list(rows)) * 2 / 3, rel=0.1)


def test_the_effect_of_other_words_is_the_paired_difference() -> None:
    found = wording_effect(Given, WORDINGS, SOURCES)
    # As published 42.5; in other words (45 + 32.5) / 2.
    assert found.difference == pytest.approx(38.75 - 42.5)
    assert found.spread == pytest.approx(100 * sqrt((0.09 + 0.04) / 4))
    # The sources add (0.95 - 1.4) / 4 and (0.6 - 0.3) / 4: no exchange of them gives a smaller difference.
    assert found.p == 1.0


def test_an_effect_that_all_source_videos_have_is_shown() -> None:
    generator = np.random.default_rng(2)
    published = generator.uniform(0.4, 0.6, (40, 1))
    others = [published - generator.uniform(0.05, 0.15, (40, 1)) for _ in range(2)]
    found = wording_effect(Given, [published, *others], Clusters.of([f"{k % 20:02}" for k in range(40)]))
    assert found.interval is not None
    assert found.interval[0] < -10 < found.interval[1] < 0
    assert found.p is not None
    assert found.p < 0.01


def test_one_source_video_has_no_interval_and_no_p() -> None:
    found = wording_effect(Given, WORDINGS, Clusters.of(["a"] * 4))
    assert (found.interval, found.p) == (None, None)
