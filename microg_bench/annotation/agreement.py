"""How far a judge and the metrics agree with people: agreement.json, beside the judgement that it is of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from microg_bench.annotation.judgement import Judgement, judgements
from microg_bench.annotation.ratings import Rating, answer_keys
from microg_bench.annotation.verdicts import POINTS
from microg_bench.curation.agreement import krippendorff_alpha
from microg_bench.errors import DataError, RunError
from microg_bench.records import Record
from microg_bench.runs.migration import parsed, read_object
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import FEW, Signature
from microg_bench.scoring.intervals import Clusters
from microg_bench.scoring.rank_correlation import kendall_tau_b
from microg_bench.scoring.rates import Proportion, corrected_rate
from microg_bench.storage import write_json
from microg_bench.text import many

AGREEMENT_FILE = "agreement.json"
AGREEMENT_SCHEMA = "microg-bench/agreement/1"
_LEVELS = {points: level for level, points in POINTS.items()}


class ScoreAgreement(Record):
    """Kendall's tau-b of a score with the ratings of people, over `items`, with its 95% interval."""

    tau: float | None
    interval: tuple[float, float] | None
    items: int


class RateEntry(Record):
    """A rate from 0 to 1 with its 95% interval; None where there is nothing to tell it from."""

    value: float | None
    interval: tuple[float, float] | None
    of: int


class AgreementReport(Record):
    """The content of agreement.json: how far people agree with a judge, and what follows for one run.

    `signature` is that of the judgement, `judgement` a hash of its content. `answers` were rated, by `raters`
    people. `people` is Krippendorff's alpha among them, `judge` that with the judge as one more of them.
    `scores` and `metrics` have the rank correlations of the judge's scores and of the run's metrics.
    `sensitivity` and `specificity` are the judge's; `uncorrected` is the share of the run's answers that it
    calls right, `corrected` what follows for the share that is right. All but `uncorrected` and `corrected`
    are over all runs that were rated together.
    """

    schema_: Literal["microg-bench/agreement/1"] = Field(default="microg-bench/agreement/1", alias="schema")
    signature: Signature
    judgement: str
    answers: int
    raters: int
    people: float | None
    judge: float | None
    scores: dict[str, ScoreAgreement]
    metrics: dict[str, ScoreAgreement]
    sensitivity: RateEntry | None
    specificity: RateEntry | None
    uncorrected: RateEntry | None
    corrected: RateEntry | None

    def words(self) -> str:
        """It in a line, for a table."""
        score, one = next(iter(self.scores.items()))
        parts = [f"tau-b of {score} {number(one.tau)}"]
        parts += [f"alpha {number(self.judge)}"] if self.judge is not None else []
        for name in ("sensitivity", "specificity"):
            rate: RateEntry | None = getattr(self, name)
            parts += [f"{name} {number(rate.value)}"] if rate else []
        return f"{', '.join(parts)} ({self.answers:,} answers, {many(self.raters, 'rater')})"

    def notes(self) -> Iterator[str]:
        """What a reader must know, a line each."""
        for name, called in (("sensitivity", "right"), ("specificity", "not right")):
            rate: RateEntry | None = getattr(self, name)
            if rate and rate.of < FEW:
                yield f"{name} is of {rate.of} answers that people called {called}: rate more"
        if self.sensitivity and self.corrected is None:
            yield "the rate cannot be corrected: the judge is no better than chance, or too little is rated"


def number(value: float | None, digits: int = 2) -> str:
    """A number as reports show it."""
    return "n/a" if value is None else f"{value:.{digits}f}"


@dataclass
class _Rated:
    """An answer that people rated: its source, what they said, and what scores say of it."""

    source: str
    levels: list[str]
    metrics: dict[str, float] = field(default_factory=dict)
    judged: dict[str, float] = field(default_factory=dict)

    @property
    def points(self) -> float:
        """The mean of what people said, from 0 to 1."""
        return float(np.mean([POINTS[level] for level in self.levels]))

    @property
    def is_right(self) -> bool:
        """Whether more than half of the people called it right."""
        return 2 * self.levels.count("right") > len(self.levels)

    @property
    def judged_level(self) -> str | None:
        """What the judge called it, where it rates as people do."""
        return _LEVELS[self.judged["rating"]] if "rating" in self.judged else None


def agreements(runs: Sequence[RunRecord], ratings: Sequence[Rating]) -> dict[Path, AgreementReport]:
    """How far each judge of `runs` agrees with people, by the folder of the judgement.

    Judgements of several runs by one judge are taken together.

    Raises:
        DataError: no answer of these runs was rated; or more than fit in memory.
        RunError: a judgement is damaged or out of date.
    """
    judged = [(run, folder, one) for run in runs for folder, one in judgements(run).items()]
    found: dict[Path, AgreementReport] = {}
    for how in dict.fromkeys(one.how.long() for _, _, one in judged):
        own = [(run, folder, one) for run, folder, one in judged if one.how.long() == how]
        rated = _rated([run for run, _, _ in own], ratings, [one for _, _, one in own])
        found |= {folder: _report(one, rated, ratings) for _, folder, one in own}
    return found


