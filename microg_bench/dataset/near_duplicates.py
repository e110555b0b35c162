"""Finds near-duplicate texts, exactly and without comparing all with all.

Two texts are near-duplicates if their sets of lower-cased words have a Jaccard similarity of at least a
threshold. Only sets that share one of their rarest words are compared: the prefix filter of Chaudhuri, Ganti
and Kaushik (ICDE 2006), which misses none.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from microg_bench.records import Request

THRESHOLD = 0.8
WordSet = frozenset[str]
# Word sets with their similarity to one set, the most similar first.
Neighbours = Sequence[tuple[float, WordSet]]

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


@dataclass(frozen=True)
class NearDuplicate:
    """A text's most similar text of another clip, and its most similar one of another source, if any.

    Texts are known by their requests. Similarities are from the threshold to 1, which the same words have.
    """

    text: Request
    nearest: Request
    similarity: float
    nearest_in_other_source: Request | None = None
    similarity_in_other_source: float | None = None


def near_duplicates(
    texts: Sequence[tuple[Request, str]], threshold: float = THRESHOLD
) -> list[NearDuplicate]:
    """All texts that have a near-duplicate in another clip, in the order given.

    Of equally similar ones the first is taken, those of the same words before all others. Texts without
    words have none. The threshold is above 0 and at most 1.
    """
    sets = [frozenset(words(text)) for _, text in texts]
    requests: dict[WordSet, list[Request]] = defaultdict(list)
    for (request, _), one in zip(texts, sets, strict=True):
        if one:
            requests[one].append(request)
    neighbours = _neighbours(list(requests), threshold)
    candidates = {one: _candidates(some) for one, some in requests.items()}
    found = (
        _nearest(request, neighbours[one], candidates)
        for (request, _), one in zip(texts, sets, strict=True)
        if one
    )
    return [one for one in found if one]


def _candidates(requests: Sequence[Request]) -> list[Request]:
    """Of texts with the same words: the first, the first of another clip, and the first of another source.

    For any text, the first one of another clip or source is among these; the others need not be looked at.
    """
    first = requests[0]
    others = [
        next((one for one in requests if one.video_id != first.video_id), None),
        next((one for one in requests if one.source != first.source), None),
    ]
    return [first, *(one for one in others if one)]


def _nearest(
    request: Request, neighbours: Neighbours, candidates: Mapping[WordSet, Iterable[Request]]
) -> NearDuplicate | None:
    others = [
        (similarity, one)
        for similarity, key in neighbours
        for one in candidates[key]
        if one.video_id != request.video_id
    ]
    if not others:
        return None
    similarity, nearest = others[0]
    similarity_there, nearest_there = next(
        ((score, one) for score, one in others if one.source != request.source), (None, None)
    )
    return NearDuplicate(request, nearest, similarity, nearest_there, similarity_there)


def _neighbours(sets: Sequence[WordSet], threshold: float) -> dict[WordSet, Neighbours]:
    """For each of the sets, which all differ: itself, then the others that are similar enough."""
    found: list[list[tuple[float, int]]] = [[(1.0, number)] for number in range(len(sets))]
    seen: dict[str, list[int]] = defaultdict(list)  # sets so far, by each word of their prefix
    for number, prefix in enumerate(_prefixes(sets, threshold)):
        for other in {candidate for word in prefix for candidate in seen[word]}:
            similarity = len(sets[number] & sets[other]) / len(sets[number] | sets[other])
            if similarity >= threshold:
                found[number].append((similarity, other))
                found[other].append((similarity, number))
        for word in prefix:
            seen[word].append(number)
    ordered = (sorted(some, key=lambda pair: (-pair[0], pair[1])) for some in found)
    return {one: [(score, sets[k]) for score, k in some] for one, some in zip(sets, ordered, strict=True)}


def _prefixes(sets: Sequence[WordSet], threshold: float) -> list[list[str]]:
    """The rarest words of each set, so many that sets which are similar enough share one of them.

    Sets of similarity t or more have at least ⌈t·n⌉ words in common, n the size of either. So they share one
    of any n − ⌈t·n⌉ + 1 words of that set; where both sets take their words in one order, the first word that
    they share is among those of both. The rarest words first give the fewest comparisons.
    """
    counts = Counter(word for one in sets for word in one)
    rank = {word: place for place, word in enumerate(sorted(counts, key=lambda word: (counts[word], word)))}
    prefixes = []
    for one in sets:
        # Less a little, so that a rounding error never raises it: a prefix that is too long does no harm.
        shared = math.ceil(threshold * len(one) - 1e-9)
        prefixes.append(sorted(one, key=rank.__getitem__)[: len(one) - shared + 1])
    return prefixes


def words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation; `astronaut's` is one."""
    return _WORD.findall(text.lower())
