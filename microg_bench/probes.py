"""Probes: does a model look at the clip? It is asked again with changed frames, and its answers are compared.

A probe asks the same requests under conditions that differ in what is shown alone. All share the engine and
the decoding of each clip. Differences are paired over source videos, as those of any two runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from microg_bench.api import Results, in_loop, run_variants
from microg_bench.dataset.load import Dataset
from microg_bench.errors import UsageError
from microg_bench.metrics import METRICS
from microg_bench.options import Options, flag
from microg_bench.progress import Progress, Show, shown
from microg_bench.records import BenchmarkTask, Record, TaskName
from microg_bench.runs.configure import Configuration, configure
from microg_bench.runs.record import RunRecord
from microg_bench.scoring.intervals import Clusters, holm, paired
from microg_bench.storage import write_json, write_text
from microg_bench.tables.markdown import table
from microg_bench.tasks import TASKS
from microg_bench.text import markdown, unknown

PROBES_FILE, TABLE_FILE = "probes.json", "probes.md"
PLAIN = "plain"
LEVEL = 0.05  # of a p-value below which a difference is told as one


@dataclass(frozen=True)
class Probe:
    """What is changed, in words, and by which transforms; `base` are those of what it is compared with."""

    what: str
    conditions: tuple[str, ...]
    base: str = ""


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

    `transforms` were applied, and `base` to what it is compared with. Of `items` requests, which have an
    answer under both, `other` is the share, from 0 to 1, whose answer is another text; None where there are
    none.
    """

    probe: str
    task: BenchmarkTask
    base: str
    transforms: str
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
        """What the condition shows, in words."""
        what = PROBES[self.probe].what
        if self.other is None:
            return "nothing was answered under both"
        if self.other == 0:
            return f"answers do not depend on {what}"
        told = f"{self.other:.0%} of the answers change"
        if self.headline is None:
            return told
        name, effect = self.headline
        if effect.corrected is None:
            return f"{told}; too few source videos to tell whether {name} does"
        if effect.corrected >= LEVEL:
            return f"{told}, {name} does not (p = {effect.corrected:.3f})"
        return (
            f"{told}, {name} {'falls' if effect.difference < 0 else 'rises'} by {abs(effect.difference):.2f}"
        )


class ProbeReport(Record):
    """The content of probes.json."""

    schema_: Literal["microg-bench/probes/1"] = Field(default="microg-bench/probes/1", alias="schema")
    title: str
    dataset: str
    fingerprint: str
    effects: tuple[ProbeEffect, ...]

    def to_json(self) -> dict[str, Any]:
        """As the file has it."""
        verdicts = [{**one.model_dump(mode="json"), "verdict": one.verdict} for one in self.effects]
        return {**self.model_dump(mode="json", by_alias=True), "effects": verdicts}


@dataclass(frozen=True, eq=False, repr=False)
class Probes:
    """What probes give: the folder, the report, and the results of each condition, such as ``rotate-90``."""

    folder: Path
    report: ProbeReport
    results: Mapping[str, Results]

    def table(self) -> str:
        """One table a task in Markdown, one row a condition."""
        tasks = dict.fromkeys(one.task for one in self.report.effects)
        return "\n".join(
            _table(task, [one for one in self.report.effects if one.task == task]) for task in tasks
        )

    def _repr_markdown_(self) -> str:
        return self.table()  # what a notebook shows


def probe(
    model: str,
    data: str | Path | Dataset | None = None,
    tasks: str | Sequence[str] = ("caption", "vqa"),
    *,
    probes: str | Sequence[str] = tuple(PROBES),
    run: str | Path | None = None,
    progress: Show = "rich",
    yes: bool = False,
    **options: Any,
) -> Probes:
    """Ask a model under each condition of probes, and compare its answers with those to unchanged frames.

    Calling it again with the same arguments resumes.

    Args:
        model: as in `evaluate`.
        data: as in `evaluate`.
        tasks: as in `evaluate`.
        probes: names in `PROBES`, comma-separated or in a sequence.
        run: the folder of the runs, one below it for each condition; None takes one below ``runs/`` that is
            the same for the same options.
        progress: as in `evaluate`.
        yes: as in `evaluate`.
        options: as in `evaluate`, without `transforms`, `batch` and `shard`.

    Raises:
        UsageError, DataError, EngineError, RunError: as `evaluate`; an unknown probe.
    """
    chosen = read_probes(probes)
    with shown(progress) as callback:
        found = configured(model, data, tasks, chosen, options, callback)
        root = Path(run) if run else probes_folder(found)
        results = in_loop(run_variants(_placed(found, root), root, callback, yes))
    one = found[PLAIN]
    report = ProbeReport(
        title=one.title,
        dataset=one.dataset.name,
        fingerprint=one.dataset.fingerprint,
        effects=tuple(chain.from_iterable(_effects(task, chosen, results) for task in one.options.tasks)),
    )
    write_json(root / PROBES_FILE, report.to_json())
    probed = Probes(root, report, results)
    write_text(root / TABLE_FILE, probed.table())
    return probed


