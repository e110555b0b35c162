"""What a scorecard says of itself: what its scores rest on, and whether to rely on them."""

import pytest

from microg_bench.dataset.load import load
from microg_bench.scorecard import (
    NO_BENCHMARK,
    SAMPLE_FINGERPRINT,
    Counts,
    FailedStage,
    ScoreEntry,
    ServedModel,
)
from tests.helpers.cards import make_card, with_settings


def test_the_sample_set_is_known_by_its_references() -> None:
    sample = load("sample")
    assert sample.fingerprint == SAMPLE_FINGERPRINT
    assert f"{len(sample.clips)} clips" in NO_BENCHMARK
    card = make_card(fingerprint=SAMPLE_FINGERPRINT, dataset="by another name")
    assert not card.is_benchmark
    assert next(card.remarks()) == NO_BENCHMARK
    assert make_card(dataset="sample").is_benchmark


@pytest.mark.parametrize(
    ("counts", "doubted"),
    [
        (Counts(), False),
        (Counts(answered=98), False),
        (Counts(answered=98, truncated=48, flagged=48), False),
        (Counts(answered=98, truncated=49, flagged=49), True),
        (Counts(answered=98, empty=30, declined=30, flagged=60), True),
        (Counts(answered=98, empty=30, truncated=30, flagged=30), False),  # the same ones are both
        (Counts(answered=50, failed=48), False),
        (Counts(answered=50, failed=50), True),
        (Counts(failed=1), True),
        (Counts(answered=1, missing=97), False),
    ],
)
def test_scores_are_doubted_where_half_is_no_answer(counts: Counts, doubted: bool) -> None:
    assert bool(list(make_card(counts=counts).doubts())) == doubted


def test_counts_are_said_in_words() -> None:
    counts = Counts(answered=98, empty=1, truncated=98, filtered=2, declined=1, thoughts=3, repeated=4)
    assert list(make_card(counts=counts).remarks()) == [
        "1 of 98 answers is empty",
        "98 of 98 answers hit the token limit; raise --max-tokens",
        "2 of 98 answers were stopped by the vendor's content filter",
        "1 of 98 answers was declined by the model",
        "3 of 98 answers look like thinking, not like an answer",
        "repeated predictions, which a later one of the same item replaces: 4",
    ]


def test_failures_are_told_even_where_their_reasons_are_not_known() -> None:
    counts = Counts(answered=86, failed=12)
    assert list(make_card(counts=counts).remarks()) == ["12 of 98 requests failed"]
    stage = FailedStage(stage="thinking", count=12, reason="still thinking", frequency=12)
    card = make_card(counts=counts, failures=(stage,))
    assert list(card.remarks()) == ["12 of 98 requests failed (thinking): still thinking"]


def test_a_path_that_was_asked_for_is_not_told() -> None:
    served = (ServedModel(name="other", answers=90, expected=False),)
    card = with_settings(make_card(served=served), checkpoint="/home/somebody/weights")
    assert list(card.remarks()) == ["answered by other, not weights as asked: 90 of 90 answers"]


def test_notes_of_scores_are_remarks() -> None:
    entry = ScoreEntry(value=0.0, notes=("can only be 0 here: one item",))
    assert list(make_card(scores={"CIDEr": entry}).remarks()) == ["CIDEr: can only be 0 here: one item"]
