"""Krippendorff's alpha against its worked example and another implementation."""

import math
import random

import pytest
from nltk.metrics.agreement import AnnotationTask

from microg_bench.curation.agreement import krippendorff_alpha


def test_the_worked_example_of_four_coders() -> None:
    # Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", part C: nominal data, values missing.
    coders = (
        "1 2 3 3 2 1 4 1 2 * * *",
        "1 2 3 3 2 2 4 1 2 5 * 3",
        "* 3 3 3 2 3 4 2 2 5 1 *",
        "1 2 3 3 2 4 4 1 2 5 1 *",
    )
    columns = zip(*(row.split() for row in coders), strict=True)
    found = krippendorff_alpha([[value for value in column if value != "*"] for column in columns])
    assert found.alpha == pytest.approx(0.743, abs=5e-4)
    assert (found.units, found.coders) == (11, 4)


@pytest.mark.parametrize("seed", range(12))
def test_it_is_that_of_another_implementation(seed: int) -> None:
    chance = random.Random(seed)
    units = [
        [chance.choice("abc"[: 2 + seed % 2]) for _ in range(chance.randint(1, 4))]
        for _ in range(chance.randint(5, 40))
    ]
    task = AnnotationTask(
        [
            (coder, unit, value)
            for unit, own in enumerate(units)
            if len(own) > 1
            for coder, value in enumerate(own)
        ]
    )
    found = krippendorff_alpha(units)
    assert found.alpha is not None
    assert found.alpha == pytest.approx(task.alpha(), abs=1e-12)


def test_where_it_is_not_defined_there_is_none() -> None:
    assert krippendorff_alpha([]).alpha is None
    assert krippendorff_alpha([["a"], ["b"]]).alpha is None, "nobody to agree with"
    assert krippendorff_alpha([["a", "a"], ["a", "a"]]).alpha is None, "nothing to tell apart"
    assert krippendorff_alpha([["a", "a"], ["b", "b"]]).alpha == 1
    assert not math.isnan(krippendorff_alpha([["a", "b"], ["b", "a"]]).alpha or 0)
