"""What scoring a detections file gives: scores with intervals, a row an action, and what to know of them."""

from __future__ import annotations

from typing import Any

from microg_bench.records import Record

SCHEMA = "microg-bench/actions/1"


class ActionScore(Record):
    """A score over all actions: `value` in %, its 95% interval, and what pins it.

    `value` is None where no action allows the score; `interval` where there are fewer than two clusters.
    """

    value: float | None
    interval: tuple[float, float] | None
    signature: str


class ActionRow(Record):
    """One action: true boxes (`examples`), boxes whose frame shows it (`shown`), and its scores in %.

    AP is None without examples; AUROC is None where all boxes, or none, show the action.
    """

    id: int
    name: str
    examples: int
    shown: int
    AP: float | None
    F1: float
    recall: float
    AUROC: float | None


class IntervalFacts(Record):
    """How the intervals were made."""

    level: float
    clusters: str
    cluster_count: int
    resamples: int
    seed: int


class Report(Record):
    """The scores of one detections file.

    Attributes:
        detections: what was scored, a name without its folder.
        groundtruth: what it was compared with.
        scores: mAP, F1, recall and AUROC over all actions.
        interval: how their intervals were made.
        mAP_over_ties: lowest and highest mAP, in %, over all orders of equal scores.
        counts: videos, frames, boxes and what was put aside.
        warnings: what a reader of the scores must know, a line each.
        actions: a row for each action of the label map.
    """

    detections: str
    groundtruth: str
    scores: dict[str, ActionScore]
    interval: IntervalFacts
    mAP_over_ties: tuple[float, float]  # noqa: N815 - the field's own spelling
    counts: dict[str, int]
    warnings: tuple[str, ...]
    actions: tuple[ActionRow, ...]

    def to_json(self) -> dict[str, Any]:
        """The content of a report file."""
        return {"schema": SCHEMA, **self.model_dump(mode="json")}


def together(reports: list[Report]) -> dict[str, Any]:
    """The content of a report file: of one report itself, of several a list."""
    if len(reports) == 1:
        return reports[0].to_json()
    return {"schema": SCHEMA, "reports": [report.model_dump(mode="json") for report in reports]}