def metric_agreements(runs: Sequence[RunRecord], ratings: Sequence[Rating]) -> dict[str, ScoreAgreement]:
    """How far each metric of `runs` agrees with people, over all of them; raises as `agreements` does."""
    return _metrics(_rated(runs, ratings).values())


def _rated(
    runs: Sequence[RunRecord], ratings: Sequence[Rating], judged: Sequence[Judgement] = ()
) -> dict[str, _Rated]:
    """The rated answers of runs by key; of one that several runs gave, the first counts."""
    levels: dict[str, list[str]] = {}
    for rating in ratings:
        levels.setdefault(rating.key, []).append(rating.level)
    found: dict[str, _Rated] = {}
    for place, run in enumerate(runs):
        scores, points = run.item_scores(), _points(judged[place]) if judged else {}
        sources = _sources(run)
        for name, key in answer_keys(run).items():
            if key in levels and key not in found:
                own = {metric: values[name] for metric, values in scores.items() if name in values}
                found[key] = _Rated(sources[name], levels[key], own, points.get(name, {}))
    if not found:
        raise DataError("no answer of these runs was rated", item="--ratings")
    return found


def _sources(run: RunRecord) -> dict[str, str]:
    """The source video of each answer: as it was scored, else as the ids of clips tell."""
    found = {one.id: one.source for one in run.requests()}
    known = run.statistics if run.has_statistics else None
    return found | dict(zip(known.ids, known.sources, strict=True)) if known else found


def _points(judgement: Judgement) -> dict[str, dict[str, float]]:
    """The share under each score of the judged items; a score that counts nothing is left out."""
    return {
        one.id: {name: part / whole for name, (part, whole) in one.counts.items() if whole}
        for one in judgement.items
    }


def _report(judgement: Judgement, rated: Mapping[str, _Rated], ratings: Sequence[Rating]) -> AgreementReport:
    people = [one for one in rated.values() if one.judged]
    levels = [(one, one.judged_level) for one in people if one.judged_level]
    right = [level == "right" for one, level in levels if one.is_right]
    wrong = [level != "right" for one, level in levels if not one.is_right]
    sensitivity, specificity = (Proportion(sum(one), len(one)) for one in (right, wrong))
    called = [one.counts["rating"][0] == 1 for one in judgement.items if "rating" in one.counts]
    judged = Proportion(sum(called), len(called))
    corrected = corrected_rate(judged, specificity, sensitivity)
    units = [[*one.levels, level] for one, level in levels]
    return AgreementReport(
        signature=judgement.signature,
        judgement=judgement.digest,
        answers=len(people),
        raters=len({rating.rater for rating in ratings if rating.key in rated}),
        people=krippendorff_alpha([one.levels for one in people]).alpha,
        judge=krippendorff_alpha(units).alpha if units else None,
        scores={name: _score(people, name) for name in judgement.scores},
        metrics=_metrics(rated.values()),
        sensitivity=_rate(sensitivity) if levels else None,
        specificity=_rate(specificity) if levels else None,
        uncorrected=_rate(judged) if levels else None,
        corrected=None
        if corrected is None
        else RateEntry(value=corrected.value, interval=corrected.interval, of=judged.of),
    )


def _rate(share: Proportion) -> RateEntry:
    return RateEntry(value=share.value, interval=share.interval(), of=share.of)


def _score(rated: Iterable[_Rated], name: str) -> ScoreAgreement:
    own = [(one.source, one.points, one.judged[name]) for one in rated if name in one.judged]
    return _correlation(own)


def _metrics(rated: Iterable[_Rated]) -> dict[str, ScoreAgreement]:
    known = list(rated)
    names = dict.fromkeys(name for one in known for name in one.metrics)
    return {
        name: _correlation(
            [(one.source, one.points, one.metrics[name]) for one in known if name in one.metrics]
        )
        for name in names
    }


def _correlation(rows: Sequence[tuple[str, float, float]]) -> ScoreAgreement:
    """The rank correlation of rows of source, what people said, and a score."""
    if not rows:
        return ScoreAgreement(tau=None, interval=None, items=0)
    sources, people, scores = zip(*rows, strict=True)
    found = kendall_tau_b(np.array(people), np.array(scores), Clusters.of(sources))
    return ScoreAgreement(tau=found.tau, interval=found.interval, items=found.items)


def write_agreement(folder: Path, report: AgreementReport) -> None:
    """Write agreement.json beside the judgement.

    Raises:
        RunError: it cannot be written.
    """
    write_json(folder / AGREEMENT_FILE, report.model_dump(mode="json", by_alias=True))


def read_agreement(folder: Path, judgement: Judgement) -> AgreementReport | None:
    """The agreement with people of the judgement in `folder`; None where it is not known.

    That of an earlier judgement does not count.

    Raises:
        RunError: the file is damaged.
    """
    file = folder / AGREEMENT_FILE
    if not file.exists():
        return None
    content = read_object(file)
    if content.get("schema") != AGREEMENT_SCHEMA:
        raise RunError(f"is not of the schema that this version reads, {AGREEMENT_SCHEMA}", path=file)
    found = parsed(file, AgreementReport, content)
    if set(found.scores) != set(judgement.scores):
        raise RunError("damaged: its scores are not those of the judgement", path=file)
    return found if found.judgement == judgement.digest else None
