"""What one gets wrong in METEOR at first, each with texts whose counts then differ from the jar's."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import pytest

from microg_bench.metrics import Score, score
from microg_bench.metrics.meteor.match import java_hash
from microg_bench.metrics.meteor.metric import MAX_WORDS
from microg_bench.metrics.meteor.normalize import normalize
from tests.metrics.meteor.test_exact import CHUNKS, MATCHED, Item, assert_as_the_jar
from tests.metrics.reference import MeteorJar

pytestmark = pytest.mark.slow

pytest.importorskip("pycocoevalcap.meteor.meteor")

VIEW = "There is a board on each side of her body."
TRAPS: dict[str, list[Item]] = {
    "the search gains no half words": [
        ("She floats effortlessly.", ["Her hair is freely floating."]),
        ("He is wearing a blue spacesuit.", ["His eyes are first on the deck."]),
    ],
    "of equal gain, fewer chunks come first": [("3. Node Node 3.", ["Node 3."])],
    "of equal chunks, the smaller distance comes first": [("The astronaut is an ipad.", [VIEW])],
    "of equal costs, the earlier state comes first": [
        ("The astronaut is youtube creator jack gordon.", ["The astronauts are Li Cong and Ye Guangfu."]),
        (
            "The astronaut is a dark flight suit with american flag shoulder patches.",
            ["The astronauts are Drew Feustel and Ricky Arnold."],
        ),
    ],
    "the beam holds 40 states, not fewer": [
        (
            "is is is is is a is wearing wearing wearing a a a He",
            ["wearing is a a is a is a a a is is He wearing"],
        )
    ],
    "the beam holds 40 states, not more": [
        (
            "is in She She is Node in is in in is in is She",
            ["She in She Node She in She is Node in is She She is"],
        )
    ],
    "a distance is added to later branches": [
        ("Her hair is floating freely.", ["Her necklace floats freely."])
    ],
    "a match that stands alone is fixed": [("The beige cover is absent.", ["Not mentioned."])],
    "paraphrases match in both directions": [("They are secured.", ["Her hair is short."])],
    "paraphrases that are found twice stay": [
        ("The port side exercise frame and brown stowage bags.", ["They use hand gestures."])
    ],
    "paraphrases come after words": [("The astronaut is an ipad.", [VIEW])],
    "paraphrases of the reference come before those of the candidate": [
        (
            "She is organizing food packages labeled 'Vegetable Pack' and 'Egg-Fruit Combo.'",
            ["The walls are lined with cables, tools, and control panels."],
        )
    ],
    "equal words are no stems and no synonyms": [
        (
            "The astronaut is toothpaste, toothbrush, and a",
            ["In the background, there is a handle, a computer, and a desk."],
        )
    ],
    "a word has the synonyms of its base": [("It floats lightly.", ["Her hair drifts freely."])],
    "irregular words have a base": [
        ("Her hair is floating freely.", ["The astronauts are floating weightlessly."])
    ],
    "the first rule that gives a word counts": [("Her hair floats freely.", ["He steadies himself."])],
    "words in ss and of two letters have no base": [("the boss told us", ["a bos and u"])],
    "words in ful have no base": [
        ("two boxesful, three spoonsful", ["a boxful and a spoonful"]),
        ("joyful", ["elated"]),
    ],
    "words are compared by hash": [("an c0", ["c0 an"])],
    "phrases are compared by their characters": [("an hour", ["one hour"]), ("c0 hour", ["one hour"])],
    "a replacement consumes its neighbours": [("a,b,c", ["a b c", "a , b,c"])],
    "signs": [
        (
            "The U.S. crew. Mr. Smith floats. then x-y, the crew's 1,000 3.5 No. 5 no. x",
            ["us crew smith x y"],
        ),
        ("٣,٤ ﬁ é'é ǅ'a “a” ‘b’ a–b a--b … 5's a'b", ["٣ , ٤ a b"]),
    ],
    "a gap and a jump end a chunk": [
        ("crew floats", ["crew now floats"]),
        ("crew now floats", ["crew floats"]),
        ("floats crew", ["crew floats"]),
    ],
    "the first of equally good references counts": [
        ("moon", ["one two three", "four"]),
        ("moon", ["four", "moon"]),
    ],
}


@pytest.mark.heavy
@pytest.mark.parametrize("trap", TRAPS)
def test_the_counts_are_the_jars(meteor_jar: MeteorJar, trap: str) -> None:
    assert_as_the_jar(meteor_jar, TRAPS[trap])


@pytest.mark.heavy
def test_equal_texts_match_word_by_word_alone(
    references: dict[str, dict[Any, str]], meteor_jar: MeteorJar
) -> None:
    text = next(one for one in references["caption"].values() if "Ryazanskiy, wearing a blue T-shirt" in one)
    (counts,) = assert_as_the_jar(meteor_jar, [(text.upper(), [" ".join(text.split())])])
    assert counts[4] + counts[6] == counts[0]


def counts(candidate: str, references: list[str]) -> list[float]:
    found = score([candidate], [references], ["METEOR"])["METEOR"]
    assert isinstance(found, Score), found
    return list(found.statistics[0])


def test_words_are_compared_by_javas_hash_and_phrases_are_not() -> None:
    assert java_hash("an") == java_hash("c0")
    assert counts("an c0", ["c0 an"])[MATCHED] == [2, 2]
    assert counts("an hour", ["one hour"])[MATCHED] == [2, 2]
    assert counts("c0 hour", ["one hour"])[MATCHED] == [1, 1]


def test_a_perfect_item_has_no_chunk_and_a_gap_or_a_jump_makes_one() -> None:
    assert counts("the crew floats", ["the crew floats"])[CHUNKS] == 0
    assert counts("crew floats", ["crew now floats"])[CHUNKS] == 2
    assert counts("crew now floats", ["crew floats"])[CHUNKS] == 2
    assert counts("floats crew", ["crew floats"])[CHUNKS] == 2


def test_of_equally_good_references_the_first_counts() -> None:
    assert counts("moon", ["one two three", "four"])[1] == 3
    assert counts("moon", ["four", "moon", "moon moon"])[1] == 1


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("a,b,c", "a , b,c"),
        ("The U.S. crew.", "the us crew ."),
        ("Mr. Smith floats. Then", "mr. smith floats . then"),
        ("it floats. then", "it floats. then"),
        ("x-y, the crew's", "x y , the crew 's"),
        ("No. 5 and No. x", "no. 5 and no. x"),
        ("٣,٤", "٣ , ٤"),
        ("Wait... what?", "wait ... what ?"),
    ],
)
def test_texts_are_normalised_as_the_jar_does(text: str, normal: str) -> None:
    assert normalize([text]) == [normal]


def test_texts_that_are_normalised_together_do_not_touch() -> None:
    texts = ["", "a,", ",b", "No.", "5", "Mr.", "'", "s", "x -", "- y", ".", "..", "\u2019", "U.S.", "a"]
    assert normalize(texts) == [normalize([text])[0] for text in texts]


LATER = [0x2C2F, 0xA7C0, 0xA7D0, 0xA7D6, 0xA7D8, *range(0x10570, 0x10596)]


def test_letters_that_java_17_does_not_know_keep_their_case() -> None:
    texts = [f"A{chr(code)}B" for code in LATER]
    lower = [one.replace(" ", "") for one in normalize(texts)]
    assert lower == [f"a{chr(code)}b" for code in LATER]


@pytest.mark.heavy
def test_letters_have_the_lower_case_of_java_17(meteor_jar: MeteorJar) -> None:
    version = subprocess.run(
        [str(shutil.which("java")), "-version"], capture_output=True, text=True, check=True
    )
    if '"17.' not in version.stderr:
        pytest.skip("java is not 17, whose letters are meant")
    codes = [*LATER, *(code for code in range(0x80, 0x1F000) if chr(code).lower() != chr(code))]
    assert_as_the_jar(meteor_jar, [(f"a {chr(code)}", [f"{chr(code).lower()} a"]) for code in codes])


@pytest.mark.heavy
def test_distances_of_the_longest_texts_do_not_overflow() -> None:
    """The jar adds distances in 32 bits and takes minutes for such texts: it cannot be asked."""
    found = counts("the " * (MAX_WORDS - 1), ["the " * MAX_WORDS])
    assert found[MATCHED] == [MAX_WORDS - 1, MAX_WORDS - 1]
    assert found[CHUNKS] == 1
