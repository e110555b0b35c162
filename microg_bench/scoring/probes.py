"""What changes with the frames: the effect of each condition on answers and scores, with a verdict.

A condition is an ordinary run with transforms. It is compared with the run of its base, request by request,
and in its scores over source videos, as any two runs are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from microg_bench.errors import DataError
from microg_bench.metrics import METRICS
from microg_bench.records import AnswerTask, Record
from microg_bench.runs.record import RunRecord
from microg_bench.scoring.coverage import asked_count, is_sampled, is_whole, lacking, sampling
from microg_bench.scoring.intervals import Clusters, holm, paired
from microg_bench.tasks import TASKS
from microg_bench.text import many

PLAIN = "plain"  # the condition of frames as they are
LEVEL = 0.05  # of a p-value below which a difference is told as one

Conditions = Mapping[str, Mapping[AnswerTask, RunRecord]]  # the runs by task, by the transforms


@dataclass(frozen=True)
class Probe:
    """What is changed, in words, and by which transforms; `base` are those of what it is compared with."""

    what: str
    conditions: tuple[str, ...]
    base: str = PLAIN


PROBES: Mapping[str, Probe] = {
    "rotation": Probe("the orientation of the frames", ("rotate:90", "rotate:180", "rotate:270"), "rotate:0"),
    "mirror": Probe("left and right", ("mirror",)),
    "order": Probe("the order of the frames", ("reverse", "shuffle")),
    "freeze": Probe("what changes between the frames", ("freeze",)),
    "noise": Probe("noise", ("noise:25", "noise:50")),
    "crop": Probe("the margins of the frames", ("crop:0.5",)),
    "swap": Probe("which clip is shown", ("swap",)),
    "no-frames": Probe("the frames", ("no-frames",)),
}


def conditions_of(probes: Iterable[str]) -> tuple[str, ...]:
    """All that must be asked for probes: first the frames as they are, each base before what it is for."""
    labels = (label for one in probes for label in (PROBES[one].base, *PROBES[one].conditions))
    return tuple(dict.fromkeys([PLAIN, *labels]))


def folder_name(condition: str) -> str:
    """The name of the folder of a condition, such as ``rotate-90``."""
    return condition.replace(":", "-").replace(".", "-")


class MetricEffect(Record):
    """A score ×100 with `base` and `changed` frames, and the `difference`, changed less base.

    `interval` holds the bounds of its 95% interval, `p` the p-value of no difference, `corrected` that after
    Holm, over all conditions of the task; None where the items have fewer than two source videos.
    """

    base: float
    changed: float
    difference: float
    interval: tuple[float, float] | None
    p: float | None
    corrected: float | None = None


class ProbeEffect(Record):
    """What one condition did to the answers of one task.

    `transforms` were applied, and `base` to what it is compared with. Of the `asked` requests `items` have an
    answer under both, and `other` is the share of these, from 0 to 1, whose answer is another text; None
    where there are none. `sampled` tells whether answers differ by chance too. `metrics` are empty where an
    answer is lacking.
    """

    probe: str
    task: AnswerTask
    base: str
    transforms: str
    sampled: bool
    asked: int
    items: int
    other: float | None
    metrics: dict[str, MetricEffect]

    @property
    def headline(self) -> tuple[str, MetricEffect] | None:
        """The first of the task's metrics that was computed."""
        return next(
            ((name, self.metrics[name]) for name in TASKS[self.task].metrics if name in self.metrics), None
        )

    @property
    def verdict(self) -> str:
        """What the condition shows, in words; a difference that is not significant is told as not shown."""
        what = PROBES[self.probe].what
        if self.other is None:
            return "nothing was answered under both"
        if self.other == 0:
            return f"answers do not depend on {what}"
        share = _share(self.other)
        depends = f"{share} are other, by sampling too" if self.sampled else f"{share} depend on {what}"
        return f"{depends}; {self._score_verdict}"

    @property
    def _score_verdict(self) -> str:
        """What the condition does to the score of the headline, in words."""
        if self.headline is None:
            missing = self.asked - self.items
            lacks = f": {missing:,} of {many(self.asked, 'request')} without an answer" if missing else ""
            return f"no score could be compared{lacks}"
        name, effect = self.headline
        if effect.corrected is None:
            return f"too few source videos to tell whether {name} does"
        if effect.corrected >= LEVEL:
            return f"no difference in {name} is shown ({_p(effect.corrected)})"
        moves = "falls" if effect.difference < 0 else "rises"
        return f"{name} {moves} by {abs(effect.difference):.2f} ({_p(effect.corrected)})"


