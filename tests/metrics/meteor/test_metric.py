"""METEOR: its texts, bounds and data; how its counts compare with the jar's is tested in `test_exact.py`."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from microg_bench import __version__
from microg_bench.metrics import METRICS, Score, Unavailable, score
from microg_bench.metrics.meteor import data, metric, paraphrases
from microg_bench.metrics.meteor.metric import MAX_WORDS
from microg_bench.metrics.meteor.normalize import normalize
from tests.metrics.conftest import Oracle

pytestmark = pytest.mark.slow

published = pytest.importorskip("pycocoevalcap.meteor.meteor")


def meteor(candidates: list[str], references: list[str] | list[list[str]]) -> Score:
    answer = score(candidates, references, ["METEOR"])["METEOR"]
    assert isinstance(answer, Score), answer
    return answer


def test_the_table_is_read_alike_without_the_faster_unpacker(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["the astronaut speaks to the camera", "a crew member is talking at the camera ."]
    expected = paraphrases.read_pairs(texts[1:], texts[:1])
    monkeypatch.setitem(sys.modules, "isal.igzip", None)
    assert paraphrases.read_pairs(texts[1:], texts[:1]) == expected
    assert ("is talking", "speaks") in expected


def phrases(texts: list[str]) -> set[str]:
    """All runs of at most 7 words."""
    words = [text.split() for text in texts]
    return {
        " ".join(some[first:end])
        for some in words
        for first in range(len(some))
        for end in range(first + 1, min(first + 7, len(some)) + 1)
    }


@pytest.mark.heavy
def test_every_pair_that_can_match_is_read_in_the_order_of_the_table(
    references: dict[str, dict[Any, str]],
) -> None:
    texts = normalize(list(references["caption"].values())[:600])
    ours, theirs = phrases(texts[:300]), phrases(texts[300:])
    with gzip.open(data.meteor_file("data", "paraphrase-en.gz"), "rt", encoding="utf-8") as table:
        lines = (line.removesuffix("\n") for line in table)
        entries = zip(lines, lines, lines, strict=True)
        expected = [
            (one, other)
            for _, one, other in entries
            if (one in theirs and other in ours) or (one in ours and other in theirs)
        ]
    found = paraphrases.read_pairs(texts[300:], texts[:300])
    wanted = set(expected)
    assert [pair for pair in found if pair in wanted] == expected
    assert len(found) < 2 * len(expected)


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
    monkeypatch.setattr(paraphrases, "meteor_file", lambda *path: table)
    answer = score(["crew"], ["staff"], ["METEOR"])["METEOR"]
    assert isinstance(answer, Unavailable)
    assert answer.reason.startswith(f"{table}: damaged: ")


def test_another_stemmer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data.stemmer.cache_clear()
    monkeypatch.setattr(data, "version", lambda package: "3.0.1")
    reason = "METEOR needs snowballstemmer 2.2.0, found 3.0.1: pip install snowballstemmer==2.2.0"
    assert score(["a"], ["a"], ["METEOR"])["METEOR"] == Unavailable("METEOR", reason)


@pytest.mark.parametrize(("name", "module"), [("paraphrase-en.gz", paraphrases), ("meteor-1.5.jar", data)])
def test_a_file_of_another_version_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, module: ModuleType
) -> None:
    other = tmp_path / name
    other.write_bytes(b"of another version")
    found = data.published_file
    monkeypatch.setattr(data, "published_file", lambda *path: other if path[-1] == name else found(*path))
    for cached in (data._lines, data.abbreviations):
        cached.cache_clear()
    reason = f"{other}: not of METEOR 1.5: pip install --force-reinstall pycocoevalcap==1.2"
    assert score(["Mr. a"], ["a"], ["METEOR"])["METEOR"] == Unavailable("METEOR", reason)


def test_the_long_signature_names_the_implementation() -> None:
    ours = meteor(["the crew"], ["the crew"]).signature
    values = f"protocol:paper|tokenizer:none|jar:1.5|flags:-l en -norm|items:1|version:{__version__}"
    assert ours.long() == f"METEOR|{values}|implementation:python"
    assert "implementation" not in ours.values
    older = ours.model_copy(update={"values": {**ours.values, "version": "0.1.0"}})
    assert older.long().endswith("|implementation:java")


def test_a_missing_package_makes_the_metric_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microg_bench.metrics.packages.package_path", lambda *path: None)
    answer = score(["a"], ["a"], ["METEOR"])["METEOR"]
    assert answer == Unavailable("METEOR", "paraphrase-en.gz not found: pip install pycocoevalcap")


def test_without_words_in_the_references_the_score_can_only_be_0() -> None:
    for candidates in (["", ""], ["the crew", "floats"]):
        found = meteor(candidates, ["", " "])
        assert (found.value, found.notes) == (0, ("can only be 0 here: all references are empty",))
    assert meteor(["", ""], ["", "the crew"]).notes == ()
