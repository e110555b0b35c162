"""Scores detections as the paper does: mAP@0.5, F1, recall and AUROC, macro over actions, with intervals."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from microg_bench import __version__
from microg_bench.actions import ActionEntry, ActionFacts
from microg_bench.dataset.annotations import source_notes
from microg_bench.dataset.labels import LabelMap, read_label_map
from microg_bench.errors import DataError
from microg_bench.har.warn import warnings
from microg_bench.metrics.base import Array
from microg_bench.metrics.detection import (
    ActionCounts,
    Flags,
    Places,
    Ranking,
    count_actions,
    precision_over_ties,
)
from microg_bench.persons.boxes import (
    Detections,
    GroundTruth,
    number_images,
    shown_in_frame,
    true_positives,
)
from microg_bench.scorecard import (
    COMPLETE,
    Counts,
    IntervalEntry,
    Scorecard,
    ScoreEntry,
    Signature,
)
from microg_bench.scoring.intervals import LEVEL, RESAMPLES, Clusters, bounds, resample
from microg_bench.text import many

ClusterKind = Literal["source", "clip"]
MAX_CELLS = 2**27  # boxes times clusters
BLOCK = 125  # resamples that are worked on at a time; they fit the processor's cache
# What each score is a mean of, over the actions for which it is defined.
FORMULAS: dict[str, Callable[[ActionCounts, Array], Array]] = {
    "mAP": ActionCounts.average_precision,
    "F1": ActionCounts.f1,
    "recall": ActionCounts.recall,
    "AUROC": ActionCounts.auroc,
}
# How each score is computed, as its signature states it.
RULES = {
    "mAP": {
        "iou": "0.5",
        "box": "greatest overlap",
        "precision": "monotone",
        "ties": "last of the file first",
    },
    "F1": {"threshold": "logit>=0.5", "truth": "frame", "undefined": "0"},
    "recall": {"threshold": "logit>=0.5", "truth": "frame", "undefined": "0"},
    "AUROC": {"truth": "frame", "ties": "half"},
}


def evaluate(
    detections: Detections,
    truth: GroundTruth,
    labels: LabelMap | None = None,
    *,
    clusters: ClusterKind = "source",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Scorecard:
    """Score detections against the ground truth, by the rules of the paper's published evaluation.

    Args:
        detections: n boxes with a raw logit for each action, scores of shape (n, actions). A box of a frame
            that the ground truth does not have is false.
        truth: the true boxes, one row per action; their order matters only among equal overlaps.
        labels: the actions that are scored; None takes the 50 of MicroG-4M.
        clusters: what is resampled for the intervals: source videos, or single clips (`video_id`).
        resamples: how many times; 0 gives no intervals.
        seed: of the resampling.

    Returns:
        A scorecard: scores in %, each with its 95% percentile bootstrap interval; the `har` part has the
        scores of each action. Its items are the detected boxes.

    Raises:
        DataError: no detection is in a frame of the ground truth, an action of the ground truth is not in the
            label map, the scores do not have a column for each action of it, or there are too many boxes.
    """
    labels = labels or read_label_map()
    matched = MatchedBoxes(detections, truth, labels, clusters if resamples else "all")
    notes = tuple(matched.cluster_notes())
    if matched.cells > MAX_CELLS:
        matched = replace(matched, kind="all")
    by_action = matched.scores(np.ones((matched.clusters.count, 1)))
    drawn = matched.resampled(resamples, seed) if matched.clusters.count > 1 else {}
    return Scorecard(
        task="har",
        status=COMPLETE,
        protocol="paper",
        items=len(detections),
        counts=Counts(answered=len(detections)),
        dataset=PurePath(truth.name).name,
        fingerprint=truth.fingerprint,
        scores={
            name: ScoreEntry(
                value=_percent(values[0]),
                interval=_interval(drawn[name]) if name in drawn else None,
                signature=signature(name, labels, truth.fingerprint, len(detections)),
            )
            for name, values in matched.means(by_action).items()
        },
        interval=IntervalEntry(
            method="percentile",
            level=LEVEL,
            clusters=matched.kind,
            cluster_count=matched.clusters.count,
            resamples=resamples,
            seed=seed,
        ),
        har=ActionFacts(
            detections=PurePath(detections.name).name,
            detections_sha256=detections.sha256,
            groundtruth=PurePath(truth.name).name,
            map_over_ties=matched.map_over_ties,
            counts=matched.facts(),
            actions=matched.entries(by_action),
        ),
        warnings=(
            *warnings(detections, truth, labels, matched.images, matched.examples, matched.map_over_ties),
            *notes,
        ),
    )


@dataclass(frozen=True)
class MatchedBoxes:
    """Detections and their ground truth, matched and counted once.

    `kind` is what the boxes are grouped by: source video, clip, or all in one group. Raises `DataError` where
    a side does not have the actions of the label map.
    """

    detections: Detections
    truth: GroundTruth
    labels: LabelMap
    kind: ClusterKind | Literal["all"]

    def __post_init__(self) -> None:
        if self.detections.scores.shape[1] != len(self.labels):
            width = self.detections.scores.shape[1]
            reason = f"{width} scores per box where the label map has {len(self.labels)} actions"
            raise DataError(reason, path=self.detections.name)
        if (self._columns < 0).any():
            index = int((self._columns < 0).argmax())
            reason = f"action id {self.truth.actions[index]} is not in the label map"
            raise DataError(reason, path=self.truth.name, item=self.truth.place(index))

    @cached_property
    def _columns(self) -> Places:
        return self.labels.positions(self.truth.actions)

    @cached_property
    def clusters(self) -> Clusters:
        """The clusters of the detected boxes, then of the true ones."""
        if self.kind == "all":
            return Clusters(np.zeros(len(self.detections) + len(self.truth), np.intp), 1)
        ids = [*self.detections.video_ids.tolist(), *self.truth.video_ids.tolist()]
        return Clusters.of([self.truth.source(one) for one in ids] if self.kind == "source" else ids)

    @property
    def cells(self) -> int:
        """How many numbers tell the cluster of each box, for every cluster one."""
        return self.clusters.count * max(self.clusters.count, len(self.clusters.member))

    def cluster_notes(self) -> Iterator[str]:
        """What a reader of the intervals must know."""
        if self.cells > MAX_CELLS:
            what = many(len(self.clusters.member), "box"), many(self.clusters.count, self.kind)
            yield f"no intervals: {' of '.join(what)} are too many to resample"
        elif self.kind == "source":
            ids = dict.fromkeys([*self.truth.video_ids.tolist(), *self.detections.video_ids.tolist()])
            yield from source_notes({video_id: self.truth.source(video_id) for video_id in ids})

    @cached_property
    def examples(self) -> NDArray[np.int64]:
        """True boxes of each action, shape (actions,)."""
        return np.bincount(self._columns, minlength=len(self.labels))

    @cached_property
    def images(self) -> tuple[Places, Places]:
        """See `number_images`."""
        return number_images(self.detections, self.truth)

    @cached_property
    def right(self) -> Flags:
        """See `true_positives`."""
        return true_positives(self.detections, self.truth, self.images, self._columns)

    @cached_property
    def _shown(self) -> Flags:
        return shown_in_frame(self.images, self._columns, len(self.labels))

    @cached_property
    def _ranking(self) -> Ranking:
        return Ranking.of(self.detections.scores, self.detections.visits)

    @cached_property
    def counts(self) -> ActionCounts:
        """The counts of each action, by cluster."""
        groups = np.eye(self.clusters.count)[self.clusters.member]
        detected, true = groups[: len(self.detections)], groups[len(self.detections) :]
        examples = np.zeros((len(self.labels), self.clusters.count))
        np.add.at(examples, self._columns, true)
        return count_actions(
            self.detections.scores,
            self._ranking,
            self.right,
            self._shown,
            self.detections.has_area,
            detected,
            examples,
        )

    def scores(self, weights: Array) -> dict[str, Array]:
        """Each score of each action, 0 to 1, shape (actions, r), for weights of shape (clusters, r)."""
        return {name: formula(self.counts, weights) for name, formula in FORMULAS.items()}

    @staticmethod
    def means(scores: dict[str, Array]) -> dict[str, Array]:
        """Mean over the actions for which a score is defined, shape (r,); NaN where it is for none."""
        found = {}
        for name, value in scores.items():
            defined = (~np.isnan(value)).sum(axis=0)
            total = np.nansum(value, axis=0)
            found[name] = np.divide(total, defined, out=np.full(total.shape, np.nan), where=defined > 0)
        return found

    def resampled(self, resamples: int, seed: int) -> dict[str, Array]:
        """Each score over all actions, 0 to 1, of resamples of the clusters, shape (resamples,)."""
        weights = resample(self.clusters.count, resamples, seed).T
        parts = [
            self.means(self.scores(weights[:, start : start + BLOCK].copy()))
            for start in range(0, resamples, BLOCK)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in FORMULAS}

    @cached_property
    def map_over_ties(self) -> tuple[float, float]:
        """Lowest and highest mAP in %, over all orders of equal scores."""
        extremes = precision_over_ties(self._ranking, self.right, self.detections.has_area, self.examples)
        low, high = 100 * extremes[self.examples > 0].mean(axis=0) if self.examples.any() else (0.0, 0.0)
        return float(low), float(high)

    def entries(self, scores: dict[str, Array]) -> tuple[ActionEntry, ...]:
        """The scores of each action, from `scores` for weights of 1."""
        shown = self._shown.sum(axis=0)
        return tuple(
            ActionEntry(
                id=self.labels.ids[c],
                name=self.labels.names[c],
                examples=int(self.examples[c]),
                shown=int(shown[c]),
                AP=_percent(scores["mAP"][c, 0]),
                F1=100 * float(scores["F1"][c, 0]),
                recall=100 * float(scores["recall"][c, 0]),
                AUROC=_percent(scores["AUROC"][c, 0]),
            )
            for c in range(len(self.labels))
        )

    def facts(self) -> dict[str, int]:
        """Numbers of videos, frames and boxes, and of those that are left out."""
        frames = int(self.images[1].max()) + 1
        return {
            "videos": len(set(self.truth.video_ids.tolist())),
            "frames": frames,
            "frames_without_detections": frames - len(np.intersect1d(*self.images)),
            "boxes": len(self.detections),
            "boxes_without_area": int((~self.detections.has_area).sum()),
            "true_rows": len(self.truth),
            "true_rows_without_area": int((~self.truth.has_area).sum()),
            "actions": len(self.labels),
            "actions_with_examples": int((self.examples > 0).sum()),
        }


def signature(score: str, labels: LabelMap, groundtruth: str, boxes: int) -> Signature:
    """What moves a score, apart from the detections; `groundtruth` is the fingerprint of the ground truth."""
    return Signature(
        metric=score,
        values={
            **RULES[score],
            "labels": labels.fingerprint[:12],
            "groundtruth": groundtruth[:12],
            "items": str(boxes),
            "version": __version__,
        },
    )


def _percent(value: float) -> float | None:
    return None if np.isnan(value) else 100 * float(value)


def _interval(values: Array) -> tuple[float, float] | None:
    """Percentile interval in %, over the resamples in which the score is defined."""
    found = bounds(values)
    return found and (100 * found[0], 100 * found[1])
