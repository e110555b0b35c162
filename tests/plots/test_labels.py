from __future__ import annotations

import pytest

from microg_bench.plots.canvas import LONGEST, clean
from microg_bench.plots.draw import labels, numbered
from microg_bench.records import Generation
from microg_bench.settings import Media
from tests.helpers.cards import make_card, with_settings


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
    warm = with_settings(make_card("A"), generation=Generation(max_tokens=8, temperature=0.7))
    assert labels([make_card("A"), warm])[1] == "A\ntemperature 0.7"


def test_the_form_in_which_clips_are_sent_tells_too() -> None:
    cards = [
        with_settings(make_card("A"), media=Media(kind="images", jpeg_quality=quality))
        for quality in (90, 50)
    ]
    assert labels(cards) == ["A\njpeg quality 90", "A\njpeg quality 50"]
    sent = with_settings(make_card("A"), media=Media(kind="clip"), frames=None)
    assert labels([make_card("A"), sent])[1].startswith("A\nframes clip, ")


def test_what_nothing_tells_apart_is_numbered() -> None:
    assert labels([make_card("A"), make_card("A"), make_card("A")]) == ["A", "A (2)", "A (3)"]
    assert labels([make_card(model=None, settings=None)]) == ["predictions"]


def test_a_number_makes_no_name_that_is_there_already() -> None:
    assert len(set(numbered(["A", "A (2)", "A"]))) == 3


@pytest.mark.parametrize(
    "settings", [{"dtype": "\x1b" * 99}, {"prompt": None}, {"engine_args": {"\x1b" * 99: [1] * 999}}]
)
def test_strange_settings_do_no_harm(settings: dict[str, object]) -> None:
    one, two = labels([with_settings(make_card("A"), **settings), make_card("A")])
    assert one != two
    assert max(map(len, f"{one}\n{two}".splitlines())) < 200


def test_a_card_without_settings_has_a_label() -> None:
    assert labels([make_card("A", settings=None), make_card("A")])[0] == "A"
