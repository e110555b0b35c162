"""CIDEr, BLEU and ROUGE-L against pycocoevalcap, on real and on generated text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microg_bench.metrics import METRICS, Score, Unavailable, lexical, ngrams, score
from tests.metrics.conftest import Oracle
from tests.metrics.reference import needs_java, published, published_tokens

pytestmark = pytest.mark.slow

LEXICAL = ("CIDEr", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L")

pytest.importorskip("pycocoevalcap.bleu.bleu")

# Few words, so that n-grams meet; all kinds of white space and odd characters between them.
words = st.sampled_from(["a", "b", "c", "astronaut", "'s", ".", "|||", "Ä", "\ud800", "\0", "-LRB-", "1"])
gaps = st.sampled_from([" ", " ", " ", "  ", "\n", "\r\n", "\t", "\u2028", "\x0b", "\xa0"])
texts = st.lists(st.tuples(words, gaps), max_size=12).map(lambda parts: "".join(map("".join, parts)))
sets = st.lists(st.tuples(texts, st.lists(texts, min_size=1, max_size=3)), min_size=1, max_size=8)


def assert_as_published(
    candidates: Sequence[str], references: Sequence[Sequence[str]], names: Sequence[str] = LEXICAL
) -> None:
    families = sorted({name.split("-")[0] if name.startswith("BLEU") else name for name in names})
    assert_equal(score(candidates, references, names), published(candidates, references, families), names)


def assert_equal(
    scores: Mapping[str, Score | Unavailable],
    expected: Mapping[str, tuple[float, np.ndarray]],
    names: Sequence[str] = LEXICAL,
) -> None:
    for name in names:
        ours = scores[name]
        assert isinstance(ours, Score)
        assert ours.value == pytest.approx(expected[name][0], abs=1e-9), name
        np.testing.assert_allclose(ours.per_item, expected[name][1], rtol=0, atol=1e-6, err_msg=name)


@pytest.mark.heavy
def test_scores_are_as_published_on_the_oracles(oracle: Oracle) -> None:
    keys = list(oracle.references)
    assert_as_published([oracle.candidates[key] for key in keys], [[oracle.references[key]] for key in keys])


@pytest.mark.heavy
def test_scores_under_coco_are_as_published_on_the_oracles(oracle: Oracle) -> None:
    needs_java()
    keys = list(oracle.references)
    ours = published_tokens([oracle.candidates[key] for key in keys])
    theirs = published_tokens([oracle.references[key] for key in keys])
    scores = score(oracle.candidates, oracle.references, LEXICAL, "coco")
    assert_equal(scores, published(ours, [[text] for text in theirs]))


@given(sets)
@settings(max_examples=150, deadline=None)
def test_scores_are_as_published_on_any_text(items: list[tuple[str, list[str]]]) -> None:
    candidates, references = [item[0] for item in items], [item[1] for item in items]
    # The published CIDEr cannot count document frequencies where no reference has a word.
    names = LEXICAL if any(text.split() for refs in references for text in refs) else LEXICAL[1:]
    assert_as_published(candidates, references, names)


@pytest.mark.parametrize(
    ("candidates", "references"),
    [
        pytest.param(["the crew\nfloats  by"], [["the crew floats by"]], id="line break and double space"),
        pytest.param(["", "a b c d e"], [["a b"], ["a b c d e"]], id="empty candidate"),
        pytest.param(["a b", "c"], [[""], ["c d"]], id="empty reference"),
        pytest.param(["", "c"], [[""], ["c"]], id="both empty"),
        pytest.param(["a b c d"], [["a b c d"]], id="one item"),
        pytest.param(["a b", "b a"], [["x y"], ["x y"]], id="all references equal"),
        pytest.param(["a ||| b", "c"], [["a ||| b"], ["d"]], id="separator"),
        pytest.param(["word " * 5000, "b"], [["a word or two"], ["b"]], id="5,000 words"),
        pytest.param(
            ["a b c"] * 3, [["a b", "a b c d", "x"], ["a"], ["c b a", "b"]], id="several references"
        ),
    ],
)
def test_edge_cases_are_as_published(candidates: list[str], references: list[list[str]]) -> None:
    assert_as_published(candidates, references)


def test_references_without_a_word_score_zero_where_the_published_cider_raises() -> None:
    with pytest.raises(ValueError, match="empty"):
        published(["a b"], [[""]], ["CIDEr"])
    cider = score(["a b", ""], ["", ""], ["CIDEr"])["CIDEr"]
    assert isinstance(cider, Score)
    assert cider.value == 0
    assert cider.per_item.tolist() == [0, 0]


@pytest.mark.parametrize("name", LEXICAL)
def test_any_rows_of_statistics_score_as_the_same_items_do(small_captions: Oracle, name: str) -> None:
    keys = list(small_captions.references)
    whole = score(small_captions.candidates, small_captions.references, [name])[name]
    assert isinstance(whole, Score)
    rows = np.random.default_rng(3).integers(0, len(keys), size=90)
    resampled = METRICS[name].aggregate(whole.statistics[rows])
    if name == "CIDEr":
        # Its document frequencies stay those of the whole set.
        assert resampled == pytest.approx(whole.per_item[rows].mean(), abs=1e-9)
        return
    chosen = [keys[row] for row in rows]
    again = score(
        [small_captions.candidates[key] for key in chosen],
        [small_captions.references[key] for key in chosen],
        [name],
    )[name]
    assert isinstance(again, Score)
    assert resampled == pytest.approx(again.value, abs=1e-9)


def test_many_resamples_are_combined_at_once(small_captions: Oracle) -> None:
    whole = score(small_captions.candidates, small_captions.references, ["BLEU-4"])["BLEU-4"]
    assert isinstance(whole, Score)
    draws = np.random.default_rng(5).integers(0, 60, size=(20, 60))
    together = METRICS["BLEU-4"].combine(whole.statistics[draws].sum(axis=1), 60.0)
    alone = [METRICS["BLEU-4"].aggregate(whole.statistics[rows]) for rows in draws]
    np.testing.assert_allclose(together, alone, rtol=1e-12)
    assert len(set(alone)) == 20


def test_rouge_of_a_known_pair_follows_the_formula() -> None:
    rouge = score(["a b c d"], ["a c x"], ["ROUGE-L"])["ROUGE-L"]
    assert isinstance(rouge, Score)
    precision, recall, beta = 2 / 4, 2 / 3, 1.2
    expected = (1 + beta**2) * precision * recall / (recall + beta**2 * precision)
    assert math.isclose(rouge.value, 100 * expected)


def test_keys_too_large_to_be_packed_are_ranked_alike() -> None:
    keys = np.random.default_rng(7).integers(0, 400, 5000)
    ranks = np.unique(keys, return_inverse=True)[1]
    np.testing.assert_array_equal(ngrams._ranks(keys), ranks)
    np.testing.assert_array_equal(ngrams._ranks(keys << 54), ranks)
    assert len(ngrams._ranks(keys[:0])) == 0


def test_texts_in_many_parts_score_as_published(
    small_captions: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ngrams, "_PART", 50)
    keys = list(small_captions.references)
    assert_as_published(
        [small_captions.candidates[key] for key in keys], [[small_captions.references[key]] for key in keys]
    )


@pytest.mark.parametrize(
    ("references", "metric", "note"),
    [
        (["a man floats in space"], "CIDEr", "can only be 0 here: one item"),
        (["a man floats"] * 3, "CIDEr", "can only be 0 here: all references are alike"),
        (["", " "], "CIDEr", "can only be 0 here: all references are empty"),
        (["a b a b", "b a b a"], "CIDEr", None),
        (["a man floats", "two suits"], "BLEU-4", "3.16 at most here: no reference has 4 words"),
        (["two", "three"], "BLEU-2", "0.10 at most here: no reference has 2 words"),
        (["two", "three"], "BLEU-4", "can only be 0 here: no reference has 4 words"),
        (["", ""], "BLEU-1", "can only be 0 here: no reference has 1 word"),
        (["a man floats there", "two"], "BLEU-4", None),
        (["a man floats"], "ROUGE-L", None),
    ],
)
def test_a_score_that_references_alone_keep_low_says_so(
    references: list[str], metric: str, note: str | None
) -> None:
    """What the note promises holds for the best of answers, the references themselves, and for others."""
    found = score(references, references, [metric])[metric]
    assert isinstance(found, Score)
    assert found.notes == (() if note is None else (note,))
    for candidates in (references, ["a man floats in space today"] * len(references)):
        other = score(candidates, references, [metric])[metric]
        assert isinstance(other, Score)
        if note:
            highest = 0.005 if "only" in note else float(note.split()[0]) + 0.005
            assert other.value < highest
        elif candidates == references:
            assert other.value > 50


def rouge(candidate: str, references: Sequence[str]) -> Score:
    found = score([candidate], [references], ["ROUGE-L"])["ROUGE-L"]
    assert isinstance(found, Score)
    return found


def test_a_text_of_millions_of_words_is_scored_beside_a_short_one() -> None:
    """Bit vectors of the length of the long text would take hours."""
    short, count = "a b c d e f g h i j", 5_000_000
    long = "x " * (count - 10) + short
    precision, recall = 10 / count, 1.0
    for candidate, reference, shares in (
        (long, short, (precision, recall)),
        (short, long, (recall, precision)),
    ):
        found = rouge(candidate, [reference])
        expected = (1 + 1.2**2) * shares[0] * shares[1] / (shares[1] + 1.2**2 * shares[0])
        assert found.value == pytest.approx(100 * expected, rel=1e-12)
        assert found.notes == ()


def test_two_texts_of_very_many_words_are_cut_and_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    long, other = "a " * 40_000 + "b", "c " * 2**15 + "a " * 7_233
    found = rouge(long, [other, "a b"])
    assert found.notes == ("1 pair(s) of texts cut to their first 32,768 words",)
    monkeypatch.setattr(lexical, "MAX_WORDS", 10)
    cut = rouge("a b c d e f g h i j k", ["a b c d e f g h i x j k"])
    assert cut.notes == ("1 pair(s) of texts cut to their first 10 words",)
    assert cut.value == pytest.approx(90)
    whole = rouge("a b c d e f g h i j", ["a b c d e f g h i x"])
    assert (whole.value, whole.notes) == (pytest.approx(90), ())


@given(texts, st.lists(texts, min_size=1, max_size=3))
@settings(max_examples=100, deadline=None)
def test_both_directions_find_the_same_words(text: str, others: list[str]) -> None:
    for other in others:
        assert rouge(text, [other]).statistics[0, 0] == pytest.approx(_plain_rouge(text, other), abs=1e-12)


def _plain_rouge(candidate: str, reference: str) -> float:
    """By the table of all prefixes."""
    ours, theirs = candidate.split(" "), reference.split(" ")
    row = [0] * (len(theirs) + 1)
    for word in ours:
        before, row = row, [0]
        for place, other in enumerate(theirs, start=1):
            row.append(before[place - 1] + 1 if word == other else max(before[place], row[-1]))
    precision, recall = row[-1] / len(ours), row[-1] / len(theirs)
    return (1 + 1.2**2) * precision * recall / (recall + 1.2**2 * precision) if row[-1] else 0.0