class ProbeReport(Record):
    """The content of probes.json.

    `warnings` say that the model sampled, or why no score is compared and what to do.
    """

    schema_: Literal["microg-bench/probes/1"] = Field(default="microg-bench/probes/1", alias="schema")
    title: str
    dataset: str
    fingerprint: str
    warnings: tuple[str, ...]
    effects: tuple[ProbeEffect, ...]

    @property
    def probes(self) -> tuple[str, ...]:
        """The names of the probes."""
        return tuple(dict.fromkeys(one.probe for one in self.effects))

    @property
    def tasks(self) -> tuple[AnswerTask, ...]:
        """The tasks."""
        return tuple(dict.fromkeys(one.task for one in self.effects))

    def of_task(self, task: AnswerTask) -> tuple[ProbeEffect, ...]:
        """The effects on one task."""
        return tuple(one for one in self.effects if one.task == task)

    def to_json(self) -> dict[str, Any]:
        """As the file has it."""
        verdicts = [{**one.model_dump(mode="json"), "verdict": one.verdict} for one in self.effects]
        return {**self.model_dump(mode="json", by_alias=True), "effects": verdicts}


def report_of(conditions: Conditions, probes: Sequence[str]) -> ProbeReport:
    """The effects of probes on the answers of scored runs.

    Args:
        conditions: all of `conditions_of`, each with the same tasks.
        probes: names in `PROBES`.

    Raises:
        DataError: a run differs from that of the frames as they are in more than its transforms.
        RunError: a run has not been scored, or is damaged.
    """
    plain = conditions[PLAIN]
    for label in conditions_of(probes):
        for task, record in conditions[label].items():
            _check(label, plain[task], record)
    run = next(iter(plain.values()))
    first = run.settings
    return ProbeReport(
        title=first.title,
        dataset=first.dataset,
        fingerprint=first.fingerprint,
        warnings=(*sampling(run), *_lacking(conditions, probes)),
        effects=tuple(effect for task in plain for effect in _effects(task, probes, conditions)),
    )


def _lacking(conditions: Conditions, probes: Sequence[str]) -> Iterator[str]:
    """Why no score of a task is compared; see `lacking`."""
    for task, run in conditions[PLAIN].items():
        answered = [len(conditions[label][task].answers) for label in conditions_of(probes)]
        yield from lacking(task, asked_count(run), answered, "conditions")


def _check(label: str, plain: RunRecord, record: RunRecord) -> None:
    asked = () if label == PLAIN else (label,)
    if record.settings.transforms != asked:
        raise DataError(f"is no run with the transforms {label}", path=record.path)
    same = record.settings.model_copy(update={"transforms": ()})
    if difference := plain.settings.difference(same):
        raise DataError(f"differs from {plain.path.parent.name} in {difference}", path=record.path)


def _effects(task: AnswerTask, probes: Sequence[str], conditions: Conditions) -> list[ProbeEffect]:
    """What each condition did to the answers of a task, with p-values corrected over all of them."""
    found = [_effect(name, task, label, conditions) for name in probes for label in PROBES[name].conditions]
    corrected: list[dict[str, MetricEffect]] = [dict(one.metrics) for one in found]
    for metric in TASKS[task].metrics:
        tested = [
            (own, own[metric], p) for own in corrected if metric in own and (p := own[metric].p) is not None
        ]
        for (own, effect, _), value in zip(tested, holm([p for *_, p in tested]), strict=True):
            own[metric] = effect.model_copy(update={"corrected": value})
    return [one.model_copy(update={"metrics": own}) for one, own in zip(found, corrected, strict=True)]


def _effect(name: str, task: AnswerTask, label: str, conditions: Conditions) -> ProbeEffect:
    base, changed = conditions[PROBES[name].base][task], conditions[label][task]
    both = [key for key in base.answers if key in changed.answers]
    others = sum(base.answers[key].answer != changed.answers[key].answer for key in both)
    return ProbeEffect(
        probe=name,
        task=task,
        base=PROBES[name].base,
        transforms=label,
        sampled=is_sampled(base),
        asked=asked_count(base),
        items=len(both),
        other=others / len(both) if both else None,
        metrics=_metric_effects(base, changed),
    )


def _metric_effects(base: RunRecord, changed: RunRecord) -> dict[str, MetricEffect]:
    """The paired difference of each metric that both were scored under; none where they lack answers."""
    if not (is_whole(base) and is_whole(changed)) or base.statistics.ids != changed.statistics.ids:
        return {}
    clusters = Clusters.of(base.statistics.sources)
    found = {}
    before, after = base.scorecard.values(), changed.scorecard.values()
    for name, statistics in changed.statistics.metrics.items():
        old, new = before.get(name), after.get(name)
        if old is None or new is None or name not in base.statistics.metrics:
            continue
        one = paired(METRICS[name], statistics, base.statistics.metrics[name], clusters)
        values = {"base": old, "changed": new, "difference": one.value}
        found[name] = MetricEffect(**values, interval=one.interval, p=one.p)
    return found


def _share(other: float) -> str:
    """A share of the answers above 0, in words: none is rounded to none or to all."""
    if other == 1:
        return "all answers"
    if other < 0.01:
        return "less than 1% of the answers"
    return f"{min(other, 0.99):.0%} of the answers"


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
