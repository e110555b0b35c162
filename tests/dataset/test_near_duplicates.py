from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microg_bench.dataset.load import load
from microg_bench.dataset.near_duplicates import NearDuplicate, near_duplicates, words
from microg_bench.records import Request
from microg_bench.tasks import TASKS, items_of

pytestmark = pytest.mark.slow

Texts = Sequence[tuple[Request, str]]


def request(clip: str, number: int) -> Request:
    source = clip.partition("_")[0]
    return Request(id=f"{clip}#{number}", task="vqa", video_id=clip, source=source)


def all_pairs(texts: Texts, threshold: float) -> list[NearDuplicate]:
    """What is sought, by comparing every text with every other; sets count by their first text."""
    sets = {one.id: frozenset(words(text)) for one, text in texts}
    first: dict[frozenset[str], int] = {}
    for place, (one, _) in enumerate(texts):
        first.setdefault(sets[one.id], place)
    found = []
    for one, _ in texts:
        near = []
        for place, (other, _) in enumerate(texts):
            a, b = sets[one.id], sets[other.id]
            score = len(a & b) / len(a | b) if a and b else 0.0
            if other.video_id != one.video_id and score >= threshold:
                near.append((-score, first[b], place, other))
        near.sort(key=lambda entry: entry[:3])
        if near:
            there = [entry for entry in near if entry[3].source != one.source]
            other_source = (there[0][3], -there[0][0]) if there else (None, None)
            found.append(NearDuplicate(one, near[0][3], -near[0][0], *other_source))
    return found


@settings(max_examples=300, deadline=None)
@given(
    drawn=st.lists(
        st.tuples(st.sampled_from(["a_0", "a_1", "b_0", "c_0"]), st.text("abcdefg ", max_size=14)),
        max_size=25,
    ),
    threshold=st.sampled_from([0.05, 0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
)
def test_any_texts_have_the_near_duplicates_that_all_pairs_show(
    drawn: list[tuple[str, str]], threshold: float
) -> None:
    texts = [(request(clip, k), " ".join(text)) for k, (clip, text) in enumerate(drawn)]
    assert near_duplicates(texts, threshold) == all_pairs(texts, threshold)


@pytest.mark.heavy
@pytest.mark.parametrize("task", ["caption", "vqa"])
def test_the_real_texts_have_the_near_duplicates_that_all_pairs_show(shared: Path, task: str) -> None:
    dataset = load(str(shared / "data" / "microg4m" / "vqa_and_captioning.json"))
    items = items_of(next(one for one in TASKS.values() if one.name == task), dataset.clips)
    some = random.Random(4).sample(items, 700)
    texts = [(item.request, item.request.question or item.reference) for item in some]
    found = near_duplicates(texts, 0.6)
    assert found == all_pairs(texts, 0.6)
    assert len(found) > 40


def test_a_similarity_of_just_the_threshold_counts() -> None:
    signs = "abcdefghijklmnopqrstuvwxy"  # 0.56 of 25 is 14, but 0.56 * 25 is more
    texts = [(request("a_0", 1), " ".join(signs)), (request("b_0", 1), " ".join(signs[11:]))]
    assert [one.similarity for one in near_duplicates(texts, 0.56)] == [0.56, 0.56]
    assert near_duplicates(texts, 0.57) == []


def test_only_other_clips_count_and_other_sources_are_told_apart() -> None:
    texts = [
        (request("a_0", 1), "What floats here?"),
        (request("a_0", 2), "what floats, here"),
        (request("a_1", 1), "Here floats what?"),
        (request("b_0", 1), "What floats in here now, then?"),
        (request("c_0", 1), "..."),
        (request("d_0", 1), "!"),
    ]
    first, second, third = near_duplicates(texts)
    assert (first.nearest.id, first.similarity, first.nearest_in_other_source) == ("a_1#1", 1.0, None)
    assert (second.text.id, second.nearest.id) == ("a_0#2", "a_1#1")
    assert (third.nearest.id, third.similarity_in_other_source) == ("a_0#1", None)
    wider = near_duplicates(texts, 0.5)
    assert [one.similarity_in_other_source for one in wider] == [0.5, 0.5, 0.5, 0.5]
    assert (wider[3].nearest.id, wider[3].similarity) == ("a_0#1", 0.5)


def test_many_texts_of_the_same_words_are_compared_once() -> None:
    texts = [(request("a_0", k), "What floats here?") for k in range(20_000)]
    assert near_duplicates(texts) == []
    again = near_duplicates([*texts, (request("b_0", 0), "Here floats what?")])
    assert len(again) == len(texts) + 1
    assert {one.nearest.id for one in again} == {"b_0#0", "a_0#0"}
