"""Divides clips into train, val and test so that all clips of a source video are in the same part."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import product

import numpy as np
from numpy.typing import NDArray

from microg_bench.dataset.annotations import source_of
from microg_bench.errors import DataError
from microg_bench.text import many

PARTS = ("train", "val", "test")
DRAWS, TRIED = 10_000, 50
MANY = 1000  # sources; so many are near the shares when drawn, and are not moved
_MOST_DRAWN = 10_000_000  # sources of all draws together
_STEP = 0.02  # differences of shares below this do not count
Parts = NDArray[np.int64]
Costs = NDArray[np.float64]


def split_sources(
    actions: Mapping[str, Iterable[int]], shares: tuple[float, float, float], seed: int
) -> dict[str, list[str]]:
    """Divide videos into `train`, `val` and `test`, each a list of video ids in ascending order.

    Of 10,000 drawn divisions of the sources, the 50 best are tried: single sources are moved as long as that
    makes one better. The best of them is taken. Better is, in this order: fewer parts without a video; fewer
    actions that train lacks; shares of the videos that are nearer those wanted (their differences sum to
    fewer steps of 2%); fewer actions that val and test lack. Above 1,000 sources there are fewer draws, and
    nothing is moved.

    Args:
        actions: the action ids of each video id, whose source is told by its name.
        shares: wanted of the videos, of train, val and test; they sum to 1.
        seed: of the draws, by NumPy's legacy generator, whose numbers do not change between versions.

    Raises:
        DataError: there are fewer than three sources.
    """
    clips: dict[str, list[str]] = defaultdict(list)
    for name in sorted(actions):
        clips[source_of(name)].append(name)
    if len(clips) < len(PARTS):
        sources = many(len(clips), "source")
        raise DataError(f"the clips are of {sources}: a split that keeps them together needs three")
    ids = sorted({action for shown in actions.values() for action in shown})
    shows = np.array(
        [[any(action in set(actions[name]) for name in own) for action in ids] for own in clips.values()]
    )
    division = _Division(np.array([len(own) for own in clips.values()]), shows, np.array(shares))
    parts = division.best(np.array([division.improved(one) for one in division.drawn(seed)]))
    found: dict[str, list[str]] = {part: [] for part in PARTS}
    for part, own in zip(parts.tolist(), clips.values(), strict=True):
        found[PARTS[part]] += own
    return {part: sorted(names) for part, names in found.items()}


class _Division:
    """Judges divisions of sources, each the part of every source, shape (n,); several are of shape (m, n).

    `sizes` are the numbers of clips of the sources, shape (n,), `shows` what they show, shape (n, actions).
    """

    def __init__(self, sizes: NDArray[np.int64], shows: NDArray[np.bool_], shares: Costs) -> None:
        self._sizes, self._shows, self._shares = sizes, shows.astype(np.float32), shares

    def drawn(self, seed: int) -> Parts:
        """The best of many, shape (TRIED, n)."""
        generator = np.random.RandomState(seed)
        count = len(self._sizes)
        draws = max(1, min(DRAWS, _MOST_DRAWN // count))
        parts: Parts = generator.choice(len(PARTS), (draws, count), p=self._shares)
        return parts[self._order(parts)[:TRIED]]

    def improved(self, parts: Parts) -> Parts:
        """One division, with single sources moved to other parts as long as that makes it better."""
        while len(parts) <= MANY:
            moved = np.repeat(parts[None], 1 + len(PARTS) * len(parts), axis=0)
            for row, (source, part) in enumerate(product(range(len(parts)), range(len(PARTS))), start=1):
                moved[row, source] = part
            best = self._order(moved)[0]
            if not best:  # it is the first itself
                break
            parts = moved[best]
        return parts

    def best(self, parts: Parts) -> Parts:
        """The best of divisions: the first, where several are."""
        best: Parts = parts[self._order(parts)[0]]
        return best

    def _order(self, parts: Parts) -> NDArray[np.intp]:
        """The places of divisions, the best first."""
        return np.lexsort(self._costs(parts).T[::-1])

    def _costs(self, parts: Parts) -> Costs:
        """What is to be small of each division, the most important first, shape (m, 4)."""
        within = [parts == part for part in range(len(PARTS))]
        sizes = np.stack([one @ self._sizes for one in within], axis=1)
        lacks = [(one.astype(np.float32) @ self._shows == 0).sum(axis=1) for one in within]
        apart = np.abs(sizes / self._sizes.sum() - self._shares).sum(axis=1)
        costs = [(sizes == 0).sum(axis=1), lacks[0], np.floor(apart / _STEP), lacks[1] + lacks[2]]
        return np.stack(costs, axis=1).astype(float)
