"""METEOR against the published jar, through its published Python driver and through the oracles."""

from __future__ import annotations

import gzip
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microg_bench.metrics import METRICS, Score, Unavailable, score, score_tasks
from microg_bench.metrics.meteor import data, metric, paraphrases
from microg_bench.metrics.meteor.metric import MAX_WORDS
from microg_bench.metrics.texts import prepare
from tests.metrics.conftest import Oracle
from tests.metrics.reference import jar_counts, needs_java

pytestmark = pytest.mark.slow

published = pytest.importorskip("pycocoevalcap.meteor.meteor")


def meteor(candidates: list[str], references: list[str] | list[list[str]]) -> Score:
    answer = score(candidates, references, ["METEOR"])["METEOR"]
    assert isinstance(answer, Score), answer
    return answer


ODD = [
    ("the crew floats", ["the crew floats"]),
    ("floats the crew", ["the crew floats"]),
    ("", ["the crew"]),
    ("the crew", [""]),
    ("", [""]),
    ("a man drifts by", ["someone else", "a man floats by", "a man"]),
    ("ISTANBUL I İ ß “quoted” — dash…", ["istanbul i i ss 'quoted' - dash ..."]),
]


@pytest.mark.heavy
def test_every_item_is_as_the_published_driver_gives_it(oracles: dict[str, Oracle]) -> None:
    """Both tasks under both protocols, and odd texts, in one run of the driver.

    The tokens that it is given under `coco` are ours, which are compared with the published ones elsewhere.
    """
    needs_java()
    tasks = {
        **{task: (oracle.candidates, oracle.references) for task, oracle in oracles.items()},
        "odd": ([pair[0] for pair in ODD], [pair[1] for pair in ODD]),
    }
    ours, pairs = [], []
    for protocol in ("paper", "coco"):
        found = score_tasks(tasks, ["METEOR"], protocol)
        for task, given in tasks.items():
            tokenized = prepare(*given, protocol).tokenized
            pairs += zip(tokenized.candidates, tokenized.references, strict=True)
            ours.append(found[task]["METEOR"])
    corpus, items = published.Meteor().compute_score(
        {index: [" ".join(text.split()) for text in pair[1]] for index, pair in enumerate(pairs)},
        {index: [" ".join(pair[0].split())] for index, pair in enumerate(pairs)},
    )
    assert all(isinstance(one, Score) for one in ours), ours
    found = np.concatenate([one.per_item for one in ours])
    np.testing.assert_allclose(found, 100 * np.array(items), rtol=0, atol=1e-9)
    together = METRICS["METEOR"].aggregate(np.concatenate([one.statistics for one in ours]))
    assert together == pytest.approx(100 * corpus, abs=1e-9)


def scrambled(text: str, draw: random.Random) -> str:
    """A text with its words in another order, doubled, left out, or glued by signs."""
    words = text.split()
    change = draw.randrange(5)
    if change == 0:
        draw.shuffle(words)
    elif change == 1:
        words += words
    elif change == 2:
        words = [word for word in words if draw.random() < 0.6]
    elif change == 3:
        words = [draw.choice(["the", "a", "is", word]) for word in words]
    else:
        signs = ["-", ",", ", ", ". ", "'s ", "--", "… ", "“", "é", "U.S. ", "Mr. ", " "]
        return " ".join("".join(word + draw.choice(signs) for word in words).split())
    return " ".join(words)


@pytest.mark.heavy
def test_every_count_of_scrambled_texts_is_the_jars(references: dict[str, dict[Any, str]]) -> None:
    """Repeated words fill the beam; one pair has more words than an integer bits; "an" is "c0" to Java."""
    needs_java()
    draw = random.Random(3)
    texts = sorted({*references["caption"].values(), *references["vqa"].values()})
    items = [("an c0", ["c0 an"]), (" ".join(texts[:20]), [" ".join(texts[10:30])]), *ODD]
    for text in draw.sample(texts, 600):
        several = [
            scrambled(draw.choice([text, draw.choice(texts)]), draw) for _ in range(draw.randint(1, 3))
        ]
        items.append((scrambled(text, draw), several))
    candidates, several = [item[0] for item in items], [item[1] for item in items]
    expected = jar_counts(candidates, several)
    found = meteor(candidates, several).statistics
    np.testing.assert_array_equal(np.delete(found, 20, axis=1), np.delete(expected, 20, axis=1))
    perfect = found[:, 20] != expected[:, 20]
    np.testing.assert_array_equal(expected[perfect, 20], 1)
    np.testing.assert_array_equal(found[perfect, 20], 0)
    np.testing.assert_array_equal(found[perfect, :2], found[perfect, 21:])


