"""Repeats: a model that samples is asked the same requests again, to tell how much of a score is chance.

Repeat k has the seed k. All share the engine and the decoding of each clip.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microg_bench import variants
from microg_bench.api import Results, in_loop, run_variants
from microg_bench.dataset.load import Dataset
from microg_bench.errors import UsageError
from microg_bench.options import flag
from microg_bench.progress import Progress, Show, shown
from microg_bench.runs.configure import Configuration
from microg_bench.runs.preview import Previews, preview
from microg_bench.scoring.repeats import RepeatedScore, RepeatsReport, TaskRepeats, repeats_report
from microg_bench.storage import write_json, write_text
from microg_bench.tables.markdown import table
from microg_bench.tasks import TASKS
from microg_bench.text import markdown
from microg_bench.variants import answer_tasks, beside, placed, refuse

REPEATS_FILE, TABLE_FILE = "repeats.json", "repeats.md"
LEAST, MOST = 2, 100
REFUSED = ("seed", "transforms", "batch", "shard")  # what repeats set themselves, or cannot do


@dataclass(frozen=True, eq=False, repr=False)
class Repeated:
    """What repeats give: the folder, the report, and the results of each repeat, such as ``seed-0``."""

    folder: Path
    report: RepeatsReport
    results: Mapping[str, Results]

    def table(self) -> str:
        """One table a task in Markdown, one row a metric."""
        return _tables(self.report)

    def _repr_markdown_(self) -> str:
        return self.table()  # what a notebook shows


def repeat(
    model: str,
    data: str | Path | Dataset | None = None,
    tasks: str | Sequence[str] = ("caption", "vqa"),
    *,
    repeats: int = 5,
    run: str | Path | None = None,
    progress: Show = "rich",
    yes: bool = False,
    **options: Any,
) -> Repeated:
    """Ask a model that samples the same requests several times, and tell what its scores vary by.

    Calling it again with the same arguments, or with more repeats, resumes.

    Args:
        model: as in `evaluate`.
        data: as in `evaluate`.
        tasks: as in `evaluate`.
        repeats: how many times, 2 to 100; their seeds are 0 and so on.
        run: the folder of the runs, one below it for each repeat; None takes one below ``runs/`` that is the
            same for the same options.
        progress: as in `evaluate`.
        yes: as in `evaluate`.
        options: as in `evaluate`, without `seed`, `transforms`, `batch` and `shard`.

    Raises:
        UsageError, DataError, EngineError, RunError: as `evaluate`; a model that does not sample.
    """
    with shown(progress) as callback:
        found = configured(model, data, tasks, repeats, options, callback)
        first = found["seed-0"]
        root = Path(run) if run else beside(first, "repeats")
        results = in_loop(run_variants(placed(found, root), root, callback, yes))
    records = [{task: one.records[task] for task in answer_tasks(first)} for one in results.values()]
    report = repeats_report(records)
    write_json(root / REPEATS_FILE, report.model_dump(mode="json", by_alias=True))
    write_text(root / TABLE_FILE, _tables(report))
    return Repeated(root, report, results)


def preview_repeats(
    model: str,
    data: str | Path | Dataset | None = None,
    tasks: str | Sequence[str] = ("caption", "vqa"),
    *,
    repeats: int = 5,
    **options: Any,
) -> Previews:
    """What `repeat` would ask with the same arguments, and what it would cost; loads no model.

    Raises:
        UsageError, DataError: as `repeat`.
        DecodeError: a first clip cannot be decoded.
    """
    found = configured(model, data, tasks, repeats, options, Progress())
    return Previews({name: preview(one) for name, one in found.items()})


def configured(
    model: str,
    data: str | Path | Dataset | None,
    tasks: str | Sequence[str],
    repeats: int,
    options: Mapping[str, Any],
    progress: Progress,
) -> dict[str, Configuration]:
    """The configuration of each repeat, by the name of its folder.

    Raises:
        UsageError, DataError, EngineError: see `configure`; an option that repeats do not take, or a model
            that decodes greedily.
    """
    if not LEAST <= repeats <= MOST:
        raise UsageError(f"give {LEAST} to {MOST}", item="--repeats")
    refuse(options, REFUSED, "repeats")
    changes = {f"seed-{seed}": {"seed": seed} for seed in range(repeats)}
    found = variants.configured(model, data, tasks, options, changes, progress)
    one = found["seed-0"]
    if not any(one.generation(task).temperature for task in one.tasks):
        reason = "repeats of greedy decoding are the same: give a temperature above 0"
        raise UsageError(reason, item=flag("temperature"))
    return found


def _tables(report: RepeatsReport) -> str:
    return "\n".join(_table(one, report.repeats) for one in report.tasks)


def _table(one: TaskRepeats, repeats: int) -> str:
    rows = [[markdown(name), *_cells(score)] for name, score in one.metrics.items()]
    columns = ["Metric", "Mean", "95% interval", "Within", "Between", "Lowest", "Highest"]
    share = "n/a" if one.same is None else f"{one.same:.1%}"
    notes = [
        f"{repeats} repeats of {one.items} requests; {share} of them have the same answer in all",
        "within: standard deviation of one repeat's score by the chance of sampling; between: by the choice "
        "of source videos; the interval of the mean holds both",
    ]
    lines = [f"{TASKS[one.task].title}\n", *table(columns, rows, "l" + "r" * 6)]
    return "\n".join([*lines, "", *(f"- {note}" for note in notes)]) + "\n"


def _cells(score: RepeatedScore) -> list[str]:
    bounds = f"{score.interval[0]:.2f} to {score.interval[1]:.2f}" if score.interval else "n/a"
    between = "n/a" if score.between is None else f"{score.between:.2f}"
    values = [min(score.scores), max(score.scores)]
    return [f"{score.mean:.2f}", bounds, f"{score.within:.2f}", between, *(f"{one:.2f}" for one in values)]
