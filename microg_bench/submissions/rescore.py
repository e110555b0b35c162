"""Computes again what a submission claims, and keeps of its claims only what holds.

`RECOMPUTED` says for each task from what its scorecard is computed again.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from microg_bench.dataset.load import Dataset
from microg_bench.errors import MicrogError
from microg_bench.metrics import METRICS
from microg_bench.options import ScoringOptions
from microg_bench.privacy import without_private
from microg_bench.runs.migration import SCORECARD_SCHEMA_1
from microg_bench.runs.record import RunRecord
from microg_bench.runs.statistics import Statistics
from microg_bench.scorecard import COMPLETE, REFERENCES, Scorecard, ScoreEntry
from microg_bench.scoring.intervals import METHOD
from microg_bench.scoring.score import answer_facts, score_records
from microg_bench.text import first_line

EXACT, ENCODED = 1e-6, 0.02  # points by which a score may differ: of our own code, of an encoder elsewhere
_ENCODERS = ("S-BERT", "S-VQA", "BERTScore")
# What scorecards of schema 1 do not hold.
_NEW = {
    *(("counts", name) for name in ("truncated", "filtered", "declined", "thoughts", "flagged")),
    *(("scores", name, "notes") for name in METRICS),
    *(("served",), ("warnings",)),
}
# All fields of a scorecard, but settings and the name of the dataset, which are looked at on their own.
_TOLD = {"task", "status", "items", "counts", "failures", "fingerprint", "model", "rejected", "served"}
_TOLD |= {"recipe", "har"}
_SCORED = {"protocol", "scores", "interval", "baselines", "slices", "abstention", "warnings"}
Place = tuple[str, ...]


@dataclass(frozen=True)
class Recomputed:
    """What the files of a run give: its scorecard, and the statistics of its items."""

    scorecard: Scorecard
    statistics: Statistics


Recompute = Callable[[Sequence[RunRecord], Dataset, ScoringOptions, bool], list[Recomputed | MicrogError]]


def from_answers(
    records: Sequence[RunRecord], dataset: Dataset, options: ScoringOptions, baselines: bool
) -> list[Recomputed | MicrogError]:
    """Score the answers of runs together."""
    return [
        one if isinstance(one, MicrogError) else Recomputed(one.scorecard, one.statistics)
        for one in score_records(records, options, dataset, baselines)
    ]


RECOMPUTED: Mapping[str, Recompute] = {"caption": from_answers, "vqa": from_answers}


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
        self.problems += [
            f"scorecard.json claims {'.'.join(place)} = {_short(claim)}, but the answers give {_short(value)}"
            for place, claim, value in differences
            if place not in untold
        ]


def told(record: RunRecord, schema: object) -> Outcome:
    """Compare the scorecard of a run, of a file in `schema`, with what its answers alone tell.

    Shown is the latter, and of the claims the values of the scores, each marked as unverified.
    """
    claimed, answers = record.scorecard, list(record.answers.values())
    scores = {
        name: ScoreEntry(value=one.value, signature=one.signature, unverified=True)
        for name, one in claimed.scores.items()
        if one.value is not None
    }
    found = Outcome(
        Scorecard(
            task=record.settings.task,
            status=COMPLETE,
            protocol=claimed.protocol,
            items=len(answers),
            dataset=dataset_name(claimed.fingerprint),
            fingerprint=claimed.fingerprint,
            scores=scores,
            **answer_facts(record.settings, answers, record.failures, record.rejected, missing=0),
        )
    )
    found.refuse(_differences(_told(claimed), _told(found.scorecard)), schema)
    return found


def compared(claimed: Scorecard, ours: Scorecard, schema: object) -> Outcome:
    """Compare a claimed scorecard, of a file in `schema`, with the one that was computed again.

    Shown is the latter. It keeps the claimed values and signatures where they agree with it, so that a run
    and its submission look alike; and claimed scores that could not be computed again, marked as unverified.
    """
    ours = Scorecard.model_validate(without_private(ours.to_json()))
    found = Outcome(ours)
    sound = _intervals(claimed, ours, found.notes)
    scored = {name for name, one in claimed.scores.items() if one.value is not None}
    both = {name for name in scored if ours.scores[name].value is not None}
    for name in sorted(scored - both):
        reason = ours.scores[name].unavailable
        found.notes.append(f"{name} cannot be computed here, its claim is not verified: {reason}")
    versions: dict[str, None] = {}
    found.refuse(_signatures(claimed, ours, both, versions), schema)
    found.refuse(_differences(_told(claimed), _told(ours)), schema)
    found.refuse(_differences(_scored(claimed, both, sound), _scored(ours, both, sound)), schema)
    if versions:
        found.notes.append(f"scored with other versions than here: {', '.join(versions)}")
    scores = {name: _shown(one, ours.scores[name], sound) for name, one in claimed.scores.items()}
    dataset = dataset_name(ours.fingerprint, ours.dataset)
    found.scorecard = ours.model_copy(update={"scores": scores, "dataset": dataset})
    return found


def _intervals(claimed: Scorecard, ours: Scorecard, notes: list[str]) -> bool:
    """Whether the claimed intervals were made as ours are; ours take the place of others."""
    theirs = claimed.interval
    if theirs is None or (theirs.clusters, theirs.method) == ("source", METHOD):
        return True
    if theirs.clusters == "source":
        notes.append(f"its intervals are of another method ({theirs.method}): {METHOD} takes their place")
    else:
        over = {"clip": "clips", "all": "all items"}[theirs.clusters]
        notes.append(
            f"its intervals are over {over}, not over source videos: those of source videos take their place"
        )
    return False


def _shown(claimed: ScoreEntry, ours: ScoreEntry, sound: bool) -> ScoreEntry:
    """The entry of one score to show."""
    if claimed.value is None:
        return ours
    if ours.value is None:
        kept = {"value", "signature", *(["interval"] if sound else [])}
        return ScoreEntry(**{name: getattr(claimed, name) for name in kept}, unverified=True)
    return ours.model_copy(update={"value": claimed.value, "signature": claimed.signature})


def _told(card: Scorecard) -> dict[str, Any]:
    """What the answers tell without references.

    Which served models were expected is left out: more of their names may be known by now.
    """
    return card.model_dump(mode="json", include=_TOLD, exclude={"served": {"__all__": {"expected"}}})


def _scored(card: Scorecard, metrics: Collection[str], intervals: bool) -> dict[str, Any]:
    """What answers give beside references: scores by `metrics`, and intervals where both are alike."""
    left_out = {"signature", *(() if intervals else ("interval",))}
    include = _SCORED if intervals else _SCORED - {"interval"}
    facts = card.model_dump(mode="json", include=include, exclude={"scores": {"__all__": left_out}})
    slices = (part for kind in facts["slices"].values() for part in kind.values())
    for part in (facts, *facts["baselines"].values(), *slices):
        part["scores"] = {name: one for name, one in part["scores"].items() if name in metrics}
    return facts


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
