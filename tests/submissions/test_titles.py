"""Titles as a reader sees them."""

from microg_bench.submissions.titles import skeleton


def test_the_letters_of_a_title_count_and_not_how_they_are_written() -> None:
    assert skeleton("GРT-4о") == skeleton("gpt 4O")  # a Cyrillic Р and о
    assert skeleton("GPT-4o\u3164\u1160") == skeleton("GPT-4o")  # letters that show nothing
    assert skeleton("GPT-4o") != skeleton("GPT-4.1")
