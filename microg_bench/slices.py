"""Parts of the items of a scorecard: their scores, and whether these differ from those of the other items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import Field

from microg_bench.records import Record

# Clips of the smallest slice that has intervals and is compared: of fewer, one clip is more than 5% of it.
SMALLEST = 20
SIGNIFICANT = 0.05  # corrected p-value below which a slice is said to differ
# What the labels of the actions tell of a clip, in the order of the tables.
LABELLED = ("action", "action_group", "people", "footage", "motion")
Probability = Annotated[float, Field(ge=0, le=1)]


class SliceDifference(Record):
    """The score of a slice less that of the other items of its kind, ×100, with the p-value of no difference.

    `corrected` is `p` corrected over all slices that are compared under this metric (Holm 1979).
    """

    value: float
    p: Probability
    corrected: Probability

    @property
    def differs(self) -> bool:
        """Whether it is said that the slice differs."""
        return self.corrected < SIGNIFICANT


class SliceEntry(Record):
    """The scores, ×100, of part of the items; document frequencies are those of all items.

    `sources` is the number of source videos of the items, None in files of versions that do not tell it.
    `intervals` and `differences` are by metric; slices of fewer than `SMALLEST` clips have none.
    """

    items: int
    scores: dict[str, float]
    sources: int | None = None
    intervals: dict[str, tuple[float, float]] = Field(default_factory=dict)
    differences: dict[str, SliceDifference] = Field(default_factory=dict)

    @property
    def differs(self) -> bool:
        """Whether one of its scores differs from that of the other items."""
        return any(one.differs for one in self.differences.values())


SliceScores = dict[str, dict[str, dict[str, float]]]  # ×100, by kind, label and metric
Slices = Mapping[str, Mapping[str, SliceEntry]]  # by kind, then by label


def differing(slices: Slices) -> Iterator[tuple[str, str, SliceEntry]]:
    """Kind, label and entry of each slice that differs from the other items."""
    for kind, labels in slices.items():
        for label, one in labels.items():
            if one.differs:
                yield kind, label, one


def slice_notes(slices: Slices) -> Iterator[str]:
    """What a reader of the differences must know; nothing where no slice is compared."""
    compared = [one for labels in slices.values() for one in labels.values() if one.differences]
    if compared:
        differ, sources = sum(one.differs for one in compared), len(slices.get("source", ()))
        yield (
            f"{differ} of {len(compared)} slices with {SMALLEST} clips or more differ from the other items "
            f"(p below {SIGNIFICANT} after Holm's correction); p: sign flips of {sources} source videos"
        )
