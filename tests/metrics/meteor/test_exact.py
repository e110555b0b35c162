"""METEOR against the published jar: the oracles, generated texts, and what one gets wrong at first."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microg_bench.metrics import METRICS, Score, score, score_tasks
from microg_bench.metrics.texts import prepare
from tests.metrics.conftest import Oracle
from tests.metrics.reference import MeteorJar, needs_java

pytestmark = pytest.mark.slow

published = pytest.importorskip("pycocoevalcap.meteor.meteor")

Item = tuple[str, list[str]]
CHUNKS, MATCHED = 20, slice(21, 23)
EXACT = 1e-12 * 100  # of scores from 0 to 100


def assert_as_the_jar(jar: MeteorJar, items: Sequence[Item]) -> np.ndarray:
    """Compare every count and score; return the counts."""
    candidates, references = [item[0] for item in items], [item[1] for item in items]
    ours = score(candidates, references, ["METEOR"])["METEOR"]
    assert isinstance(ours, Score), ours
    expected = jar.counts(candidates, references)
    scores, corpus = jar.scores(expected)
    np.testing.assert_allclose(ours.per_item, 100 * scores, rtol=0, atol=EXACT)
    assert ours.value == pytest.approx(100 * corpus, abs=EXACT, nan_ok=True)
    # The jar leaves the chunk of a perfect item out of its sums only.
    perfect = (expected[:, CHUNKS] == 1) & (expected[:, :2] == expected[:, MATCHED]).all(axis=1)
    np.testing.assert_array_equal(ours.statistics[perfect, CHUNKS], 0)
    expected[perfect, CHUNKS] = 0
    np.testing.assert_array_equal(ours.statistics, expected)
    return ours.statistics


ODD: list[Item] = [
    ("the crew floats", ["the crew floats"]),
    ("floats the crew", ["the crew floats"]),
    ("", ["the crew"]),
    ("the crew", [""]),
    ("", [""]),
    ("a man drifts by", ["someone else", "a man floats by", "a man"]),
    ("ISTANBUL I İ ß ΣΑΣ “quoted” — dash…", ["istanbul i i ss σασ 'quoted' - dash ..."]),
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
        for task, texts in tasks.items():
            tokenized = prepare(*texts, protocol).tokenized
            pairs += zip(tokenized.candidates, tokenized.references, strict=True)
            ours.append(found[task]["METEOR"])
    corpus, items = published.Meteor().compute_score(
        {index: [" ".join(text.split()) for text in pair[1]] for index, pair in enumerate(pairs)},
        {index: [" ".join(pair[0].split())] for index, pair in enumerate(pairs)},
    )
    assert all(isinstance(one, Score) for one in ours), ours
    found = np.concatenate([one.per_item for one in ours])
    np.testing.assert_allclose(found, 100 * np.array(items), rtol=0, atol=EXACT)
    together = METRICS["METEOR"].aggregate(np.concatenate([one.statistics for one in ours]))
    assert together == pytest.approx(100 * corpus, abs=EXACT)


@pytest.mark.heavy
@pytest.mark.parametrize("protocol", ["paper", "coco"])
def test_every_count_of_the_oracles_is_the_jars(oracle: Oracle, meteor_jar: MeteorJar, protocol: str) -> None:
    tokenized = prepare(oracle.candidates, oracle.references, protocol).tokenized
    items = [
        (" ".join(text.split()), [" ".join(one.split()) for one in several])
        for text, several in zip(tokenized.candidates, tokenized.references, strict=True)
    ]
    assert_as_the_jar(meteor_jar, items)


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
def test_every_count_of_scrambled_texts_is_the_jars(
    references: dict[str, dict[Any, str]], meteor_jar: MeteorJar
) -> None:
    """Repeated words fill the beam, and one pair has more words than an integer has bits."""
    draw = random.Random(3)
    texts = sorted({*references["caption"].values(), *references["vqa"].values()})
    items = [(" ".join(texts[:20]), [" ".join(texts[10:30])]), *ODD]
    for text in draw.sample(texts, 600):
        several = [
            scrambled(draw.choice([text, draw.choice(texts)]), draw) for _ in range(draw.randint(1, 3))
        ]
        items.append((scrambled(text, draw), several))
    assert_as_the_jar(meteor_jar, items)


FAMILIAR = [
    *("the", "a", "is", "of", "crew", "crews", "staff", "talk", "talks", "talking", "speaks", "floating"),
    *("international", "emergency", "organize", "organized", "men", "man", "children", "handful", "glasses"),
    *("U.S.", "Mr.", "No. 5", "x-y", "a,b,c", "crew's", "3.5", "1,000", "...", "--", "“quote”", "c0", "an"),
]
characters = st.characters(exclude_categories=("Cs", "Cc", "Cn"), exclude_characters="|")
words = st.sampled_from(FAMILIAR) | st.text(characters, min_size=1, max_size=6)
plain = st.lists(words, max_size=12).map(lambda parts: " ".join(" ".join(parts).split()))
repeats = st.lists(st.sampled_from(["the", "a", "is", "crew", "talks", "speaks"]), max_size=25).map(" ".join)


@st.composite
def items(draw: st.DrawFn) -> Item:
    """A text with one reference or several, of which some are the text in another order, or longer."""
    text = draw(plain | repeats)
    shuffled = st.permutations(text.split()).map(" ".join)
    longer = st.integers(2, 12).map(lambda times: " ".join([text] * times).strip())
    return text, draw(st.lists(plain | repeats | shuffled | longer, min_size=1, max_size=3))


@pytest.mark.heavy
@settings(max_examples=25, deadline=None)
@given(some=st.lists(items(), min_size=20, max_size=40))
def test_every_count_of_generated_texts_is_the_jars(meteor_jar: MeteorJar, some: list[Item]) -> None:
    assert_as_the_jar(meteor_jar, some)
