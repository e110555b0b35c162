"""Scores detections as the paper does: mAP@0.5, F1, recall and AUROC, macro over actions, with intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from microg_bench import __version__
from microg_bench.dataset.annotations import source_of
from microg_bench.errors import DataError
from microg_bench.har.boxes import Detections, GroundTruth
from microg_bench.har.counts import Array, Counts, count, precision_over_ties
from microg_bench.har.labels import LabelMap, read_label_map
from microg_bench.har.matching import number_images, seen_in_frame, true_positives
from microg_bench.har.ranking import Flags, Places, Ranking
from microg_bench.har.report import ActionRow, ActionScore, IntervalFacts, Report
from microg_bench.har.warn import warnings
from microg_bench.metrics.base import Signature
from microg_bench.metrics.stats import LEVEL, RESAMPLES, Clusters, resample

ClusterKind = Literal["source", "clip"]
AT_ONCE = 125  # resamples; what they take then fits the processor's cache
# What each score is a mean of, over the actions for which it is defined.
FORMULAS: dict[str, Callable[[Counts, Array], Array]] = {
    "mAP": Counts.average_precision,
    "F1": Counts.f1,
    "recall": Counts.recall,
    "AUROC": Counts.auroc,
}
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
) -> Report:
    """Score detections against the ground truth, by the rules of the paper's published evaluation.

    Args:
        detections: n boxes with a raw logit for each action, scores of shape (n, actions).
        truth: the true boxes, one row an action; their order matters only among equal overlaps.
        labels: the actions that are scored; None takes the 50 of MicroG-4M.
        clusters: what is resampled for the intervals: source videos, or single clips (`video_id`).
        resamples: how many times; 0 gives no intervals.
        seed: of the resampling.

    Returns:
        Scores in %, each with its 95% percentile bootstrap interval.

    Raises:
        DataError: a detection stands in a video or frame that the ground truth lacks, an action of the ground
            truth is not in the label map, or the scores are not as wide as the label map.
    """
    labels = labels or read_label_map()
    one = Comparison(detections, truth, labels, clusters if resamples else "all")
    plain = one.values(np.ones((one.clusters.count, 1)))
    drawn = one.resampled(resamples, seed) if one.clusters.count > 1 else {}
    means = {name: float(values[0]) for name, values in one.means(plain).items()}
    return Report(
        detections=PurePath(detections.name).name,
        groundtruth=PurePath(truth.name).name,
        scores={
            name: ActionScore(
                value=_percent(value),
                interval=_bounds(drawn[name]) if name in drawn else None,
                signature=one.signature(name).long(),
            )
            for name, value in means.items()
        },
        interval=IntervalFacts(
            level=LEVEL, clusters=one.kind, cluster_count=one.clusters.count, resamples=resamples, seed=seed
        ),
        mAP_over_ties=one.over_ties,
        counts=one.facts(),
        warnings=warnings(detections, truth, labels, one.images, one.examples, one.over_ties),
        actions=one.rows(plain),
    )


@dataclass(frozen=True)
class Comparison:
    """Detections beside their ground truth, matched and counted once."""

    detections: Detections
    truth: GroundTruth
    labels: LabelMap
    kind: ClusterKind | Literal["all"]

    def __post_init__(self) -> None:
        """Check that both sides speak of the same actions.

        Raises:
            DataError: see `evaluate`.
        """
        if self.detections.scores.shape[1] != len(self.labels):
            width = self.detections.scores.shape[1]
            raise DataError(
                f"{self.detections.name}: {width} scores a box where the label map has {len(self.labels)}"
            )
        if (self._columns < 0).any():
            index = int((self._columns < 0).argmax())
            raise DataError(
                f"{self.truth.place(index)}: action id {self.truth.actions[index]} is not in the label map"
            )

    @cached_property
    def _columns(self) -> Places:
        return self.labels.positions(self.truth.actions)

    @cached_property
    def clusters(self) -> Clusters:
        """The clusters of the detected boxes, then of the true ones."""
        if self.kind == "all":
            return Clusters(np.zeros(len(self.detections) + len(self.truth), np.intp), 1)
        ids = [*self.detections.video_ids.tolist(), *self.truth.video_ids.tolist()]
        return Clusters.of([source_of(one) for one in ids] if self.kind == "source" else ids)

    @cached_property
    def examples(self) -> NDArray[np.int64]:
        """True boxes of each action, those without an area left out; shape (actions,)."""
        return np.bincount(self._columns[self.truth.has_area], minlength=len(self.labels))

    @cached_property
    def images(self) -> tuple[Places, Places]:
        """See `number_images`."""
        return number_images(self.detections, self.truth)

    @cached_property
    def right(self) -> Flags:
        """See `true_positives`."""
        width = len(self.labels)
        return true_positives(self.detections, self.truth, self.images, self._columns, width)

    @cached_property
    def _shown(self) -> Flags:
        return seen_in_frame(self.images, self._columns, len(self.labels))

    @cached_property
    def _ranking(self) -> Ranking:
        return Ranking.of(self.detections.scores)

    @cached_property
    def counts(self) -> Counts:
        """The counts of each action, by cluster."""
        groups = np.eye(self.clusters.count)[self.clusters.member]
        ours, theirs = groups[: len(self.detections)], groups[len(self.detections) :]
        use = self.truth.has_area
        examples = np.zeros((len(self.labels), self.clusters.count))
        np.add.at(examples, self._columns[use], theirs[use])
        scores, in_use = self.detections.scores, self.detections.has_area
        return count(scores, self._ranking, self.right, self._shown, in_use, ours, examples)

    def values(self, weights: Array) -> dict[str, Array]:
        """Each score of each action, 0 to 1, shape (actions, r), for weights of shape (clusters, r)."""
        return {name: formula(self.counts, weights) for name, formula in FORMULAS.items()}

    @staticmethod
    def means(values: dict[str, Array]) -> dict[str, Array]:
        """Mean over the actions for which a score is defined, shape (r,); NaN where it is for none."""
        found = {}
        for name, value in values.items():
            defined = (~np.isnan(value)).sum(axis=0)
            total = np.nansum(value, axis=0)
            found[name] = np.divide(total, defined, out=np.full(total.shape, np.nan), where=defined > 0)
        return found

    def resampled(self, resamples: int, seed: int) -> dict[str, Array]:
        """Each score over all actions, 0 to 1, of resamples of the clusters, shape (resamples,)."""
        weights = resample(self.clusters.count, resamples, seed).T
        parts = [
            self.means(self.values(weights[:, start : start + AT_ONCE].copy()))
            for start in range(0, resamples, AT_ONCE)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in FORMULAS}

    @cached_property
    def over_ties(self) -> tuple[float, float]:
        """Lowest and highest mAP in %, over all orders of equal scores."""
        bounds = precision_over_ties(self._ranking, self.right, self.detections.has_area, self.examples)
        low, high = 100 * bounds[self.examples > 0].mean(axis=0) if self.examples.any() else (0.0, 0.0)
        return float(low), float(high)

    def rows(self, plain: dict[str, Array]) -> tuple[ActionRow, ...]:
        """A row for each action."""
        shown = self._shown.sum(axis=0)
        return tuple(
            ActionRow(
                id=self.labels.ids[c],
                name=self.labels.names[c],
                examples=int(self.examples[c]),
                shown=int(shown[c]),
                AP=_percent(plain["mAP"][c, 0]),
                F1=100 * float(plain["F1"][c, 0]),
                recall=100 * float(plain["recall"][c, 0]),
                AUROC=_percent(plain["AUROC"][c, 0]),
            )
            for c in range(len(self.labels))
        )

    def facts(self) -> dict[str, int]:
        """How much of what there is."""
        frames = int(self.images[1].max()) + 1
        return {
            "videos": len(set(self.truth.video_ids.tolist())),
            "frames": frames,
            "frames_without_detections": frames - len(np.unique(self.images[0])),
            "boxes": len(self.detections),
            "boxes_without_area": int((~self.detections.has_area).sum()),
            "true_rows": len(self.truth),
            "true_rows_without_area": int((~self.truth.has_area).sum()),
            "actions": len(self.labels),
            "actions_with_examples": int((self.examples > 0).sum()),
        }

    def signature(self, score: str) -> Signature:
        """What moves a score, beside the detections."""
        return Signature(
            score,
            {
                **RULES[score],
                "labels": self.labels.fingerprint[:12],
                "groundtruth": self.truth.fingerprint[:12],
                "items": str(len(self.detections)),
                "version": __version__,
            },
        )


def _percent(value: float) -> float | None:
    return None if np.isnan(value) else 100 * float(value)


def _bounds(values: Array) -> tuple[float, float] | None:
    """Percentile interval in %, over the resamples in which the score is defined."""
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(known, [tail, 100 - tail])
    return 100 * float(low), 100 * float(high)
