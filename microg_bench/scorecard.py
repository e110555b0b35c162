"""The scorecard: the result of one task, with signatures, intervals, slices, baselines and counts.

One schema serves every task. Fields that a task does not have keep their defaults.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from operator import not_
from pathlib import PurePath
from typing import Any, Literal

from pydantic import Field

from microg_bench.abstention import RIGHT_BY, Confidence, Share
from microg_bench.actions import ActionFacts
from microg_bench.options import flag
from microg_bench.records import SHA256, BenchmarkTask, Record, Stage
from microg_bench.settings import Settings
from microg_bench.slices import SliceEntry, SliceScores, slice_notes
from microg_bench.text import listed, many
from microg_bench.video.sampling import FrameSpec

SCORECARD_SCHEMA = "microg-bench/scorecard/2"
COMPLETE = "complete"
FEW = 20  # clusters below which intervals are often too narrow
IntervalMethod = Literal["percentile", "symmetric bootstrap-t"]
# The references of the sample set, whatever the folder is called that they are read from.
SAMPLE_FINGERPRINT = "909961cc26a351c2577eb409f49f525b564dddb3189d5238bdefed88bac2fff7"
# What a dataset is called, whatever the file that it was read from is called, by fingerprint.
REFERENCES = {
    SAMPLE_FINGERPRINT: "sample",
    "a5fead14d1f547f683d6f6d6c4f82f54c541e8a6ca331a1e0406f06477a83ffe": "microg-4m",
}
NO_BENCHMARK = "made on the sample set of 14 clips: no benchmark"

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
    "input": "i",
    "boxes": "b",
    "action_scores": "a",
    "transforms": "x",
    "version": "v",
}
_USUAL = {"idf": "no", "rescaled": "no", "dtype": "float32"}
# What answers may be that are none, in words: of one and of several. The names are fields of `Counts`.
_LIMIT = f"hit the token limit; raise {flag('max_tokens')}"
FLAGS = {
    "empty": ("is empty", "are empty"),
    "truncated": (_LIMIT, _LIMIT),
    "filtered": (
        "was stopped by the vendor's content filter",
        "were stopped by the vendor's content filter",
    ),
    "declined": ("was declined by the model", "were declined by the model"),
    "thoughts": ("looks like thinking, not like an answer", "look like thinking, not like an answer"),
}
# Parts that tell how the answers were got, which is what a comparison of runs is about.
_ANSWERING = ("thinking", "input", "boxes")
ACTION_SCORES = "action_scores"  # the part that tells what an action that was named scores
# Parts that tell what computed a score, not what is computed.
_VERSIONS = ("version", "torch", "transformers", "sentence-transformers")


class Signature(Record):
    """Everything that moves a number, so that two numbers are compared only where they may be."""

    metric: str
    values: dict[str, str]

    def long(self) -> str:
        """All parts with their full names, e.g. ``CIDEr|protocol:paper|...|items:1237|version:0.2.0``.

        METEOR's ends with its implementation. That is no part of the signature, since the number is the same.
        """
        parts = dict(self.values)
        if self.metric == "METEOR":
            parts["implementation"] = "java" if parts.get("version", "").startswith("0.1.") else "python"
        return "|".join([self.metric, *(f"{name}:{value}" for name, value in parts.items())])

    def short(self) -> str:
        """The parts that usually differ, e.g. ``CIDEr|p:paper|n:1237|v:0.2.0``; of the input a hash."""
        parts = [
            f"{short}:{_hashed(self.values[name]) if name == 'input' else self.values[name]}"
            for name, short in _SHORT.items()
            if name in self.values and self.values[name] != _USUAL.get(name)
        ]
        return "|".join([self.metric, *parts])

    def __str__(self) -> str:
        return self.short()

    def alike(self, other: Signature) -> bool:
        """Whether both scores are computed in the same way, however the answers were got."""
        return self.computed() == other.computed()

    def computed(self) -> Signature:
        """The signature without the parts that tell how the answers were got."""
        left_out = (*_ANSWERING, ACTION_SCORES)
        values = {name: value for name, value in self.values.items() if name not in left_out}
        return Signature(metric=self.metric, values=values)

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


def answering(settings: Settings | None) -> dict[str, str]:
    """The parts of a signature that tell how the answers were got, where there is something to tell."""
    known = _ANSWERING if settings else ()
    return {name: value for name in known if (value := getattr(settings, name)) is not None}


def _hashed(text: str) -> str:
    """The first 8 hex digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


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
    """A model that a server named as the one that answered, and how many answers it gave.

    `version` is what the server tells of it beside its name. `expected` is false where the name is neither
    the one that was asked for nor one of its snapshots.
    """

    name: str
    version: str | None = None
    answers: int = 0
    expected: bool = True


