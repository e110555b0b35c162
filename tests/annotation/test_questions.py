"""Candidates, ranking, comparison and selection on known candidates: exact, without a model."""

from collections.abc import Sequence
from typing import Any, Literal

import pytest

from microg_bench.annotation.questions import (
    MOST_ALIKE,
    AnswerComparison,
    Candidate,
    Ratings,
    answered_again,
    candidate_count,
    compared,
    facts,
    likeness,
    proposed,
    proposed_unanswerable,
    rated,
    selected,
    unanswerable_counts,
)

CAPTION = "An astronaut in a red suit floats upside down, and a wrench drifts past the window."


def said(**changed: str) -> dict[str, str]:
    return {
        "question": "What drifts past the window?",
        "answer": "A wrench.",
        "span": "a wrench drifts past the window",
        "form": "what",
        "scope": "detailed",
        **changed,
    }


def candidate(
    number: int, text: str, total: Sequence[int] = (5, 5, 5, 5), scope: Any = "detailed", kind: str = "c"
) -> Candidate:
    """An open candidate whose question and answer are the words of `text`, so that likeness is known."""
    names = ("logical_consistency", "fluency", "relevance", "information_value")
    return Candidate(
        id=f"a_001#{kind}{number}",
        video_id="a_001",
        question=f"{text}?",
        answer="" if kind == "c" else "Not mentioned.",
        form="what",
        scope=scope,
        span=None if kind == "u" else text,
        ratings=Ratings(reason="", **dict(zip(names, total, strict=True))),
    )


def chosen(found: Sequence[Candidate]) -> list[str]:
    return [one.id.partition("#")[2] for one in sorted(found, key=lambda one: one.place or 99) if one.place]


def test_longer_and_fuller_captions_get_more_candidates() -> None:
    assert facts(CAPTION) == 2
    assert facts("A red hat; a hat, one blue hat") == 2, "of three words or more"
    assert candidate_count("A hat.", 6) == 6
    assert candidate_count(" ".join(["word"] * 120), 6) == 10  # 6 · (120/80 + 1/10), rounded up
    ten_facts = "one two three four five six seven eight. " * 10
    assert candidate_count(ten_facts) == 12
    assert candidate_count(f"{ten_facts} more") == 13, "81 words"
    assert candidate_count(f"{ten_facts} one more word") == 13, "eleven facts"
    assert candidate_count(f"{CAPTION} " * 100, 6) == 24


@pytest.mark.parametrize(("clips", "share"), [(10, 0.1), (7, 0.5), (1236, 0.1), (3, 1.0), (4, 0.0)])
def test_unanswerable_pairs_are_the_stated_share_and_spread_evenly(clips: int, share: float) -> None:
    counts = unanswerable_counts(clips, 6, share)
    assert len(counts) == clips
    assert sum(counts) == int(share * 6 * clips + 0.5)
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"span": "a hammer drifts"}, "span does not occur"),
        ({"span": ""}, "span does not occur"),
        ({"question": "A wrench drifts."}, "not-a-question"),
        ({"question": " "}, "blank"),
        ({"answer": "null"}, "blank"),
        ({"answer": "The window."}, "answer-in-question"),
        ({"answer": "Not mentioned"}, "the answer is missing"),
    ],
)
def test_a_candidate_with_a_fault_is_rejected_and_kept(changed: dict[str, str], reason: str) -> None:
    (found,) = proposed("a_001", CAPTION, [said(**changed)], 6)
    assert found.outcome == "rejected" and reason in found.reason


def test_a_span_may_differ_in_case_and_punctuation_only() -> None:
    (found,) = proposed("a_001", CAPTION, [said(span="A WRENCH, drifts past")], 6)
    assert found.outcome == "open"


def test_repeated_and_surplus_candidates_are_rejected() -> None:
    twice = said(question="what drifts past the window ?")
    found = proposed("a_001", CAPTION, [said(), twice, said(question="What is seen?")], 2)
    assert [one.outcome for one in found] == ["open", "rejected", "rejected"]
    assert found[1].reason == "asks the same as one before"
    assert "more than the 2" in found[2].reason
    assert [one.id for one in found] == ["a_001#c1", "a_001#c2", "a_001#c3"]


def test_texts_are_one_line_each() -> None:
    (found,) = proposed("a_001", CAPTION, [said(question="What drifts\n past\u202e the window?")], 6)
    assert found.question == "What drifts past the window?"


def test_an_unanswerable_candidate_has_the_published_answer_and_no_span() -> None:
    asked: dict[str, Any] = {"question": "Who is it?", "form": "who", "scope": "broad"}
    (found,) = proposed_unanswerable("a_001", CAPTION, [asked], 3)
    assert (found.id, found.answer, found.unanswerable) == ("a_001#u1", "Not mentioned.", True)
    assert found.outcome == "open"


