"""Thoughts are told from the answer, however a model marks them."""

import pytest

from microg_bench.adapters.base import split_thoughts
from microg_bench.records import THOUGHT_MARKS, Thinking

OPENING, CLOSING = THOUGHT_MARKS[0]


@pytest.mark.parametrize(("opening", "closing"), THOUGHT_MARKS)
def test_thoughts_are_taken_out_whatever_the_marks(opening: str, closing: str) -> None:
    said = f"{opening}\nThe user wants a caption.\n{closing}\n\nA man floats."
    assert split_thoughts(said) == ("The user wants a caption.", "\n\nA man floats.")
    assert split_thoughts(f"The user wants it.{closing}A man floats.") == (
        "The user wants it.",
        "A man floats.",
    )
    assert split_thoughts(f"{opening}The user wants") == ("The user wants", None)


@pytest.mark.parametrize(
    ("said", "thoughts", "answer"),
    [
        ("A man floats.", None, "A man floats."),
        ("", None, ""),
        ("<think></think>A man.", "", "A man."),
        ("<think>a</think>A man.<think>b</think> Two men.", "a\n\nb", "A man. Two men."),
        ("a</think>b</think>A man.", "a\n\nb", "A man."),
        ("<think>a<think>b</think>A man.", "a<think>b", "A man."),
        ("<think>a</think>A man. <think>b", "a\n\nA man.\n\nb", None),
        ("<think>a</think>", "a", ""),
        ("A <man> thinks.", None, "A <man> thinks."),
    ],
)
def test_what_is_thought_and_what_is_answered(said: str, thoughts: str | None, answer: str | None) -> None:
    assert split_thoughts(said) == (thoughts, answer)


def test_an_adapter_has_marks_of_its_own() -> None:
    declared = Thinking(marks=(("((", "))"),))
    assert split_thoughts("((hm))A man.", declared) == ("hm", "A man.")
    assert split_thoughts("<think>hm</think>", declared) == (None, "<think>hm</think>")


def test_a_text_full_of_marks_is_read_once() -> None:
    count = 200_000
    thoughts, answer = split_thoughts(OPENING * count + CLOSING * count + "A man.")
    assert answer == "A man."
    assert thoughts is not None and thoughts.startswith(OPENING)
    assert split_thoughts(OPENING * count) == (OPENING * (count - 1), None)