class FailedStage(Record):
    """The requests that failed at one stage, their most frequent reason, and how many have this one."""

    stage: Stage
    count: int
    reason: str
    frequency: int

    def words(self, requests: int) -> str:
        """It as a line; `requests` is how many there are in all."""
        often = f", {self.frequency:,} of them" if self.frequency < self.count else ""
        return f"{self.count:,} of {many(requests, 'request')} failed ({self.stage}){often}: {self.reason}"


class Counts(Record):
    """Requests by what became of them.

    `answered`, `failed` and `missing` (never asked, or without a prediction) part the requests. `unknown` are
    predictions of no item, `repeated` those that a later one of the same item replaces.

    Of those answered, `empty` are blank, `truncated` hit the token limit, `filtered` were stopped by the
    vendor's content filter, `declined` by the model, and `thoughts` look like thinking. An answer may be more
    than one of these; `flagged` are those that are at least one.
    """

    answered: int = 0
    failed: int = 0
    missing: int = 0
    unknown: int = 0
    repeated: int = 0
    empty: int = 0
    truncated: int = 0
    filtered: int = 0
    declined: int = 0
    thoughts: int = 0
    flagged: int = 0

    @property
    def requests(self) -> int:
        """How many there are."""
        return self.answered + self.failed + self.missing

    @property
    def mostly_failed(self) -> bool:
        """Whether half of the requests or more failed."""
        return self.failed > 0 and 2 * self.failed >= self.requests

    @property
    def mostly_flagged(self) -> bool:
        """Whether half of the answers or more are flagged."""
        return self.flagged > 0 and 2 * self.flagged >= self.answered

    def flags(self) -> Iterator[str]:
        """How many answers are none, in words."""
        for name, words in FLAGS.items():
            if count := getattr(self, name):
                yield f"{_of(count, self.answered, 'answer')} {words[count > 1]}"

    def predictions(self) -> Iterator[str]:
        """Which predictions of a file were not scored, in words."""
        if self.unknown:
            yield f"predictions of no item: {self.unknown:,}"
        if self.repeated:
            yield f"repeated predictions, which a later one of the same item replaces: {self.repeated:,}"


def _of(count: int, total: int, what: str) -> str:
    return f"{count:,} of {many(total, what)}"


class BaselineEntry(Record):
    """What a baseline that needs no model reaches on the same items, ×100.

    `slices` are its scores within those of the scorecard, which files of versions that do not tell them lack.
    `map_over_ties` are the lowest and highest mAP over all orders of equal scores, None for other tasks.
    Nothing is written of either where there is none.
    """

    title: str
    scores: dict[str, float]
    slices: SliceScores = Field(default_factory=dict, exclude_if=not_)
    map_over_ties: tuple[float, float] | None = Field(default=None, exclude_if=not_)


class IntervalEntry(Record):
    """How the intervals were made: method, what was resampled, how many of it, how often, from which seed.

    Files of versions that do not name the method hold percentile intervals.
    """

    method: IntervalMethod = "percentile"
    level: float
    clusters: Literal["source", "clip", "all"]
    cluster_count: int
    resamples: int
    seed: int

    def notes(self, found: Mapping[str, tuple[float, float] | None]) -> Iterator[str]:
        """What a reader must know of the intervals that were `found` for the scores, by metric."""
        if self.clusters == "all":
            return
        kind = {"source": "source videos", "clip": "clips"}[self.clusters]
        if any(found.values()):
            few = f" (fewer than {FEW}: often too narrow)" if self.cluster_count < FEW else ""
            of = f"{self.cluster_count} {kind}{few}"
            yield f"intervals: {self.method}, {self.resamples:,} resamples of {of}"
        if without := [name for name, bounds in found.items() if bounds is None]:
            count, names = self.cluster_count, ", ".join(without)
            # Of so few, too many resamples hold a single one; of more, too many score alike.
            too_few = count < 2 or count ** (1 - count) > 1 - self.level
            alike = f"too few of the {count} {kind} score differently"
            yield f"no interval for {names}: {f'too few {kind} ({count})' if too_few else alike}"


