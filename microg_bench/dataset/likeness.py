"""Finds near-duplicate texts, exactly and without comparing all with all.

Two texts are near-duplicates if their sets of lower-cased words have a Jaccard similarity of at least a
threshold. Such sets share at least one of their rarest words (the prefix filter of Chaudhuri, Ganti and
Kaushik, ICDE 2006), so only sets that share one are compared.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from microg_bench.dataset.wording import words
from microg_bench.records import Request

THRESHOLD = 0.8
Words = frozenset[str]
Near = Sequence[tuple[float, Words]]


@dataclass(frozen=True)
class Likeness:
    """A text's nearest near-duplicate in another clip, and the nearest in a clip of another source, if any.

    Texts are known by their requests. Similarities lie from the threshold to 1, which same words have.
    """

    text: Request
    other: Request
    similarity: float
    elsewhere: Request | None = None
    similarity_elsewhere: float | None = None


def near_duplicates(texts: Sequence[tuple[Request, str]], threshold: float = THRESHOLD) -> list[Likeness]:
    """All texts that have a near-duplicate in another clip, in the order given.

    Of equally similar ones the first is taken, those of the same words before all others. Texts without
    words have none. The threshold is above 0 and at most 1.
    """
    sets = [frozenset(words(text)) for _, text in texts]
    members: dict[Words, list[Request]] = defaultdict(list)
    for (request, _), one in zip(texts, sets, strict=True):
        if one:
            members[one].append(request)
    near = _similar(list(members), threshold)
    witnesses = {one: _witnesses(requests) for one, requests in members.items()}
    found = (
        _nearest(request, near[one], witnesses) for (request, _), one in zip(texts, sets, strict=True) if one
    )
    return [one for one in found if one]


def _witnesses(requests: Sequence[Request]) -> list[Request]:
    """As many texts of the same words as tell, for any text, whether one is of another clip or source."""
    first = requests[0]
    others = [
        next((one for one in requests if one.video_id != first.video_id), None),
        next((one for one in requests if one.source != first.source), None),
    ]
    return [first, *(one for one in others if one)]


def _nearest(request: Request, near: Near, witnesses: Mapping[Words, Iterable[Request]]) -> Likeness | None:
    others = [
        (similarity, one)
        for similarity, key in near
        for one in witnesses[key]
        if one.video_id != request.video_id
    ]
    if not others:
        return None
    similarity, other = others[0]
    elsewhere = next(((score, one) for score, one in others if one.source != request.source), None)
    if elsewhere is None:
        return Likeness(request, other, similarity)
    return Likeness(request, other, similarity, elsewhere[1], elsewhere[0])


def _similar(sets: Sequence[Words], threshold: float) -> dict[Words, Near]:
    """For each set, which all differ, itself and the others that are similar enough, the nearest first."""
    counts = Counter(word for one in sets for word in one)
    rank = {word: place for place, word in enumerate(sorted(counts, key=lambda word: (counts[word], word)))}
    found: list[list[tuple[float, int]]] = [[(1.0, number)] for number in range(len(sets))]
    index: dict[str, list[int]] = defaultdict(list)
    for number, one in enumerate(sets):
        needed = math.ceil(threshold * len(one) - 1e-9)  # a word too few does no harm, one too many would
        rare = sorted(one, key=rank.__getitem__)[: len(one) - needed + 1]
        for other in {k for word in rare for k in index[word]}:
            score = len(one & sets[other]) / len(one | sets[other])
            if score >= threshold:
                found[number].append((score, other))
                found[other].append((score, number))
        for word in rare:
            index[word].append(number)
    ordered = (sorted(some, key=lambda pair: (-pair[0], pair[1])) for some in found)
    return {one: [(score, sets[k]) for score, k in some] for one, some in zip(sets, ordered, strict=True)}
