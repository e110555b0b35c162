"""The schema in which actions are named, and the scores that an answer gives."""

import json
import math

import numpy as np
import pytest

from microg_bench.dataset.labels import shipped_labels
from microg_bench.persons.answers import answer_schema, scores_in
from microg_bench.structured import misfit, read_schema

LABELS = shipped_labels()


def test_the_schema_takes_lists_of_actions_and_nothing_else() -> None:
    assert read_schema(answer_schema())["properties"]["actions"]["items"]["enum"] == list(LABELS.names)
    for fits in ('{"actions": []}', '{"actions": ["stand", "walk"]}', json.dumps({"actions": LABELS.names})):
        assert misfit(fits, answer_schema()) is None
    for misses in ('["stand"]', '{"actions": ["float"]}', '{"actions": "stand"}', '{"scores": {"stand": 1}}'):
        assert misfit(misses, answer_schema()) is not None


def test_named_actions_score_1_and_others_0() -> None:
    found = scores_in('{"actions": ["walk", "stand", "walk"]}', LABELS)
    expected = [float(name in ("walk", "stand")) for name in LABELS.names]
    assert found.tolist() == expected
    assert not scores_in('{"actions": []}', LABELS).any()


def test_given_scores_are_taken_as_they_are() -> None:
    found = scores_in('{"scores": {"walk": 0.25, "stand": 1}}', LABELS)
    assert found[LABELS.names.index("walk")] == 0.25
    assert found[LABELS.names.index("stand")] == 1
    assert np.count_nonzero(found) == 2


@pytest.mark.parametrize(
    "said",
    ["Standing.", "[]", "{}", '{"actions": "walk"}', '{"actions": ["float"]}', '{"actions": [["walk"]]}',
     '{"scores": {"walk": "much"}}', '{"scores": {"float": 1}}', '{"scores": {"walk": true}}',
     f'{{"scores": {{"walk": {10**400}}}}}'],
)  # fmt: skip
def test_other_answers_are_none(said: str) -> None:
    with pytest.raises(ValueError, match="it |digits"):
        scores_in(said, LABELS)


def test_with_its_log_probability_an_answer_scores_the_mean_probability_of_each_action_beside_1() -> None:
    found = scores_in('{"actions": ["walk", "stand"]}', LABELS, math.log(0.25))
    assert found[LABELS.names.index("walk")] == pytest.approx(1.5)
    assert sorted(found)[-3:] == pytest.approx([0.0, 1.5, 1.5])
    assert not scores_in('{"actions": []}', LABELS, -1.0).any()
