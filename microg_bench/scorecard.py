"""The scorecard: the result of one task, with signatures, intervals, slices, baselines and counts.

One schema serves every task. Fields that a task does not have keep their defaults.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any, Literal

from pydantic import Field

from microg_bench.records import Record, TaskName
from microg_bench.settings import Settings
from microg_bench.video.sampling import FrameSpec

SCORECARD_SCHEMA = "microg-bench/scorecard/2"
COMPLETE = "complete"

# The short names of the parts that usually differ, and the values that go without saying.
_SHORT = {
    "protocol": "p",
    "model": "m",
    "layers": "l",
    "idf": "idf",
    "rescaled": "r",
    "dtype": "d",
    "groundtruth": "g",
    "items": "n",
    "thinking": "t",
    "version": "v",
}
_USUAL = {"idf": "no", "rescaled": "no", "dtype": "float32"}
_COUNTS = {
    "empty": "empty",
    "truncated": "hit the token limit",
    "filtered": "stopped by the content filter",
    "declined": "declined by the model",
}
# Parts that tell how the answers were got, which is what a comparison of runs is about.
_ANSWERING = ("thinking",)
# Parts that tell what computed a score, not what is computed.
_VERSIONS = ("version", "torch", "transformers", "sentence-transformers")


class Signature(Record):
    """Everything that moves a number, so that two numbers are compared only where they may be."""

    metric: str
    values: dict[str, str]

    def long(self) -> str:
        """All parts with their full names, e.g. ``CIDEr|protocol:paper|...|items:1237|version:0.2.0``."""
        return "|".join([self.metric, *(f"{name}:{value}" for name, value in self.values.items())])

    def short(self) -> str:
        """The parts that usually differ, e.g. ``CIDEr|p:paper|n:1237|v:0.2.0``."""
        parts = [
            f"{short}:{self.values[name]}"
            for name, short in _SHORT.items()
            if name in self.values and self.values[name] != _USUAL.get(name)
        ]
        return "|".join([self.metric, *parts])

    def __str__(self) -> str:
        return self.short()

    def alike(self, other: Signature) -> bool:
        """Whether both scores are computed in the same way, however the answers were got."""
        return self.metric == other.metric and self._computed() == other._computed()

    def _computed(self) -> dict[str, str]:
        return {name: value for name, value in self.values.items() if name not in _ANSWERING}

    def versions_apart(self, other: Signature) -> list[str] | None:
        """The version parts of `self` that differ from those of `other`; None where anything else differs."""
        if self.metric != other.metric:
            return None
        apart = []
        for ours, theirs in zip_longest(self.values.items(), other.values.items(), fillvalue=("", "")):
            if ours[0] != theirs[0] or (ours[1] != theirs[1] and ours[0] not in _VERSIONS):
                return None
            if ours[1] != theirs[1]:
                apart.append(":".join(ours))
        return apart


class ScoreEntry(Record):
    """One score: ×100, or in % for actions; `value` is None where it could not be computed.

    `unavailable` then says why. `interval` holds the bounds of the 95% interval, None where there are fewer
    than two clusters. `notes` tells what was done to the texts that a reader should know (a candidate cut,
    for example). `unverified` marks a number that was claimed and could not be computed again.
    """

    value: float | None = None
    interval: tuple[float, float] | None = None
    signature: Signature | None = None
    unavailable: str | None = None
    notes: tuple[str, ...] = ()
    unverified: bool = False


class ModelEntry(Record):
    """Which model answered, and what it was shown: `frame_count` frames a clip at most."""

    name: str
    title: str
    frames: FrameSpec | None = None
    frame_count: int | None = None


class ServedModel(Record):
    """A model that a server named as the one that answered, and how many answers it gave."""

    name: str
    version: str | None = None
    answers: int = 0


class Counts(Record):
    """Requests by what became of them.

    `answered`, `failed` and `missing` (never asked, or without a prediction) part the requests; `unknown` are
    predictions of no item. Of those answered, `empty` are blank, `truncated` hit the token limit, `filtered`
    were stopped by the vendor's content filter, `declined` by the model.
    """

    answered: int = 0
    failed: int = 0
    missing: int = 0
    unknown: int = 0
    empty: int = 0
    truncated: int = 0
    filtered: int = 0
    declined: int = 0

    def notes(self) -> Iterator[str]:
        """The counts of answers and predictions that a reader must know, where they are not zero."""
        for name, words in _COUNTS.items():
            if count := getattr(self, name):
                yield f"{words}: {count:,} of {self.answered:,} answers"
        if self.unknown:
            yield f"predictions of no item: {self.unknown:,}"


class SliceEntry(Record):
    """The scores, ×100, of part of the items; document frequencies are those of all items."""

    items: int
    scores: dict[str, float]


class BaselineEntry(Record):
    """What a baseline that needs no model reaches on the same items, ×100."""

    title: str
    scores: dict[str, float]


class IntervalEntry(Record):
    """How the intervals were made: what was resampled, how many there are, how often, from which seed."""

    level: float
    clusters: Literal["source", "clip", "all"]
    cluster_count: int
    resamples: int
    seed: int


class Abstention(Record):
    """How often the model answered "Not mentioned.", with the numbers of questions of each kind.

    The rates are shares from 0 to 1 of the unanswerable and of the answerable questions, None where there is
    no such question.
    """

    unanswerable: int
    answerable: int
    rate_on_unanswerable: float | None
    rate_on_answerable: float | None

    def notes(self) -> Iterator[str]:
        """The rates in words."""
        for kind, rate, count, judged in (
            ("unanswerable", self.rate_on_unanswerable, self.unanswerable, "correctly"),
            ("answerable", self.rate_on_answerable, self.answerable, "wrongly"),
        ):
            if rate is not None:
                share = f"{rate:.1%} of the {count:,} {kind} questions"
                yield f'"Not mentioned." was answered to {share} ({judged})'


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
    highest mAP in %, over all orders of equal scores; `counts` videos, frames, boxes and what was left out.
    """

    detections: str
    groundtruth: str
    map_over_ties: tuple[float, float]
    counts: dict[str, int]
    actions: tuple[ActionEntry, ...]


