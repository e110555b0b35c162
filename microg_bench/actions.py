"""What is particular to a scorecard of action recognition."""

from __future__ import annotations

from pydantic import Field

from microg_bench.records import SHA256, Record


class ActionEntry(Record):
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


class ActionFacts(Record):
    """What is particular to a scorecard of action recognition.

    `detections` and `groundtruth` are names of files without their folder; `map_over_ties` the lowest and
    highest mAP in %, over all orders of equal scores, None where it is not known; `counts` videos, frames,
    boxes and what was left out. `detections_sha256` is of the file of the detections, None where it is not
    known. `checkpoint` names the weights where the detections were made here, `checkpoint_sha256` is of their
    file.
    """

    detections: str
    detections_sha256: str | None = Field(default=None, pattern=SHA256)
    groundtruth: str
    checkpoint: str | None = None
    checkpoint_sha256: str | None = Field(default=None, pattern=SHA256)
    map_over_ties: tuple[float, float] | None
    counts: dict[str, int]
    actions: tuple[ActionEntry, ...]
