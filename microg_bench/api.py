"""The public functions: evaluate models, score answers, compare runs. The command line calls them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from microg_bench.adapters.base import Baseline
from microg_bench.dataset.load import Dataset, load
from microg_bench.errors import MicrogError, RunError, UsageError
from microg_bench.options import Options, ScoringOptions
from microg_bench.progress import Periodic, Progress, Show, shown
from microg_bench.records import TaskName
from microg_bench.runs.configure import Configuration, configure
from microg_bench.runs.execute import Variant, ask
from microg_bench.runs.preview import Preview, preview
from microg_bench.runs.record import RunRecord, find_runs
from microg_bench.runs.reparse import reparsed
from microg_bench.runs.start import PAGE_FILE, Outcomes, Usage, provenance
from microg_bench.scorecard import Scorecard
from microg_bench.scoring.compare import Comparison, comparable
from microg_bench.scoring.compare import compare as compare_records
from microg_bench.scoring.score import ScoredRun, score_predictions, score_records
from microg_bench.storage import write_text
from microg_bench.tables.markdown import scorecard_table
from microg_bench.tasks import HAR, get_task

if TYPE_CHECKING:
    import polars

    from microg_bench.har.answers import ScoredPersons
    from microg_bench.pages.live_page import LivePage

TABLE_FILE = "table.md"
TOGETHER = 8  # runs that are scored at once
Found = TypeVar("Found")
Variants = Mapping[str, tuple[Configuration, Mapping[TaskName, Path]]]  # by name, with the run of each task


@dataclass(frozen=True, eq=False, repr=False)
class Results(Mapping[TaskName, Scorecard]):
    """What an evaluation gives: the scorecard of each task, and where everything is.

    Attributes:
        folder: the folder of the runs.
        records: the run of each task.
        outcomes: what this start came to.
        usage: what it took.
        tables: the table of each task, in Markdown.
    """

    folder: Path
    records: Mapping[TaskName, RunRecord]
    outcomes: Outcomes
    usage: Usage
    tables: Mapping[TaskName, str]

    def __getitem__(self, task: TaskName) -> Scorecard:
        return self.records[task].scorecard

    def __iter__(self) -> Iterator[TaskName]:
        return iter(task for task, record in self.records.items() if record.is_scored)

    def __len__(self) -> int:
        return sum(record.is_scored for record in self.records.values())

    def frame(self, data: str | Path | Dataset | None = None) -> polars.DataFrame:
        """One row an item: request, reference, answer and its scores ×100, of all tasks.

        Args:
            data: where the dataset is now; None takes the place that the run was started with.
        """
        from microg_bench.export.predictions import frame

        return frame([(record, record.dataset(data)) for record in self.records.values()])

    def table(self) -> str:
        """The tables of all tasks, in Markdown."""
        return "\n".join(self.tables.values())

    def _repr_markdown_(self) -> str:
        return self.table()  # what a notebook shows

    def __repr__(self) -> str:
        return f"Results({str(self.folder)!r}: {', '.join(self.records)})"


def evaluate(
    model: str,
    data: str | Path | Dataset | None = None,
    tasks: str | Sequence[str] = ("caption", "vqa"),
    *,
    run: str | Path | None = None,
    progress: Show = "rich",
    yes: bool = False,
    page: bool | None = None,
    **options: Any,
) -> Results:
    """Ask a model about all clips, write its answers down, and score them.

    Calling it again with the same arguments resumes: completed requests are not repeated.

    Args:
        model: name of a model, ``ENGINE:NAME``, or an adapter's .py file.
        data: ``sample``, ``microg-4m``, a folder, an annotation file, or a loaded dataset.
        tasks: ``caption``, ``vqa``, ``har``, or several of them.
        run: the folder of the runs, one below it for each task; None takes one below ``runs/`` that is the
            same for the same options.
        progress: ``"rich"`` shows a bar on standard error, None shows nothing; or a callback of your own.
        yes: spend money without a question.
        page: whether `page.html` in the folder of the runs tells the state as it goes, and in the end what
            they came to; None writes it where the asking takes more than ten seconds.
        options: any option of `microg_bench.options.Options`, named as its field.

    Raises:
        UsageError: an option that cannot be used as given, or a cost that is not confirmed.
        DataError: a dataset or prompt that cannot be read.
        EngineError: the engine cannot be started, or cannot go on; what it answered is recorded.
        RunError: a run folder that cannot be resumed or written.
    """
    given = {"run": run, "progress": progress, "yes": yes, "page": page, **options}
    return in_loop(evaluate_async(model, data, tasks, **given))


async def evaluate_async(
    model: str,
    data: str | Path | Dataset | None = None,
    tasks: str | Sequence[str] = ("caption", "vqa"),
    *,
    run: str | Path | None = None,
    progress: Show = "rich",
    yes: bool = False,
    page: bool | None = None,
    **options: Any,
) -> Results:
    """As `evaluate`, to be awaited under a running event loop."""
    with shown(progress, page) as callback:
        one = _configured(model, data, tasks, options, callback.note)
        return await run_configuration(one, _paths(one, run), callback, yes)


def _paths(one: Configuration, run: str | Path | None) -> dict[TaskName, Path]:
    root = one.shard_folder(Path(run) if run else one.default_folder)
    return {task: root / task for task in one.tasks}


def _configured(
    model: str,
    data: str | Path | Dataset | None,
    tasks: str | Sequence[str],
    options: Mapping[str, Any],
    note: Callable[[str], None],
) -> Configuration:
    name, dataset = (None, data) if isinstance(data, Dataset) else (data, None)
    return configure(Options.of({"model": model, "data": name, "tasks": tasks, **options}), dataset, note)


async def run_configuration(
    one: Configuration, paths: Mapping[TaskName, Path], progress: Progress, yes: bool = False
) -> Results:
    """Ask what is open in the runs at `paths`, one a task, and score them; see `evaluate`.

    A shard is not scored: its part of the clips says nothing by itself. With a `Periodic` progress callback
    the runs have a page as they go.
    """
    return (await _pipeline({"": (one, paths)}, _root(paths), progress, yes))[""]


async def _pipeline(variants: Variants, root: Path, progress: Progress, yes: bool) -> dict[str, Results]:
    """The pipeline of run variants that share an engine: prepare, ask, score, write."""
    opened: dict[str, Variant] = {}
    with ExitStack() as stack:
        end = stack.enter_context(_paged(root, opened.values(), progress))
        opened |= {name: _opened(stack, *variant, progress) for name, variant in variants.items()}
        outcomes = await ask(list(opened.values()), root, progress, yes)
        tables: dict[Path, str] = {}
        first = next(iter(opened.values())).configuration
        if not outcomes.pending and not first.options.shard:
            tables, errors = await asyncio.to_thread(
                score_and_save, outcomes.recorded, first.options, first.dataset, progress
            )
            raise_all(errors)
        end(outcomes)
        return {
            name: Results(
                _root(variants[name][1]),
                one.records,
                outcomes,
                one.usage,
                {task: tables.get(record.path, "") for task, record in one.records.items()},
            )
            for name, one in opened.items()
        }


@contextmanager
def _paged(root: Path, opened: Iterable[Variant], progress: Progress) -> Iterator[Callable[[Outcomes], None]]:
    """Have the page of the first variant written as it goes, if `progress` is `Periodic`.

    The function that is given writes the page of what the start came to. Where an error ends the start, the
    page says so.
    """
    if not isinstance(progress, Periodic):
        yield lambda _: None
        return

    @cache
    def page() -> LivePage:
        from microg_bench.pages.live_page import LivePage

        first = next(iter(opened))
        return LivePage(file, first.records, first.configuration, progress)

    file, progress.act = root / PAGE_FILE, lambda *pace: page().write(*pace)
    try:
        yield lambda outcomes: page().finish(outcomes) if progress.acted or file.exists() else None
    except BaseException as error:
        if progress.acted:
            page().stop(error)
        raise


def _opened(
    stack: ExitStack, one: Configuration, paths: Mapping[TaskName, Path], progress: Progress
) -> Variant:
    """The runs of a variant, created or resumed, and locked until the stack ends."""
    made_with = provenance()
    records = {}
    for task, path in paths.items():
        options = {**one.given, "tasks": [task]}
        record = RunRecord.open(path, one.settings(task), options, dict(made_with))
        records[task] = stack.enter_context(record)
        if record.repaired:
            progress.note(f"{path}: repaired the last line of the journal, torn by an earlier stop")
    return Variant(one, records)


def _root(paths: Mapping[TaskName, Path]) -> Path:
    """The folder of what the runs of several tasks share."""
    first = next(iter(paths.values()))
    return first.parent if len(paths) > 1 else first


def score_and_save(
    records: Sequence[RunRecord],
    options: ScoringOptions,
    data: str | Path | Dataset | None,
    progress: Progress,
) -> tuple[dict[Path, str], list[MicrogError]]:
    """Score runs, some at a time, and write scorecard, predictions, statistics and table into each folder.

    Returns:
        Their tables in Markdown by run folder, and the error of each run that cannot be scored.

    Raises:
        RunError: a file cannot be written.
    """
    tables: dict[Path, str] = {}
    errors: list[MicrogError] = []
    scorer = _scored if any(record.settings.task == HAR for record in records) else score_records
    progress.stage("scoring", len(records))
    for start in range(0, len(records), TOGETHER):
        for found in scorer(records[start : start + TOGETHER], options, data):
            if isinstance(found, MicrogError):
                errors.append(found)
                continue
            path = found.record.path
            tables[path] = scorecard_table([found.scorecard])
            found.save()
            write_text(path / TABLE_FILE, tables[path])
            progress.advance()
    return tables, errors


def _scored(
    records: Sequence[RunRecord], options: ScoringOptions, data: str | Path | Dataset | None
) -> list[ScoredRun | ScoredPersons | MicrogError]:
    """What scoring gives of each run, or why it cannot be scored; those about persons last."""
    from microg_bench.har.answers import score_answers

    persons = [record for record in records if record.settings.task == HAR]
    texts = [record for record in records if record not in persons]
    return [*score_records(texts, options, data), *score_answers(persons, options, data)]


def raise_all(errors: Sequence[MicrogError]) -> None:
    """Raise one error that tells all of them; nothing where there are none."""
    if errors:
        raise errors[0] if len(errors) == 1 else RunError("; ".join(map(str, errors)))


async def run_variants(variants: Variants, root: Path, progress: Progress, yes: bool) -> dict[str, Results]:
    """All variants with one engine; baselines, which are cheap, one after the other."""
    if not isinstance(next(iter(variants.values()))[0].adapter, Baseline):
        return await _pipeline(variants, root, progress, yes)
    found: dict[str, Results] = {}
    for name, one in variants.items():
        found |= await _pipeline({name: one}, root / name, progress, yes)
    return found


def score(
    source: str | Path,
    task: str | None = None,
    data: str | Path | Dataset | None = None,
    *,
    allow_missing: bool = False,
    reparse: bool = False,
    model: str | None = None,
    progress: Show = "rich",
    **options: Any,
) -> list[Scorecard]:
    """Score runs again, or a predictions file from elsewhere; nothing is asked.

    Args:
        source: a run folder, a folder of runs at any depth, or a predictions file in any of the layouts of
            docs/reference/formats/predictions.md.
        task: the task of a predictions file.
        data: where the dataset is; None takes the place that a run was started with.
        allow_missing: score a predictions file though items are missing or unknown.
        reparse: parse the kept texts of runs again with their adapters, which were edited, before scoring.
        model: the adapter to parse with; needed where it is a .py file, which no run can have imported.
        progress: as in `evaluate`.
        options: any option of `microg_bench.options.ScoringOptions`.

    Returns:
        The scorecards; those of runs are written into their folders too.

    Raises:
        UsageError, DataError, RunError: something cannot be used, read or written.
    """
    chosen = ScoringOptions.of(options)
    path = Path(source)
    predictions = not path.is_dir() and (task is not None or path.is_file())
    refused = (
        {"--reparse": reparse, "--model": model}
        if predictions
        else {"--task": task, "--allow-missing": allow_missing}
    )
    for item, given in refused.items():
        if given:
            raise UsageError(f"does not apply to {'predictions' if predictions else 'runs'}", item=item)
    if model and not reparse and not predictions:
        raise UsageError("needs --reparse: nothing else is done with an adapter", item="--model")
    if not predictions:
        cards, errors = score_runs(path, chosen, data, progress, reparse, model)
        raise_all(errors)
        return list(cards.values())
    if task == HAR:
        raise UsageError("detections of actions are scored by `microg-bench har score`", item="--task")
    if task is None:
        raise UsageError("give the task of the predictions: caption or vqa", item="--task")
    dataset = load_dataset(data)
    return [score_predictions(get_task(task).name, path, dataset, chosen, allow_missing)]


def score_runs(
    path: Path,
    options: ScoringOptions,
    data: str | Path | Dataset | None = None,
    progress: Show = "rich",
    reparse: bool = False,
    model: str | None = None,
) -> tuple[dict[Path, Scorecard], list[MicrogError]]:
    """Score the run at `path`, or all runs below it, again; see `score`.

    Returns:
        The scorecards by run folder, and the error of each run that cannot be scored.

    Raises:
        RunError: there is no such folder, no run in it, or a file cannot be written.
    """
    records: list[RunRecord] = []
    unread: list[MicrogError] = []
    with shown(progress) as callback:
        for one in find_runs(path):
            try:
                records.append(reparsed(one, model, data, callback) if reparse else RunRecord.read(one))
            except MicrogError as error:
                unread.append(error)
        tables, errors = score_and_save(records, options, data, callback)
    return {one.path: one.scorecard for one in records if one.path in tables}, unread + errors


def compare(*runs: str | Path | RunRecord, metrics: Sequence[str] = ()) -> list[Comparison]:
    """Compare two or more scored runs pair by pair: difference, 95% interval and p-value of each metric.

    Args:
        runs: run folders, or folders that hold one run each task; runs of one task are compared.
        metrics: names; none takes all that the runs have in common.

    Raises:
        RunError: a run has not been scored.
        DataError: runs that cannot be compared; what differs is named.
    """
    return [one for records in comparable(runs).values() for one in compare_records(records, metrics)]


def load_run(path: str | Path) -> RunRecord:
    """The run in a folder: settings, answers, failures and, once scored, its scorecard and statistics.

    Raises:
        RunError: it is no run folder, or is damaged.
    """
    return RunRecord.read(Path(path))


def load_dataset(data: str | Path | Dataset | None = None) -> Dataset:
    """A dataset: ``sample``, ``microg-4m`` (as fetched), a folder, an annotation file; a loaded one as it is.

    Raises:
        DataError: it cannot be read.
    """
    return data if isinstance(data, Dataset) else load(None if data is None else str(data))


def in_loop(coroutine: Coroutine[Any, Any, Found]) -> Found:
    """Run a coroutine to its end, also under a running event loop: then in a thread of its own."""
    if asyncio._get_running_loop() is None:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(1, thread_name_prefix="microg-bench") as thread:
        return thread.submit(asyncio.run, coroutine).result()


def dry_run(
    model: str,
    data: str | Path | Dataset | None = None,
    tasks: str | Sequence[str] = ("caption", "vqa"),
    *,
    run: str | Path | None = None,
    **options: Any,
) -> Preview:
    """What `evaluate` would ask with the same arguments, and what it would cost; loads no model.

    Raises:
        UsageError, DataError, RunError: as `evaluate`.
        DecodeError: the first clip cannot be decoded.
    """
    one = _configured(model, data, tasks, options, Progress().note)
    return preview(one, _paths(one, run))
