"""Titles as a reader sees them."""

from pathlib import Path

import pytest

from microg_bench.settings import Settings
from microg_bench.submissions.titles import Titled, is_blank, like_another, same_titles, skeleton
from tests.helpers.runs import make_settings


def test_the_letters_of_a_title_count_and_not_how_they_are_written() -> None:
    assert skeleton("GРT-4о") == skeleton("gpt 4O")  # a Cyrillic Р and о
    assert skeleton("GPT-4o\u3164\u1160") == skeleton("GPT-4o")  # letters that show nothing
    assert skeleton("GPT-4o") != skeleton("GPT-4.1")


@pytest.mark.parametrize(
    ("title", "blank"),
    [("", True), (" -_.", True), ("\u3164\u115f", True), ("a", False), ("\u31644", False), ("名", False)],
)
def test_a_title_without_a_letter_or_digit_that_shows_is_blank(title: str, blank: bool) -> None:
    assert is_blank(title) == blank


def titled(title: str, checkpoint: str | None = "org/mine") -> Settings:
    return make_settings(title=title, checkpoint=checkpoint)


@pytest.mark.parametrize(
    "title",
    [
        "SmolVLM2",
        "smol-vlm 2",
        "SmolVLM2 (fine-tuned)",
        "XmolVLM2",
        "SmolVLN2",
        "SmolVLMa",
        "SmolVM2",
        "SmolVLLM2",
        "aSmolVLM2",
        "SmolVLM2a",
        "SmolVLM2a (fine-tuned)",
    ],
)
def test_a_title_a_letter_away_from_that_of_a_model_looks_like_it(title: str) -> None:
    (line,) = like_another(titled(title))
    assert "SmolVLM2" in line
    assert list(like_another(titled(title, "HuggingFaceTB/SmolVLM2-2.2B-Instruct"))) == []


@pytest.mark.parametrize(
    "title",
    [
        "SmolVLM3",
        "SmolVLM22",
        "SmolVLM",
        "2SmolVLM2",
        "SmolVLLLM2",
        "SmonVLN2",
        "SmolLVM2",
        "GPT-o",
        "fine-tuned (SmolVLM2)",
        "Mine",
        "My baseline",
    ],
)
def test_a_title_two_letters_or_a_version_away_is_another(title: str) -> None:
    assert list(like_another(titled(title))) == []


def test_the_shortest_titles_from_which_one_may_differ_have_five_letters() -> None:
    for title, alike in (("GPT-4x", True), ("GP-4o", False)):
        assert bool(list(like_another(titled(title)))) == alike


def test_a_title_like_one_of_the_paper_alone_is_told() -> None:
    (line,) = like_another(titled("LLaVA NeXT"))
    assert "LLaVA-NeXT" in line


def test_the_titles_of_baselines_are_theirs_alone() -> None:
    for title, lines in (
        ("Baseline: blind", 2),
        ("BaseIine of mine", 1),
        ("Base(line) of mine", 1),
        ("A baseline", 0),
    ):
        assert len(list(like_another(titled(title, None)))) == lines


def test_a_title_is_told_from_the_same_one_of_another_model() -> None:
    def model(title: str, **settings: str) -> Titled:
        return Titled.of(make_settings(title=title, **settings))

    models = {
        Path("s/one"): model("Mine", checkpoint="org/one"),
        Path("s/again"): model("mine", checkpoint="org/one"),
        Path("s/two"): model("m-i-n-e", checkpoint="org/two"),
        Path("s/other"): model("Other", checkpoint="org/two"),
    }
    lines = dict(same_titles(models))
    assert list(lines) == [Path("s/one"), Path("s/again"), Path("s/two")]
    assert lines[Path("s/one")].endswith(": two")
    assert lines[Path("s/two")].endswith(": one, again")
    for changed in ({"model": "other"}, {"checkpoint": "org/m"}, {"checkpoint_sha256": "0" * 64}):
        pair = {Path("s/one"): model("Mine"), Path("s/two"): model("Mine", **changed)}
        assert len(dict(same_titles(pair))) == 2