def test_the_table_is_read_alike_without_the_faster_unpacker(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["the astronaut speaks to the camera", "a crew member is talking at the camera ."]
    expected = paraphrases.read_pairs(texts[1:], texts[:1])
    monkeypatch.setitem(sys.modules, "isal.igzip", None)
    assert paraphrases.read_pairs(texts[1:], texts[:1]) == expected
    assert ("is talking", "speaks") in expected


def test_a_perfect_item_adds_no_chunk_to_the_sums() -> None:
    alike, other = "the crew floats by", "a man reads a long book by the window"
    ours = meteor([alike, other], [alike, "by the window a book is read by someone"])
    assert ours.per_item[0] == pytest.approx(100)
    assert ours.statistics[0, 20] == 0
    assert ours.statistics[1, 20] > 1
    assert METRICS["METEOR"].aggregate(ours.statistics[:1]) == pytest.approx(100)


def test_texts_that_would_break_the_lines_score_as_their_plain_form() -> None:
    floats = "the crew floats"
    pairs = {
        "the crew\nfloats": floats,
        "the crew\r\nfloats\r": floats,
        "the crew\u2028floats\x0b\x0c": floats,
        "the\0crew floats": floats,
        "the ||| crew |||| floats": "the crew | floats",
        "the crew \ud83d floats": "the crew \ufffd floats",
    }
    other = ["someone floats with the crew"] * len(pairs)
    odd, plain = list(pairs), list(pairs.values())
    ours = meteor([*odd, *other], [*other, *odd])
    assert (ours.per_item > 0).all()
    np.testing.assert_array_equal(ours.statistics, meteor([*plain, *other], [*other, *plain]).statistics)


def test_no_character_shifts_an_item_to_its_neighbours_reference() -> None:
    characters = [chr(code) for code in (*range(0x3100), *range(0xD7F0, 0xE010), 0xFEFF, 0xFFFD, 0x1F600)]
    candidates = [f"a{character}b number{index}" for index, character in enumerate(characters)]
    ours = meteor(candidates, [f"number{index}" for index in range(len(characters))])
    assert (ours.per_item > 0).all()


def test_long_texts_are_cut_and_said_to_be() -> None:
    long = meteor(["the crew floats " * 1000, "a"], ["the crew floats", "a"])
    assert long.notes == (f"1 text(s) cut to their first {MAX_WORDS} words and 20000 characters",)
    cut = meteor([" ".join(("the crew floats " * 1000).split()[:MAX_WORDS]), "a"], ["the crew floats", "a"])
    assert cut.notes == ()
    np.testing.assert_array_equal(long.per_item, cut.per_item)


def test_a_megabyte_is_cut_and_counted() -> None:
    candidates = ["the crew floats by " * 50_000, "a" * 1_000_000, "\n" * 1_000_000 + "the crew floats"]
    ours = meteor(candidates, ["the crew floats", "a", "the crew floats"])
    assert ours.notes == (f"2 text(s) cut to their first {MAX_WORDS} words and 20000 characters",)
    assert 0 < ours.per_item[0] < 20
    assert ours.per_item[1:] == pytest.approx([0, 100])


@pytest.mark.heavy
def test_pairs_in_blocks_have_the_same_counts(
    oracles: dict[str, Oracle], monkeypatch: pytest.MonkeyPatch
) -> None:
    oracle = oracles["caption"]
    whole = meteor(oracle.candidates, oracle.references)
    for words in (1, 1000):
        monkeypatch.setattr(metric, "_BLOCK", words)
        parted = meteor(oracle.candidates, oracle.references)
        assert np.array_equal(parted.statistics, whole.statistics)


def test_the_users_locale_does_not_move_the_score(monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["IT IS THE CREW", "café crew"], ["it is the crew", "the café crew inside"]
    expected = score(*given, ["METEOR"], "coco")["METEOR"]
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Duser.language=tr -Dfile.encoding=ISO-8859-1")
    found = score(*given, ["METEOR"], "coco")["METEOR"]
    assert isinstance(expected, Score)
    assert isinstance(found, Score)
    np.testing.assert_array_equal(found.per_item, expected.per_item)


def test_raw_texts_need_no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("microg_bench.metrics.tokenize.package_path", lambda *path: None)
    assert meteor(["the crew floats"], ["the crew floats"]).value == pytest.approx(100)


@pytest.mark.parametrize(
    "damage",
    [
        gzip.compress(b"0.5\ncrew\nstaff\n", mtime=0)[:-9],
        b"not a table",
        gzip.compress(b"0.5\ncrew\nstaff\n0.2\n", mtime=0),
    ],
)
def test_a_damaged_table_makes_the_metric_unavailable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damage: bytes
) -> None:
    table = tmp_path / "paraphrase-en.gz"
    table.write_bytes(damage)
    monkeypatch.setattr(paraphrases, "published_file", lambda *path: table)
    answer = score(["crew"], ["staff"], ["METEOR"])["METEOR"]
    assert isinstance(answer, Unavailable)
    assert answer.reason.startswith(f"{table}: damaged: ")


def test_another_stemmer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data.stemmer.cache_clear()
    monkeypatch.setattr(data, "version", lambda package: "3.0.1")
    reason = "METEOR needs snowballstemmer 2.2.0, found 3.0.1: pip install snowballstemmer==2.2.0"
    assert score(["a"], ["a"], ["METEOR"])["METEOR"] == Unavailable("METEOR", reason)


def test_a_missing_package_makes_the_metric_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microg_bench.metrics.packages.package_path", lambda *path: None)
    answer = score(["a"], ["a"], ["METEOR"])["METEOR"]
    assert answer == Unavailable("METEOR", "paraphrase-en.gz not found: pip install pycocoevalcap")


def test_without_words_in_the_references_the_score_can_only_be_0() -> None:
    for candidates in (["", ""], ["the crew", "floats"]):
        found = meteor(candidates, ["", " "])
        assert (found.value, found.notes) == (0, ("can only be 0 here: all references are empty",))
    assert meteor(["", ""], ["", "the crew"]).notes == ()