class Abstention(Record):
    """How often the model answered "Not mentioned.", with the numbers of questions of each kind.

    The rates are shares from 0 to 1 of the unanswerable and of the answerable questions, None where there is
    no such question. `precision` is the share of such answers that are right, `recall` that of the
    unanswerable questions that get one, `F1` their harmonic mean; None where they are not defined, and in
    files of versions that do not tell them. `confidence` is None where it is not known.
    """

    unanswerable: int
    answerable: int
    rate_on_unanswerable: float | None
    rate_on_answerable: float | None
    precision: Share | None = None
    recall: Share | None = None
    F1: Share | None = None
    confidence: Confidence | None = None

    def notes(self) -> Iterator[str]:
        """The rates in words, and the details."""
        for kind, rate, count, judged in (
            ("unanswerable", self.rate_on_unanswerable, self.unanswerable, "correctly"),
            ("answerable", self.rate_on_answerable, self.answerable, "wrongly"),
        ):
            if rate is not None:
                share = f"{rate:.1%} of the {count:,} {kind} questions"
                yield f'"Not mentioned." was answered to {share} ({judged})'
        yield from self.details()

    def details(self) -> Iterator[str]:
        """F1, precision, recall and what the confidence is worth, in words."""
        told = {"F1": self.F1, "precision": self.precision, "recall": self.recall}
        if words := [f"{name} {_share(one)}" for name, one in told.items() if one]:
            yield f'"Not mentioned.": {", ".join(words)}'
        if one := self.confidence:
            yield (
                f"{many(one.items, 'answer')} by confidence: area below risk over coverage {_share(one.area)}"
                f", calibration error {_share(one.calibration_error)} of {one.bins} bins; right from "
                f"{RIGHT_BY} {one.right_from:g}: {_share(one.right)}"
            )


def _share(one: Share) -> str:
    bounds = f" ({one.interval[0]:.3f}–{one.interval[1]:.3f})" if one.interval else ""
    return f"{one.value:.3f}{bounds}"


