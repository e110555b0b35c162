"""Computes again what a submission claims, and keeps of its claims only what holds.

`RECOMPUTED` says for each task from what its scorecard is computed again.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from microg_bench.dataset.load import Dataset
from microg_bench.errors import MicrogError
from microg_bench.har.scoring import evaluate
from microg_bench.metrics import METRICS
from microg_bench.options import ScoringOptions
from microg_bench.persons.boxes import Detections, GroundTruth
from microg_bench.runs.migration import SCORECARD_SCHEMA_1
from microg_bench.runs.record import RunRecord
from microg_bench.runs.statistics import Statistics
from microg_bench.scorecard import COMPLETE, REFERENCES, Counts, IntervalEntry, Scorecard, ScoreEntry
from microg_bench.scoring.score import answer_facts, score_records
from microg_bench.slices import LABELLED
from microg_bench.submissions.actions import ActionSubmission, public_card, with_origin
from microg_bench.submissions.load import RunSubmission, Submission
from microg_bench.text import first_line

EXACT, ENCODED = 1e-6, 0.02  # points by which a score may differ: of our own code, of an encoder elsewhere
_ENCODERS = ("S-BERT", "S-VQA", "BERTScore")
# What scorecards of schema 1 do not hold.
_NEW = {
    *(("counts", name) for name in ("truncated", "filtered", "declined", "thoughts", "flagged")),
    *(("scores", name, "notes") for name in METRICS),
    *(("served",), ("warnings",)),
}
# All fields of a scorecard, but settings, action labels and the name of the dataset, which are looked at on
# their own.
_TOLD = {"task", "status", "items", "counts", "failures", "fingerprint", "model", "rejected", "served"}
_TOLD |= {"recipe"}
_SCORED = {"protocol", "scores", "interval", "baselines", "slices", "abstention", "warnings", "har"}
_RATES = {"unanswerable", "answerable", "rate_on_unanswerable", "rate_on_answerable"}  # of any version
Place = tuple[str, ...]


@dataclass(frozen=True)
class Recomputed:
    """What answers or detections give: a scorecard, and of answers the statistics of their items."""

    scorecard: Scorecard
    statistics: Statistics | None = None


# Takes runs and their dataset, or detections and their ground truth.
Recompute = Callable[[Sequence[Any], Any, ScoringOptions, bool], list[Recomputed | MicrogError]]


def from_answers(
    records: Sequence[RunRecord], dataset: Dataset, options: ScoringOptions, baselines: bool
) -> list[Recomputed | MicrogError]:
    """Score the answers of runs together."""
    return [
        one if isinstance(one, MicrogError) else Recomputed(one.scorecard, one.statistics)
        for one in score_records(records, options, dataset, baselines)
    ]


def from_detections(
    detections: Sequence[Detections], truth: GroundTruth, options: ScoringOptions, baselines: bool
) -> list[Recomputed | MicrogError]:
    """Score detections, of which nothing is optional."""
    return [Recomputed(evaluate(one, truth)) for one in detections]


RECOMPUTED: Mapping[str, Recompute] = {
    "caption": from_answers,
    "vqa": from_answers,
    "har": from_detections,
}


def claimed_options(card: Scorecard, options: ScoringOptions) -> tuple[ScoringOptions, bool]:
    """How a scorecard claims to have been computed, over source videos, and whether with baselines."""
    claims = {"metrics": tuple(card.scores), "protocol": card.protocol, "clusters": "source"}
    return options.model_copy(update=claims), bool(card.baselines)


def dataset_name(fingerprint: str, name: str = "") -> str:
    """What references are called: by their fingerprint where that is known, else by their `name` here."""
    return REFERENCES.get(fingerprint) or name or f"references {fingerprint[:12]}"


@dataclass
class Outcome:
    """What becomes of a claim: the scorecard to show, why it is refused, and what a reader must know."""

    scorecard: Scorecard
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def refuse(self, differences: Iterable[tuple[Place, Any, Any]], schema: object) -> None:
        """Refuse the claim for what differs, but for what a file in `schema` does not hold."""
        untold = _NEW if schema == SCORECARD_SCHEMA_1 else set()
        given = "detections" if self.scorecard.har else "answers"
        self.problems += [
            f"scorecard.json claims {'.'.join(place)} = {_short(claim)}, but the {given} give {_short(value)}"
            for place, claim, value in differences
            if place not in untold
        ]


def told(submission: Submission) -> Outcome:
    """Compare what a submission claims with what its answers or detections alone tell.

    Shown is the latter, and of the claims the values of the scores, each marked as unverified.
    """
    claimed = submission.claimed
    scores = {
        name: ScoreEntry(value=one.value, signature=one.signature, unverified=True)
        for name, one in claimed.scores.items()
        if one.value is not None
    }
    found = Outcome(
        Scorecard(
            task=claimed.task,
            status=COMPLETE,
            protocol=claimed.protocol,
            dataset=dataset_name(claimed.fingerprint),
            fingerprint=claimed.fingerprint,
            scores=scores,
            **_alone(submission),
        )
    )
    found.refuse(_differences(_told(claimed), _told(found.scorecard)), submission.schema)
    return found


def _alone(submission: Submission) -> dict[str, Any]:
    """The fields of a scorecard that need no references."""
    match submission:
        case RunSubmission(record=run):
            answers = list(run.answers.values())
            facts = answer_facts(run.settings, answers, run.failures, run.rejected, missing=0)
            return {"items": len(answers), **facts}
        case ActionSubmission(facts=claimed, detections=boxes):
            unknown = {"groundtruth": submission.claimed.fingerprint[:12], "map_over_ties": None}
            return {
                "items": len(boxes),
                "recipe": submission.claimed.recipe,
                "counts": Counts(answered=len(boxes)),
                "har": claimed.model_copy(
                    update={**unknown, "detections_sha256": None, "counts": {}, "actions": ()}
                ),
                "warnings": boxes.notes,
            }
    raise TypeError(f"no kind of submission: {submission}")


def compared(submission: Submission, ours: Scorecard) -> Outcome:
    """Compare what a submission claims with the scorecard that was computed again.

    Shown is the latter, with the claimed scores that could not be computed again, marked as unverified.
    """
    claimed, schema = submission.claimed, submission.schema
    ours = public_card(with_origin(ours, claimed))
    found = Outcome(ours)
    if ours.recipe:
        found.notes.append("recipe and weights are as claimed")
    sound = _intervals(claimed, ours, found.notes)
    scored = {name for name, one in claimed.scores.items() if one.value is not None}
    both = {name for name in scored if not ours.scores[name].unavailable}
    for name in sorted(scored - both):
        reason = ours.scores[name].unavailable
        found.notes.append(f"{name} cannot be computed here, its claim is not verified: {reason}")
    versions: dict[str, None] = {}
    found.refuse(_signatures(claimed, ours, both, versions), schema)
    found.refuse(_differences(_told(claimed), _told(ours)), schema)
    labels = claimed.action_labels == ours.action_labels
    levels = any(one.slices for one in claimed.baselines.values())
    shared = _Shared(both, sound, labels, _has_details(claimed), levels)
    found.refuse(_differences(shared.of(claimed), shared.of(ours)), schema)
    if not shared.labels:
        found.notes.append(
            "its action labels are others than here: slices by these take the place of its own"
        )
    if versions:
        found.notes.append(f"scored with other versions than here: {', '.join(versions)}")
    scores = {name: _shown(one, ours.scores[name], sound) for name, one in claimed.scores.items()}
    dataset = dataset_name(ours.fingerprint, ours.dataset)
    found.scorecard = ours.model_copy(update={"scores": scores, "dataset": dataset})
    return found


def _intervals(claimed: Scorecard, ours: Scorecard, notes: list[str]) -> bool:
    """Whether the claimed intervals were made as ours are; ours take the place of others."""
    theirs, own = claimed.interval, cast(IntervalEntry, ours.interval)
    if theirs is None or (theirs.clusters, theirs.method) == (own.clusters, own.method):
        return True
    if theirs.clusters == "source":
        notes.append(f"its intervals are of another method ({theirs.method}): {own.method} takes their place")
    else:
        over = {"clip": "clips", "all": "all items"}[theirs.clusters]
        notes.append(
            f"its intervals are over {over}, not over source videos: those of source videos take their place"
        )
    return False


def _shown(claimed: ScoreEntry, ours: ScoreEntry, sound: bool) -> ScoreEntry:
    """The entry of one score to show."""
    if claimed.value is None or ours.value is not None:
        return ours
    kept = {"value", "signature", *(["interval"] if sound else [])}
    return ScoreEntry(**{name: getattr(claimed, name) for name in kept}, unverified=True)


def _told(card: Scorecard) -> dict[str, Any]:
    """What the answers tell without references.

    Which served models were expected is left out: more of their names may be known by now.
    """
    return card.model_dump(mode="json", include=_TOLD, exclude={"served": {"__all__": {"expected"}}})


@dataclass(frozen=True)
class _Shared:
    """What answers give beside references in two scorecards, as far as both can tell the same.

    `metrics` are those that could be computed, `intervals` whether both have them of the same kind, `labels`
    whether their items are sliced by the same action labels, `details` whether the claimed slices and
    abstention have more than those of earlier versions, and `levels` whether the claimed baselines have
    slices.
    """

    metrics: Collection[str]
    intervals: bool
    labels: bool
    details: bool
    levels: bool

    def of(self, card: Scorecard) -> dict[str, Any]:
        """That of one of them."""
        left_out = {"signature", *(() if self.intervals else ("interval",))}
        include = (
            _SCORED if self.intervals else _SCORED - {"interval", "warnings"}
        )  # some of which are about them
        facts = card.model_dump(mode="json", include=include, exclude={"scores": {"__all__": left_out}})
        if har := facts["har"]:  # whose file of the ground truth may be called as its owner likes
            del har["groundtruth"]
            har["actions"] = {one["name"]: one for one in har["actions"]}
        for part in (facts, *facts["baselines"].values()):
            part["scores"] = self._by_metric(part["scores"])
        facts["slices"] = self._by_slice(facts["slices"], self._slice)
        for level in facts["baselines"].values():
            own = level.pop("slices", {})
            level["slices"] = self._by_slice(own, self._by_metric) if self.levels else {}
        facts["abstention"] = facts["abstention"] and self._abstention(facts["abstention"])
        return facts

    def _abstention(self, entry: dict[str, Any]) -> dict[str, Any]:
        if not self.details:
            return {name: one for name, one in entry.items() if name in _RATES}
        return entry if self.intervals else _without_intervals(entry)

    def _by_slice(self, slices: Mapping[str, Any], known: Callable[[Any], Any]) -> dict[str, Any]:
        return {
            kind: {label: known(one) for label, one in labels.items()}
            for kind, labels in slices.items()
            if self.labels or kind not in LABELLED
        }

    def _slice(self, entry: dict[str, Any]) -> dict[str, Any]:
        found = {"items": entry["items"], "scores": self._by_metric(entry["scores"])}
        if not self.details:
            return found
        differences = self._by_metric(entry["differences"])
        if not self.labels:  # which move the correction of all slices
            differences = {name: {**one, "corrected": None} for name, one in differences.items()}
        intervals = self._by_metric(entry["intervals"]) if self.intervals else {}
        return {**found, "sources": entry["sources"], "intervals": intervals, "differences": differences}

    def _by_metric(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: one for name, one in values.items() if name in self.metrics}


def _without_intervals(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _without_intervals(one) if isinstance(one, dict) else one
        for name, one in entry.items()
        if name != "interval"
    }


def _has_details(card: Scorecard) -> bool:
    """Whether slices and abstention have more than those of earlier versions."""
    return any(one.sources is not None for slices in card.slices.values() for one in slices.values())


def _signatures(
    claimed: Scorecard, ours: Scorecard, metrics: Collection[str], versions: dict[str, None]
) -> Iterator[tuple[Place, Any, Any]]:
    """Signatures that differ in more than `versions`, to which those are added."""
    for name in sorted(metrics):
        theirs, own = claimed.scores[name].signature, ours.scores[name].signature
        apart = theirs.versions_apart(own) if theirs and own else None
        if apart:
            versions |= dict.fromkeys(apart)
        elif theirs != own:
            yield ("scores", name, "signature"), theirs and theirs.long(), own and own.long()


def _differences(claimed: Any, ours: Any, place: Place = ()) -> Iterator[tuple[Place, Any, Any]]:
    """Where two JSON contents differ, numbers by more than their tolerance."""
    if isinstance(claimed, dict) and isinstance(ours, dict):
        for key in dict.fromkeys([*claimed, *ours]):
            yield from _differences(claimed.get(key), ours.get(key), (*place, key))
    elif isinstance(claimed, list) and isinstance(ours, list) and len(claimed) == len(ours):
        for one, other in zip(claimed, ours, strict=True):
            yield from _differences(one, other, place)
    elif isinstance(claimed, float | int) and isinstance(ours, float | int):
        if not abs(claimed - ours) <= (ENCODED if set(place) & set(_ENCODERS) else EXACT):
            yield place, claimed, ours
    elif claimed != ours:
        yield place, claimed, ours


def _short(value: Any) -> str:
    return first_line(value, 100)
