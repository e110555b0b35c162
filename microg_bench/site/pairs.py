"""Which rows differ for certain: every pair of a board under every metric, corrected for their number."""

from __future__ import annotations

from collections.abc import Sequence

from microg_bench.leaderboard.compare import Comparison, Scored, compare
from microg_bench.site.entries import Entry
from microg_bench.site.watcher import Watcher


def comparisons(entries: Sequence[Entry], watcher: Watcher) -> list[Comparison]:
    """The comparisons of all pairs of entries that can be compared, metric by metric.

    Under a metric, entries go together where task, references, items and the metric's signature are the same,
    and where the statistics of their items are at hand.
    """
    groups: dict[tuple[object, ...], list[Scored]] = {}
    for entry in entries:
        statistics, card = entry.statistics, entry.card
        if statistics is None:
            continue
        for name, score in card.scores.items():
            if name in statistics.metrics:
                alone = card.model_copy(update={"scores": {name: score}})
                key = (card.task, card.fingerprint, statistics.ids, name, score.signature_long)
                groups.setdefault(key, []).append(Scored(entry.place, "", alone, statistics))
    known = [runs for runs in groups.values() if len(runs) > 1]
    watcher.begin("comparing", len(known), 0)
    found = []
    for runs in known:
        found += compare(runs)
        watcher.step()
    return found
