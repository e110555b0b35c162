import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microg_bench.adapters.references import TextIndex

TEXTS = ["who is floating", "what is floating", "a red pen", "a red pen and a blue pen"]


def test_the_same_words_are_most_similar_and_have_cosine_one() -> None:
    index = TextIndex(TEXTS)
    for number, text in enumerate(TEXTS):
        assert index.nearest(text.upper() + "?") == number
        assert index.similarities(text)[number] == pytest.approx(1.0)


def test_a_rare_word_weighs_more_than_a_common_one() -> None:
    index = TextIndex(["the pen", "the cup", "the bag"])
    assert index.nearest("the the cup") == 1


def test_words_never_seen_are_similar_to_nothing() -> None:
    assert not TextIndex(TEXTS).similarities("zebra").any()


def test_the_medoid_has_the_highest_mean_similarity() -> None:
    index = TextIndex(TEXTS)
    means = [index.similarities(text).mean() for text in TEXTS]
    assert index.medoid() == int(np.argmax(means))


@given(st.lists(st.text(alphabet="abc ", max_size=12), min_size=1, max_size=6))
def test_similarities_are_cosines(texts: list[str]) -> None:
    index = TextIndex(texts)
    found = np.array([index.similarities(text) for text in texts])
    assert (found >= 0).all()
    assert (found <= 1 + 1e-12).all()
    np.testing.assert_allclose(found, found.T, atol=1e-12)
