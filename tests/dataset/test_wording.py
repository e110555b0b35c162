from __future__ import annotations

import pytest

from microg_bench.dataset.near_duplicates import words
from microg_bench.dataset.stats import STOP_WORDS
from microg_bench.tasks import is_unanswerable, question_word


@pytest.mark.parametrize(
    "text", ["Not mentioned.", "not mentioned", " NOT MENTIONED. ", "Not mentioned .", "Not mentioned.."]
)
def test_the_designed_answer_is_known_in_its_spellings(text: str) -> None:
    assert is_unanswerable(text)


@pytest.mark.parametrize("text", ["", "Not", "It is not mentioned.", "Not mentioned by the crew."])
def test_other_texts_are_not_the_designed_answer(text: str) -> None:
    assert not is_unanswerable(text)


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ("Who floats?", "who"),
        ("  WHAT is it?", "what"),
        ("In which module?", "other"),
        ("What's it?", "other"),
    ],
)
def test_a_question_is_known_by_its_first_word(question: str, word: str) -> None:
    assert question_word(question) == word


@pytest.mark.parametrize("question", ["", "  \n"])
def test_a_question_without_words_is_another(question: str) -> None:
    assert question_word(question) == "other"


def test_words_are_lower_case_and_bare() -> None:
    assert words("The astronaut's “blue” T-shirt, 2 Ärmel_x!") == [
        "the", "astronaut's", "blue", "t", "shirt", "2", "ärmel", "x",
    ]  # fmt: skip


def test_every_stop_word_is_a_word() -> None:
    assert all(words(one) == [one] for one in STOP_WORDS)
