"""Scores sets of answers against their references: values, intervals, slices and statistics of each item."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microg_bench.abstention import RIGHT_BY, Confidence, Share
from microg_bench.dataset.clip_labels import ClipLabels
from microg_bench.metrics import METRICS, Score, Unavailable, score_tasks
from microg_bench.metrics.base import Array
from microg_bench.options import ScoringOptions
from microg_bench.records import TaskName
from microg_bench.runs.statistics import Statistics
from microg_bench.scorecard import Abstention, IntervalEntry, ScoreEntry
from microg_bench.scoring.abstention import confidence_in
from microg_bench.scoring.intervals import (
    LEVEL,
    METHOD,
    RESAMPLES,
    Clusters,
    interval,
    ratio,
    resample,
    with_sample,
)
from microg_bench.scoring.slices import Key, LargeSlices, Places
from microg_bench.slices import LABELLED, SMALLEST, SliceEntry, SliceScores
from microg_bench.tasks import TASKS, Item, is_unanswerable, question_word

SENTENCE_METRICS = ("S-BERT", "S-VQA")  # one computation under the name of its task


@dataclass(frozen=True)
class AnswerSet:
    """The answers to items of one task, by the id of their request; not every item needs one.

    `logprobs` are natural logarithms of how probable answers were to the model, where that is known.
    """

    task: TaskName
    items: Sequence[Item]
    answers: Mapping[str, str]
    logprobs: Mapping[str, float] = field(default_factory=dict)

    @property
    def answered(self) -> tuple[Item, ...]:
        """The items that have an answer, in dataset order."""
        return tuple(item for item in self.items if item.request.id in self.answers)


@dataclass(frozen=True)
class Evaluation:
    """The answered items of one task, scored; `found` holds a `Score` or an `Unavailable` by metric."""

    task: TaskName
    items: tuple[Item, ...]
    answers: Mapping[str, str]
    found: Mapping[str, Score | Unavailable]
    options: ScoringOptions
    logprobs: Mapping[str, float] = field(default_factory=dict)

    @property
    def scores(self) -> dict[str, Score]:
        """What could be computed."""
        return {name: one for name, one in self.found.items() if isinstance(one, Score)}

    def entries(self) -> dict[str, ScoreEntry]:
        """The scores as a scorecard holds them."""
        return {name: self._entry(one) for name, one in self.found.items()}

    def interval_entry(self) -> IntervalEntry | None:
        """How the intervals were made, None where nothing was scored."""
        if not self.items:
            return None
        kind, count = self.options.clusters, self._clusters.count
        return IntervalEntry(
            method=METHOD, level=LEVEL, clusters=kind, cluster_count=count, resamples=RESAMPLES, seed=0
        )

    def slices(self, labels: ClipLabels | None = None) -> dict[str, dict[str, SliceEntry]]:
        """The scores of each slice, from the statistics of its items alone; kinds as in `slice_rows`."""
        rows, large = self._slice_rows(labels)
        details = LargeSlices(self.items, rows, large, self.scores)
        intervals = details.intervals(self._clusters) if large else {}
        differences = details.differences() if large else {}
        found: dict[str, dict[str, SliceEntry]] = {}
        for (kind, label), scores in self._slice_scores(rows, large).items():
            key = (kind, label)
            found.setdefault(kind, {})[label] = SliceEntry(
                items=len(rows[key]),
                sources=len({self.items[row].request.source for row in rows[key]}),
                scores=scores,
                intervals=intervals.get(key, {}),
                differences=differences.get(key, {}),
            )
        return found

    def slice_scores(self, labels: ClipLabels | None = None) -> SliceScores:
        """The scores of each slice as `slices` has them, without intervals and differences."""
        found: SliceScores = {}
        for (kind, label), scores in self._slice_scores(*self._slice_rows(labels)).items():
            found.setdefault(kind, {})[label] = scores
        return found

    def _slice_rows(self, labels: ClipLabels | None) -> tuple[dict[Key, Places], list[Key]]:
        """The rows of every slice, and which slices are large."""
        rows, clips = slice_rows(self.items, labels), [item.request.video_id for item in self.items]
        return rows, [key for key, own in rows.items() if len({clips[row] for row in own}) >= SMALLEST]

    def _slice_scores(self, rows: Mapping[Key, Places], large: Sequence[Key]) -> dict[Key, dict[str, float]]:
        """The scores of the slices that are told: those by labels only where they are large."""
        told = {key: own for key, own in rows.items() if key in large or key[0] not in LABELLED}
        values = {
            name: [METRICS[name].aggregate(one.statistics[own]) for own in told.values()]
            for name, one in self.scores.items()
        }
        return {key: {name: one[place] for name, one in values.items()} for place, key in enumerate(told)}

    def abstention(self) -> Abstention | None:
        """How often the model answered "Not mentioned."; None where there are no questions."""
        asked = [item for item in self.items if item.request.question is not None]
        if not asked:
            return None
        texts = [text for item in asked for text in (item.reference, self.answers[item.request.id])]
        unanswerable, said = np.array(list(map(is_unanswerable, texts))).reshape(-1, 2).T
        on_unanswerable, on_answerable = (
            float(said[rows].mean()) if rows.any() else None for rows in (unanswerable, ~unanswerable)
        )
        both = unanswerable & said
        sums = {
            "precision": (both, said),
            "recall": (both, unanswerable),
            "F1": (2 * both, unanswerable.astype(int) + said),
        }
        return Abstention(
            unanswerable=int(unanswerable.sum()),
            answerable=int((~unanswerable).sum()),
            rate_on_unanswerable=on_unanswerable,
            rate_on_answerable=on_answerable,
            confidence=self._confidence(),
            **{name: self._share(*pair) for name, pair in sums.items()},
        )

    def _share(self, above: NDArray[Any], below: NDArray[Any]) -> Share | None:
        """The ratio of two sums over the items; None where the second is 0."""
        if not below.any():
            return None
        value, within = ratio(above, below, self._clusters, self._weights)
        return Share(value=value, interval=within)

    def _confidence(self) -> Confidence | None:
        """What the confidence in answers is worth; None where it is not known, or ROUGE-L is not scored."""
        rows = [row for row, item in enumerate(self.items) if item.request.id in self.logprobs]
        rouge = self.scores.get(RIGHT_BY)
        if not rows or rouge is None:
            return None
        logprobs = np.array([self.logprobs[self.items[row].request.id] for row in rows])
        return confidence_in(logprobs, rouge.per_item[rows], Clusters.of(self._clusters.member[rows]))

    def statistics(self) -> Statistics:
        """The statistics of each item by metric, in the order of `items`."""
        metrics = {name: one.statistics for name, one in self.scores.items()}
        return Statistics.of([item.request for item in self.items], metrics)

    @cached_property
    def _clusters(self) -> Clusters:
        by_source = self.options.clusters == "source"
        requests = (item.request for item in self.items)
        return Clusters.of([one.source if by_source else one.video_id for one in requests])

    @cached_property
    def _weights(self) -> Array:
        return with_sample(resample(self._clusters.count))

    def _entry(self, found: Score | Unavailable) -> ScoreEntry:
        if isinstance(found, Unavailable):
            return ScoreEntry(unavailable=found.reason)
        return ScoreEntry(
            value=found.value,
            interval=interval(METRICS[found.name], found.statistics, self._clusters, self._weights),
            signature=found.signature,
            notes=found.notes,
        )


def task_metrics(task: TaskName, names: Sequence[str] = ()) -> tuple[str, ...]:
    """The metrics among `names` that apply to `task`; all of the task's where none are named.

    Naming S-BERT or S-VQA means the task's own.
    """
    own = next(name for name in TASKS[task].metrics if name in SENTENCE_METRICS)
    return tuple(
        dict.fromkeys(own if name in SENTENCE_METRICS else name for name in names or TASKS[task].metrics)
    )


def evaluate_sets(sets: Sequence[AnswerSet], options: ScoringOptions) -> list[Evaluation]:
    """Score several sets of answers, with one start of Java for all of them.

    Raises:
        UsageError: an unknown metric.
    """
    names = {str(place): task_metrics(one.task, options.metrics) for place, one in enumerate(sets)}
    scored = {str(place): one.answered for place, one in enumerate(sets)}
    texts = {
        place: ([one.answers[item.request.id] for item in items], [item.reference for item in items])
        for (place, items), one in zip(scored.items(), sets, strict=True)
        if items
    }
    found = score_tasks(texts, names, options.protocol, options)
    return [
        Evaluation(
            *(one.task, items, one.answers, found.get(place) or _nothing(names[place]), options, one.logprobs)
        )
        for (place, items), one in zip(scored.items(), sets, strict=True)
    ]


def _nothing(names: Sequence[str]) -> dict[str, Score | Unavailable]:
    return {name: Unavailable(name, "no item was answered") for name in names}


def slice_rows(items: Sequence[Item], labels: ClipLabels | None = None) -> dict[Key, Places]:
    """The positions of the items of each slice, by kind and label of the slice, in their order.

    Questions are sliced by whether the clip answers them ("answerable", "unanswerable"), by their first word
    and by source video; captions by source video; both by the `labels` of their clips.
    """
    references = [item.reference for item in items]
    questions = [item.request.question or "" for item in items]
    unanswerable, words = list(map(is_unanswerable, references)), list(map(question_word, questions))
    told = labels.by_kind if labels else {}
    rows: dict[Key, list[int]] = {}
    for row, item in enumerate(items):
        keys = [("source", item.request.source)]
        if item.request.question is not None:
            label = "unanswerable" if unanswerable[row] else "answerable"
            keys += [("answerable", label), ("question_word", words[row])]
        for kind, clips in told.items():
            keys += [(kind, label) for label in clips.get(item.request.video_id, ())]
        for key in keys:
            rows.setdefault(key, []).append(row)
    return {key: np.array(rows[key]) for key in sorted(rows)}