class Scorecard(Record):
    """The result of one task. `status` is "complete", or says what keeps it off a leaderboard.

    `items` are the answers (of actions: the boxes) that were scored; `counts` tells what became of all
    requests, and `failures` at which stage they failed and why. `rejected` names the generation settings that
    the model rejected, so that it was asked without them. `served` are the models that answered as their
    server names them. `recipe` names how a trained model was evaluated. `action_labels` is the SHA-256 of the
    action labels by which items are sliced, None where they are not. `warnings` are what a reader must know,
    a line each.
    """

    schema_: Literal["microg-bench/scorecard/2"] = Field(default="microg-bench/scorecard/2", alias="schema")
    task: BenchmarkTask
    status: str
    protocol: str
    items: int
    counts: Counts = Counts()
    failures: tuple[FailedStage, ...] = ()
    dataset: str
    fingerprint: str
    model: ModelEntry | None = None
    scores: dict[str, ScoreEntry]
    interval: IntervalEntry | None = None
    baselines: dict[str, BaselineEntry] = Field(default_factory=dict)
    slices: dict[str, dict[str, SliceEntry]] = Field(default_factory=dict)
    action_labels: str | None = Field(default=None, pattern=SHA256)
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

    @property
    def extent(self) -> str:
        """How many items were scored: ``98 items``, or ``86 of 98 items`` where others have no answer."""
        asked = self.counts.requests
        part = f"{self.items:,} of " if self.items < asked else ""
        return f"{part}{asked or self.items:,} item{'s' * ((asked or self.items) != 1)}"

    @property
    def unverified(self) -> str:
        """Which scores were claimed and not computed again, in words; empty for none."""
        names = [name for name, entry in self.scores.items() if entry.unverified]
        return f"claimed and not verified: {', '.join(names)}" if names else ""

    @property
    def is_benchmark(self) -> bool:
        """Whether the references are others than those of the sample set."""
        sample = REFERENCES[SAMPLE_FINGERPRINT]
        persons = self.har.groundtruth if self.har and self.dataset == sample else ""
        return self.fingerprint != SAMPLE_FINGERPRINT and not persons.startswith(f"{sample}, ")

    @property
    def compares_slices(self) -> bool:
        """Whether any slice is compared with the other items."""
        return any(one.differences for labels in self.slices.values() for one in labels.values())

    def doubts(self) -> Iterator[str]:
        """Why the scores say little, one line each: most of the requests failed, or most answers are none."""
        if self.counts.mostly_failed:
            yield from self._failed()
        if self.counts.mostly_flagged:
            said = list(self.counts.flags())
            yield from said
            if len(said) > 1:
                yield f"in all, {_of(self.counts.flagged, self.counts.answered, 'answer')} are one of these"

    def headlines(self) -> Iterator[str]:
        """What must be read before the scores, one line each."""
        if not self.complete:
            yield self.status
        yield from self.doubts()

    def remarks(self) -> Iterator[str]:
        """What sets these scores apart from others, one line each: what a reader of a row must know."""
        counts = self.counts
        if not self.is_benchmark:
            yield NO_BENCHMARK
        if self.unverified:
            yield self.unverified
        yield from self._failed()
        if counts.missing:
            yield f"without an answer: {_of(counts.missing, counts.requests, 'item')}"
        yield from counts.flags()
        yield from counts.predictions()
        yield from self._answered_by()
        settings = self.settings
        if settings and settings.engine == "server" and settings.media and settings.media.kind == "images":
            yield "each frame was sent as an image of its own, not the clip as one video"
        if self.rejected:
            yield f"asked without {', '.join(self.rejected)}, which the model rejects"
        for name, entry in self.scores.items():
            if entry.unavailable:
                yield f"{name}: {entry.unavailable}"
            yield from (f"{name}: {note}" for note in entry.notes)

    def _failed(self) -> Iterator[str]:
        counts = self.counts
        if self.failures:
            yield from (one.words(counts.requests) for one in self.failures)
        elif counts.failed:
            yield f"{_of(counts.failed, counts.requests, 'request')} failed"

    def _answered_by(self) -> Iterator[str]:
        """The models that answered, where they are others than the one that was asked, or more than one."""
        answers: dict[str, int] = {}
        versions: dict[str, dict[str, int]] = {}
        for one in self.served:
            answers[one.name] = answers.get(one.name, 0) + one.answers
            versions.setdefault(one.name, {})[one.version or "none told"] = one.answers
        asked = self.settings.checkpoint if self.settings else None
        if asked and asked.startswith(("/", "~", ".")):
            asked = PurePath(asked).name
        for name in dict.fromkeys(one.name for one in self.served if not one.expected):
            total = _of(answers[name], self.counts.answered, "answer")
            yield f"answered by {name}, not {asked} as asked: {total}"
        for what, counts in (
            ("served model", answers),
            *((f"version of {name}", own) for name, own in versions.items()),
        ):
            if len(counts) > 1:
                parts = listed([f"{name} {count:,}" for name, count in counts.items()], shown=8)
                yield f"the {what} changed during the run: {parts} answers"

    def notes(self) -> Iterator[str]:
        """What else a reader of the scores must know, one line each."""
        if self.abstention:
            yield from self.abstention.notes()
        yield from self.interval_notes()
        if self.compares_slices:
            yield from slice_notes(self.slices)
        yield from self.warnings

    def interval_notes(self) -> Iterator[str]:
        """What a reader of the intervals must know, and which scores have none."""
        if self.interval:
            scored = {name: one.interval for name, one in self.scores.items() if one.value is not None}
            yield from self.interval.notes(scored)

    def to_json(self) -> dict[str, Any]:
        """The scorecard as it is written to disk."""
        return self.model_dump(mode="json", by_alias=True)

    def values(self) -> Mapping[str, float | None]:
        """The score of each metric."""
        return {name: entry.value for name, entry in self.scores.items()}
