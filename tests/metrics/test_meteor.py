"""METEOR against the published jar, through its published Python driver and through the oracles."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from microg_bench.metrics import METRICS, Score, Unavailable, paraphrases, score, score_tasks
from microg_bench.metrics.meteor import MAX_WORDS
from microg_bench.metrics.texts import prepare
from tests.metrics.conftest import Oracle
from tests.metrics.reference import needs_java

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


def test_without_a_place_for_its_table_the_other_metrics_are_scored(
    small_table: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    found = score(["a crew"], ["a crew"], ["METEOR", "ROUGE-L"])
    assert isinstance(found["METEOR"], Unavailable)
    assert found["METEOR"].reason.startswith("METEOR's paraphrases cannot be read or written: ")
    assert isinstance(found["ROUGE-L"], Score)


def test_the_users_locale_does_not_move_the_score(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    candidates, references = ["IT IS THE CREW", "café crew"], ["it is the crew", "the café crew inside"]
    expected = meteor(candidates, references).per_item
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Duser.language=tr -Dfile.encoding=ISO-8859-1")
    np.testing.assert_array_equal(meteor(candidates, references).per_item, expected)


def test_a_damaged_reduced_table_is_built_again(small_table: None) -> None:
    table = paraphrases.reduced_table(["the Crew, inside"])
    whole = table.read_bytes()
    assert gzip.decompress(whole) == b"0.5\ncrew\nstaff\n"
    for damage in (whole[:-9], b"", b"not a table"):
        table.write_bytes(damage)
        assert paraphrases.reduced_table(["the Crew, inside"]) == table
        assert gzip.decompress(table.read_bytes()) == b"0.5\ncrew\nstaff\n"


def test_the_cache_keeps_a_bounded_number_of_tables(
    small_table: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paraphrases, "_TABLES_KEPT", 1)
    first = paraphrases.reduced_table(["one"])
    second = paraphrases.reduced_table(["two"])
    assert first != second
    assert list(paraphrases.cache_folder().iterdir()) == [second]


def test_without_a_writable_cache_the_whole_table_gives_the_same_score(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    candidates, references = (
        ["the astronaut speaks to the camera"],
        ["a crew member is talking at the camera"],
    )
    expected = meteor(candidates, references)
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert paraphrases.reduced_table(references).name == "paraphrase-en.gz"
    np.testing.assert_array_equal(meteor(candidates, references).statistics, expected.statistics)


def test_a_missing_jar_makes_the_metric_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microg_bench.metrics.java._package_folder", lambda package: None)
    answer = score(["a"], ["a"], ["METEOR"])["METEOR"]
    assert answer == Unavailable("METEOR", "meteor-1.5.jar not found: pip install pycocoevalcap")