class Scorecard(Record):
    """The result of one task. `status` is "complete", or says what keeps it off a leaderboard.

    `items` are the answers (of actions: the boxes) that were scored; `counts` tells what became of all
    requests. `rejected` names the generation settings that the model rejected, so that it was asked without
    them. `served` are the models that answered as their server names them. `recipe` names how a trained model
    was evaluated. `warnings` are what a reader must know, a line each.
    """

    schema_: Literal["microg-bench/scorecard/2"] = Field(default="microg-bench/scorecard/2", alias="schema")
    task: TaskName | Literal["har"]
    status: str
    protocol: str
    items: int
    counts: Counts = Counts()
    dataset: str
    fingerprint: str
    model: ModelEntry | None = None
    scores: dict[str, ScoreEntry]
    interval: IntervalEntry | None = None
    baselines: dict[str, BaselineEntry] = Field(default_factory=dict)
    slices: dict[str, dict[str, SliceEntry]] = Field(default_factory=dict)
    abstention: Abstention | None = None
    settings: Settings | None = None
    rejected: tuple[str, ...] = ()
    served: tuple[ServedModel, ...] = ()
    recipe: str | None = None
    har: ActionFacts | None = None
    warnings: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether everything was answered."""
        return self.status == COMPLETE

    @property
    def title(self) -> str:
        """What tables call the model."""
        return self.model.title if self.model else "predictions"

    @property
    def frames(self) -> str:
        """The number of frames that the model was shown, a dash where it is not known."""
        count = self.model.frame_count if self.model else None
        return "–" if count is None else str(count)

    def notes(self) -> Iterator[str]:
        """What a reader of the scores must know, one line each."""
        for name, entry in self.scores.items():
            if entry.unavailable:
                yield f"{name}: {entry.unavailable}"
            yield from (f"{name}: {note}" for note in entry.notes)
        yield from self.counts.notes()
        if self.abstention:
            yield from self.abstention.notes()
        if self.interval and any(entry.interval for entry in self.scores.values()):
            kind = {"source": "source videos", "clip": "clips", "all": "cluster of all items"}
            resamples, count = self.interval.resamples, self.interval.cluster_count
            yield f"intervals: {resamples:,} resamples of {count} {kind[self.interval.clusters]}"
        yield from self.warnings

    def to_json(self) -> dict[str, Any]:
        """The scorecard as it is written to disk."""
        return self.model_dump(mode="json", by_alias=True)

    def values(self) -> Mapping[str, float | None]:
        """The score of each metric."""
        return {name: entry.value for name, entry in self.scores.items()}