def read_probes(given: str | Sequence[str]) -> tuple[str, ...]:
    """The names of probes.

    Raises:
        UsageError: one is not known, or none is given.
    """
    names = tuple(part.strip() for part in given.split(",")) if isinstance(given, str) else tuple(given)
    names = tuple(dict.fromkeys(filter(None, names)))
    for name in names:
        if name not in PROBES:
            raise UsageError(unknown("probe", name, PROBES), item="--probes")
    if not names:
        raise UsageError(f"give one at least of {', '.join(PROBES)}", item="--probes")
    return names


def configured(
    model: str,
    data: str | Path | Dataset | None,
    tasks: str | Sequence[str],
    probes: Sequence[str],
    options: Mapping[str, Any],
    progress: Progress,
) -> dict[str, Configuration]:
    """The configuration of each condition, by its transforms; first the unchanged frames, as `PLAIN`.

    Raises:
        UsageError, DataError, EngineError: see `configure`; an option that probes do not take.
    """
    for name in ("transforms", "batch", "shard"):
        if options.get(name):
            raise UsageError("does not apply to probes", item=flag(name))
    place, dataset = (None, data) if isinstance(data, Dataset) else (data, None)
    given = {"model": model, "data": place, "tasks": tasks, **options}
    labels = [
        PLAIN,
        *(label for one in probes for label in (PROBES[one].base, *PROBES[one].conditions) if label),
    ]
    found: dict[str, Configuration] = {}
    for label in dict.fromkeys(labels):
        transforms = "" if label == PLAIN else label
        found[label] = configure(Options.of(given, {"transforms": transforms}), dataset, progress.note)
        dataset = found[label].dataset
    return found


def probes_folder(found: Mapping[str, Configuration]) -> Path:
    """The folder of probes where none is given: beside that of the run with unchanged frames."""
    plain = found[PLAIN].default_folder
    return plain.with_name(f"{plain.name}-probes")


def _placed(
    found: Mapping[str, Configuration], root: Path
) -> dict[str, tuple[Configuration, Mapping[TaskName, Path]]]:
    """Each condition with its runs, by the name of its folder."""
    names = {_folder(label): one for label, one in found.items()}
    return {name: (one, {task: root / name / task for task in one.tasks}) for name, one in names.items()}


def _folder(label: str) -> str:
    return label.replace(":", "-").replace(".", "-")


def _effects(task: BenchmarkTask, probes: Sequence[str], results: Mapping[str, Results]) -> list[ProbeEffect]:
    """What each condition did to the answers of a task, with p-values corrected over all of them."""
    found = [
        _effect(name, task, PROBES[name].base or PLAIN, label, results)
        for name in probes
        for label in PROBES[name].conditions
    ]
    corrected: list[dict[str, MetricEffect]] = [dict(one.metrics) for one in found]
    for metric in TASKS[task].metrics:
        tested = [own for own in corrected if metric in own and own[metric].p is not None]
        p_values = [own[metric].p or 0.0 for own in tested]
        for own, value in zip(tested, holm(p_values), strict=True):
            own[metric] = own[metric].model_copy(update={"corrected": value})
    return [one.model_copy(update={"metrics": own}) for one, own in zip(found, corrected, strict=True)]


def _effect(
    name: str, task: BenchmarkTask, base: str, label: str, results: Mapping[str, Results]
) -> ProbeEffect:
    first, second = (results[_folder(own)].records[task] for own in (base, label))
    both = [key for key in first.answers if key in second.answers]
    others = sum(first.answers[key].answer != second.answers[key].answer for key in both)
    return ProbeEffect(
        probe=name,
        task=task,
        base=base,
        transforms=label,
        items=len(both),
        other=others / len(both) if both else None,
        metrics=_metric_effects(first, second),
    )


def _metric_effects(base: RunRecord, changed: RunRecord) -> dict[str, MetricEffect]:
    """The paired difference of each metric that both were scored under; none where they lack answers."""
    if base.statistics.ids != changed.statistics.ids:
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


def _table(task: TaskName, effects: Sequence[ProbeEffect]) -> str:
    columns = [name for name in TASKS[task].metrics if any(name in one.metrics for one in effects)]
    rows = [
        [
            markdown(one.probe),
            markdown(one.transforms),
            "n/a" if one.other is None else f"{one.other:.1%}",
            *(_difference(one.metrics.get(name)) for name in columns),
            markdown(one.verdict),
        ]
        for one in effects
    ]
    lines = table(
        ["Probe", "Shown", "Other answers", *columns, "Verdict"], rows, "ll" + "r" * (1 + len(columns)) + "l"
    )
    notes = [
        "differences from unchanged frames, ×100, with their 95% interval; those of rotations from `rotate:0`"
    ]
    return "\n".join([f"{TASKS[task].title}\n", *lines, "", *(f"- {note}" for note in notes)]) + "\n"


def _difference(effect: MetricEffect | None) -> str:
    if effect is None:
        return "n/a"
    bounds = f" ({effect.interval[0]:+.2f} to {effect.interval[1]:+.2f})" if effect.interval else ""
    return f"{effect.difference:+.2f}{bounds}"