@pytest.mark.parametrize(
    ("low", "reason"), [("fluency", "fluency is below 3"), ("relevance", "relevance is below 3")]
)
def test_a_low_rating_of_one_criterion_rejects(low: str, reason: str) -> None:
    ratings = candidate(1, "a").ratings
    assert ratings and rated(candidate(1, "a"), ratings).outcome == "open"
    assert rated(candidate(1, "a"), ratings.model_copy(update={low: 3})).outcome == "open"
    found = rated(candidate(1, "a"), ratings.model_copy(update={low: 2}))
    assert (found.outcome, found.reason) == ("rejected", reason)


@pytest.mark.parametrize(
    ("kind", "answer", "outcome", "by"),
    [
        ("c", "A WRENCH", "open", "words"),
        ("c", "Not mentioned.", "rejected", "rule"),
        ("c", "A tool.", "open", None),
        ("u", "not mentioned", "open", "rule"),
        ("u", "Ann.", "rejected", "rule"),
    ],
)
def test_a_second_answer_is_compared_by_rules_as_far_as_they_go(
    kind: str, answer: str, outcome: str, by: str | None
) -> None:
    one = candidate(1, "What drifts", kind=kind)
    one = one if one.unanswerable else one.model_copy(update={"answer": "A wrench."})
    found = answered_again(one, answer)
    assert found.outcome == outcome and found.second_answer == answer
    assert (found.comparison.by if found.comparison else None) == by
    assert bool(found.comparison and found.comparison.reason) == (outcome == "rejected")


def test_the_verdict_of_a_model_decides_where_words_differ() -> None:
    for same, outcome in ((True, "open"), (False, "rejected")):
        found = compared(candidate(1, "a"), AnswerComparison(by="model", same=same, reason="so"))
        assert found.outcome == outcome


def test_the_better_ones_are_chosen_and_others_are_told_why_not() -> None:
    own = [
        candidate(1, "one two", (3, 3, 3, 3)),
        candidate(2, "three four", (4, 5, 5, 5)),
        candidate(3, "five six", (5, 4, 5, 5)),
        candidate(4, "seven eight", (5, 5, 5, 5)).ended("rejected", "x"),
    ]
    found = selected(own, 2, 0)
    assert chosen(found) == ["c2", "c3"]
    assert [one.outcome for one in found] == ["not chosen", "chosen", "chosen", "rejected"]
    assert found[0].reason == "others are better"
    assert [one.place for one in found] == [None, 1, 2, None]
    both = [candidate(1, "one", (5, 3, 3, 3)), candidate(2, "two", (3, 5, 5, 5))]
    assert chosen(selected(both, 1, 0)) == ["c2"], "the sum comes first"
    assert chosen(selected(own, 1, 0)) == ["c3"], "logical consistency decides where sums are equal"


def test_pairs_that_are_alike_are_not_chosen_together() -> None:
    texts = ("one two three", "one two three four", "one two five six")
    own = [candidate(number, text) for number, text in enumerate(texts, start=1)]
    assert likeness(own[0], own[1]) == pytest.approx(3 / 4)
    assert likeness(own[0], own[2]) == pytest.approx(2 / 5)
    told = [one.model_copy(update={"answer": "five six seven"}) for one in own[:2]]
    assert likeness(*told) == pytest.approx(6 / 7), "answers count"
    silent = [candidate(1, "one two three", kind="u"), candidate(2, "four five six", kind="u")]
    assert likeness(*silent) == 0, "but for those that say nothing"
    found = selected(own, 3, 0)
    assert chosen(found) == ["c1", "c3"]
    assert found[1].reason == "is like a_001#c1 (0.75)"
    at_the_bound = candidate(2, "one two")  # of the four words of both, two
    assert likeness(candidate(1, "one two three four"), at_the_bound) == MOST_ALIKE
    assert chosen(selected([candidate(1, "one two three four"), at_the_bound], 2, 0)) == ["c1", "c2"]


def test_both_scopes_are_taken_from_broad_to_detailed() -> None:
    kinds: list[Literal["broad", "detailed"]] = ["detailed"] * 6 + ["broad"] * 2
    own = [
        candidate(n, f"w{n} v{n}", (5, 5, 5, 5) if scope == "detailed" else (3, 3, 3, 3), scope)
        for n, scope in enumerate(kinds, start=1)
    ]
    assert chosen(selected(own, 6, 0)) == ["c7", "c8", "c1", "c2", "c3", "c4"]
    assert chosen(selected(own[:6], 6, 0)) == ["c1", "c2", "c3", "c4", "c5", "c6"]


def test_as_many_unanswerable_ones_as_stated_are_taken() -> None:
    own = [
        candidate(1, "one two"),
        candidate(2, "three four"),
        candidate(1, "five six", kind="u"),
        candidate(2, "seven eight", kind="u"),
    ]
    assert chosen(selected(own, 3, 1)) == ["c1", "c2", "u1"]
    assert chosen(selected(own, 3, 2)) == ["c1", "u1", "u2"]
    assert chosen(selected(own[:2], 3, 1)) == ["c1", "c2"], "none that holds"
    assert chosen(selected(own, 3, 0)) == ["c1", "c2"]
