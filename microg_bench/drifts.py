"""Drift: a sample of a run's requests is asked again under the same settings, and the answers are compared.

The sample is an ordinary run in a folder of its own. Its items alone are scored, with the old answers and
with the new ones, so that both have the same references and document frequencies.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from microg_bench.api import Results, in_loop, run_configuration
from microg_bench.dataset.load import Dataset
from microg_bench.errors import RunError, UsageError
from microg_bench.metrics import METRICS, Score, Unavailable
from microg_bench.options import Options, about
from microg_bench.privacy import outgoing
from microg_bench.progress import Show, shown
from microg_bench.records import Answer, Record, TaskName
from microg_bench.runs.again import TRUST, check_names, check_same, configured_again
from microg_bench.runs.configure import Configuration
from microg_bench.runs.record import RunRecord, find_runs
from microg_bench.scorecard import Counts, ServedModel
from microg_bench.scoring.compare import runs_by_task
from microg_bench.scoring.evaluate import AnswerSet, Evaluation, evaluate_sets
from microg_bench.scoring.intervals import Clusters, paired
from microg_bench.scoring.score import counts_of, served_models
from microg_bench.settings import Settings
from microg_bench.storage import write_json
from microg_bench.tables.markdown import table
from microg_bench.tasks import HAR, TASKS, Item, shuffled
from microg_bench.text import many, markdown

DRIFT_FILE = "drift.json"
SAMPLE_SIZE = 50
# What may be given: it moves no answer, or has code run, which a run cannot. A cache would hide every drift.
OPTIONS = (
    *(
        name
        for name in Options.model_fields
        if not about(name).moves_answer and name not in ("tasks", "cache", "shard")
    ),
    TRUST,
    "model",
)


class MetricDrift(Record):
    """A score ×100 of the answers of `then` and of `now`, and the `difference`, now less then.

    `interval` holds the bounds of its 95% interval, `p` the p-value of no difference; None where the items
    have fewer than two source videos.
    """

    then: float
    now: float
    difference: float
    interval: tuple[float, float] | None
    p: float | None


class TaskDrift(Record):
    """What became of the sample of one task.

    `asked` requests are the sample, of the `answers` of the run; `failed` and `missing` (not asked yet) have
    no new answer. Of those that have one, `identical` is the share, from 0 to 1, whose answer is the same
    text, `identical_words` the share that is the same but for white space; None where there are none. `then`
    and `now` are the models that the server named, `counts_then` and `counts_now` tell how many of the
    answers compared are empty, cut or the like. `sources` is the number of source videos, `other_clips`
    that of the new answers to a clip whose file is another than then. `unavailable` says why a metric could
    not be computed.
    """

    answers: int
    asked: int
    failed: int
    missing: int
    identical: float | None
    identical_words: float | None
    then: tuple[ServedModel, ...]
    now: tuple[ServedModel, ...]
    counts_then: Counts
    counts_now: Counts
    sources: int
    other_clips: int
    metrics: dict[str, MetricDrift]
    unavailable: dict[str, str]

    @property
    def answered(self) -> int:
        """How many requests of the sample have a new answer."""
        return self.asked - self.failed - self.missing


class DriftReport(Record):
    """The content of drift.json; `settings` are those of the run that was asked again, by task.

    In the file, of a path in the settings the last part is left.
    """

    schema_: Literal["microg-bench/drift/1"] = Field(default="microg-bench/drift/1", alias="schema")
    sample: int
    seed: int
    migrated: bool
    settings: dict[TaskName, Settings]
    tasks: dict[TaskName, TaskDrift]


@dataclass(frozen=True, eq=False, repr=False)
class Drift(Mapping[TaskName, TaskDrift]):
    """What asking again gives: the drift of each task; empty while requests are pending in a batch.

    Attributes:
        folder: the folder of the new runs, with drift.json.
        report: what drift.json holds.
        results: the new runs, as `evaluate` gives them.
    """

    folder: Path
    report: DriftReport
    results: Results

    def __getitem__(self, task: TaskName) -> TaskDrift:
        return self.report.tasks[task]

    def __iter__(self) -> Iterator[TaskName]:
        return iter(self.report.tasks)

    def __len__(self) -> int:
        return len(self.report.tasks)

    def table(self) -> str:
        """A table of each task in Markdown."""
        report = self.report
        return "\n".join(
            "\n".join(_lines(found, report.settings[task], report)) + "\n"
            for task, found in report.tasks.items()
        )

    def _repr_markdown_(self) -> str:
        return self.table()  # what a notebook shows

    def __repr__(self) -> str:
        return f"Drift({str(self.folder)!r}: {', '.join(self)})"


def drift(
    source: str | Path,
    sample: int = SAMPLE_SIZE,
    *,
    seed: int = 0,
    data: str | Path | Dataset | None = None,
    run: str | Path | None = None,
    progress: Show = "rich",
    yes: bool = False,
    **options: Any,
) -> Drift:
    """Ask a sample of a run's answered requests again, and measure what changed.

    Model, checkpoint, prompts, frames, generation and thinking are those of the run; no response cache is
    used. Calling it again with the same arguments and folder resumes.

    Args:
        source: a run folder, or a folder with one run a task.
        sample: how many requests of each task are asked; all where there are fewer.
        seed: of the sample; the same seed draws the same requests, and a larger sample holds a smaller one.
        data: where the dataset is; None takes the place that the run was started with.
        run: the folder of the new runs; None takes one beside `source`, ``NAME-drift-DATE``.
        progress: as in `evaluate`.
        yes: spend money without a question.
        options: options of `microg_bench.options.Options` that move no answer, over those of the run; `model`
            where its adapter is a .py file, which no run can have imported.

    Raises:
        RunError: the folder holds no run, several runs of one task, or no answer; or the run cannot be asked
            again as it was: what differs is named.
        DataError: the dataset cannot be read, or has other references.
        UsageError, EngineError: as `evaluate`.
    """
    path = Path(source)
    runs = find_runs(path)
    old = runs_by_task(map(RunRecord.read, runs))
    if HAR in old:
        raise UsageError(f"a run of {HAR} has no texts whose drift could be told", item=str(path))
    one = _configured(old, sample, seed, data, options)
    folder = Path(run) if run else _default_folder(path, date.today())
    paths = {task: folder if runs == [path] else folder / task for task in old}
    with shown(progress) as callback:
        for task, items in one.items.items():
            count, answers = len(items), len(old[task].answers)
            callback.note(
                f"{task}: asks for {count:,} of {many(answers, 'answer')} again, into {paths[task]}"
            )
        results = in_loop(run_configuration(one, paths, callback, yes))
    report = DriftReport(
        sample=sample,
        seed=seed,
        migrated=any(record.migrated for record in old.values()),
        settings={task: record.settings for task, record in old.items()},
        tasks={} if results.outcomes.pending else _measured(old, results.records, one),
    )
    if report.tasks:
        write_json(folder / DRIFT_FILE, outgoing(report.model_dump(mode="json", by_alias=True)))
    return Drift(folder, report, results)


def draw(ids: Iterable[str], size: int, seed: int) -> frozenset[str]:
    """`size` of the `ids`, or all where there are fewer, chosen by a hash of seed and id.

    Raises:
        UsageError: `size` is not positive.
    """
    if size < 1:
        raise UsageError(f"must be at least 1, not {size}", item="--sample")
    return frozenset(shuffled(ids, seed)[:size])


def _default_folder(source: Path, today: date) -> Path:
    named = source if source.name not in ("", "..") else source.resolve()
    return named.with_name(f"{named.name}-drift-{today}")


def _configured(
    old: Mapping[TaskName, RunRecord],
    sample: int,
    seed: int,
    data: str | Path | Dataset | None,
    options: Mapping[str, Any],
) -> Configuration:
    """How the sample is asked.

    Raises:
        RunError: not as it was.
    """
    check_names(options, OPTIONS)
    first = next(iter(old.values()))
    dataset = first.dataset(data)
    items = [_answered(one.items(one.dataset(dataset)), one.answers) for one in old.values()]
    requests = [[item.request for item in own] for own in items]
    only = frozenset().union(*(draw([one.id for one in own], sample, seed) for own in requests))
    clips = list(dict.fromkeys(one.video_id for own in requests for one in own if one.id in only))
    if not clips:
        raise RunError("has no answer, so there is nothing to ask again", path=first.path)
    place = None if isinstance(data, Dataset) else data
    changed = {"data": place, "clips": clips, "tasks": list(old)}
    one = replace(configured_again(first, dataset, options, changed), only=only)
    for task, record in old.items():
        check_same(record, one.settings(task))
    return one


def _measured(
    old: Mapping[TaskName, RunRecord], new: Mapping[TaskName, RunRecord], one: Configuration
) -> dict[TaskName, TaskDrift]:
    """The drift of each task, from its old and its new answers to the same requests."""
    sets = [
        AnswerSet(task, _answered(one.items[task], new[task].answers), _texts(answers))
        for task in old
        for answers in (old[task].answers, new[task].answers)
    ]
    scored = evaluate_sets(sets, one.options)
    return {
        task: _task_drift(old[task], new[task], one.items[task], then, now)
        for task, then, now in zip(old, scored[::2], scored[1::2], strict=True)
    }


def _answered(items: Sequence[Item], ids: Collection[str]) -> list[Item]:
    return [item for item in items if item.request.id in ids]


def _texts(answers: Mapping[str, Answer]) -> dict[str, str]:
    return {name: one.answer for name, one in answers.items()}


def _task_drift(
    old: RunRecord, new: RunRecord, items: Sequence[Item], then: Evaluation, now: Evaluation
) -> TaskDrift:
    requests = [item.request for item in now.items]
    pairs = [(old.answers[one.id], new.answers[one.id]) for one in requests]
    clusters = Clusters.of([one.source for one in requests])
    failed = sum(item.request.id in new.failures for item in items)
    missing = len(items) - len(pairs) - failed
    return TaskDrift(
        answers=len(old.answers),
        asked=len(items),
        failed=failed,
        missing=missing,
        identical=_share([a.answer == b.answer for a, b in pairs]),
        identical_words=_share([a.answer.split() == b.answer.split() for a, b in pairs]),
        then=served_models(old.settings, (a for a, _ in pairs)),
        now=served_models(old.settings, (b for _, b in pairs)),
        counts_then=counts_of([a for a, _ in pairs], 0, 0),
        counts_now=counts_of([b for _, b in pairs], failed, missing),
        sources=clusters.count,
        other_clips=sum(a.shows_another_file(b) for a, b in pairs),
        metrics={name: _metric_drift(then.scores[name], one, clusters) for name, one in now.scores.items()},
        unavailable={name: one.reason for name, one in now.found.items() if isinstance(one, Unavailable)},
    )


def _share(alike: Sequence[bool]) -> float | None:
    return sum(alike) / len(alike) if alike else None


def _metric_drift(then: Score, now: Score, clusters: Clusters) -> MetricDrift:
    found = paired(METRICS[now.name], now.statistics, then.statistics, clusters)
    return MetricDrift(
        then=then.value, now=now.value, difference=found.value, interval=found.interval, p=found.p
    )


# The table.


def _lines(found: TaskDrift, settings: Settings, report: DriftReport) -> Iterator[str]:
    """What is shown of one task, in Markdown."""
    title, dataset = markdown(settings.title), markdown(settings.dataset)
    head = f"{TASKS[settings.task].title} on {dataset}: {title}, asked again"
    yield f"{head}, {found.asked:,} of {many(found.answers, 'answer')}, seed {report.seed}\n"
    yield from table(
        ["Metric", "then", "now", "difference", "95% interval", "p"],
        [[name, *_cells(one)] for name, one in found.metrics.items()],
        "lrrrrr",
    )
    yield ""
    yield from (f"- {markdown(note)}" for note in _notes(found, settings, report))


def _cells(one: MetricDrift) -> list[str]:
    bounds = "" if one.interval is None else f"{one.interval[0]:+z.2f} to {one.interval[1]:+z.2f}"
    p = "" if one.p is None else f"{one.p:.4f}"
    return [f"{one.then:.2f}", f"{one.now:.2f}", f"{one.difference:+z.2f}", bounds, p]


def _notes(found: TaskDrift, settings: Settings, report: DriftReport) -> Iterator[str]:
    """What a reader of the table must know, a line each."""
    if found.failed:
        yield f"{found.failed:,} of {many(found.asked, 'request')} failed"
    if found.missing:
        yield f"{found.missing:,} of {found.asked:,} requests were not asked"
    if found.identical is not None and found.identical_words is not None:
        yield f"identical answers: {found.identical:.1%}; {found.identical_words:.1%} but for white space"
    if found.other_clips:
        of = f"{found.other_clips:,} of {many(found.answered, 'answer')}"
        yield f"the files of the clips have changed since then: {of}"
    for when, counts in (("then", found.counts_then), ("now", found.counts_now)):
        yield from (f"{when}: {line}" for line in counts.flags())
    for when, served in (("then", found.then), ("now", found.now)):
        named = ", ".join(_named(one, settings) for one in served)
        yield f"who answered {when}: {named or 'no model was named'}"
    yield from (f"{name}: {reason}" for name, reason in found.unavailable.items())
    compared = f"compared: {many(found.answered, 'answer')} to clips of {found.sources:,} source videos"
    yield f"{compared}; p is not corrected for the number of metrics"
    if report.migrated:
        yield "the run is of version 0.1: that its adapter was the same cannot be checked"


def _named(one: ServedModel, settings: Settings) -> str:
    version = f" {one.version}" if one.version else ""
    asked = settings.checkpoint
    other = asked is not None and not one.expected
    return f"{one.name}{version} ({one.answers:,}{f', not {asked}' if other else ''})"
