from __future__ import annotations

import pytest

from microg_bench.figures.labels import LONGEST, clean, labels, numbered
from tests.helpers.cards import make_card


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Qwen2.5-VL", "Qwen2.5-VL"),
        ("a\tb\n c\x1b[31m", "a b c [31m"),
        ("left\u202eright\u200b", "left right"),
        ("lone \ud800 half", "lone half"),
        ("__hidden", "hidden"),
        (" \n\x00", "?"),
        ("${x}$ <b>&", "${x}$ <b>&"),
    ],
)
def test_a_label_is_one_clean_line(text: str, label: str) -> None:
    assert clean(text) == label


def test_a_long_label_is_cut() -> None:
    assert clean("x" * LONGEST) == "x" * LONGEST
    assert clean("x" * (LONGEST + 1)) == "x" * (LONGEST - 1) + "…"


def test_titles_alone_tell_runs_of_different_models() -> None:
    assert labels([make_card("A", frames=1), make_card("B", frames=4)]) == ["A", "B"]


def test_runs_of_one_model_are_told_apart_by_the_settings_that_differ() -> None:
    cards = [make_card("A", frames=1), make_card("A", frames=4, prompt="plain"), make_card("B")]
    assert labels(cards) == [
        "A\nframes uniform:1, prompt vqa-default@1",
        "A\nframes uniform:4, prompt vqa-plain@1",
        "B",
    ]
    assert labels(cards[:2], apart=("frames",))[0] == "A\nprompt vqa-default@1"


def test_settings_of_generation_tell_too() -> None:
    cards = [make_card("A"), make_card("A")]
    warm = {**(cards[1].settings or {}), "generation": {"temperature": 0.7}}
    assert labels([cards[0], cards[1].model_copy(update={"settings": warm})])[1] == "A\ntemperature 0.7"


def test_what_nothing_tells_apart_is_numbered() -> None:
    assert labels([make_card("A"), make_card("A"), make_card("A")]) == ["A", "A (2)", "A (3)"]
    assert labels([make_card(model=None, settings=None)]) == ["predictions"]


def test_a_number_makes_no_name_that_is_there_already() -> None:
    assert len(set(numbered(["A", "A (2)", "A"]))) == 3


@pytest.mark.parametrize("settings", [{"generation": "x"}, {"prompt": None}, {"\x1b" * 99: [1] * 999}, {}])
def test_damaged_settings_do_no_harm(settings: dict[str, object]) -> None:
    one, two = labels([make_card("A", settings=settings), make_card("A")])
    assert one != two
    assert max(map(len, f"{one}\n{two}".splitlines())) < 200
