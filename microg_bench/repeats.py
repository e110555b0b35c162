"""Repeats: a model that samples is asked the same requests again, to tell how much of a score is chance.

Repeat k has the seed k. All share the engine and the decoding of each clip.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microg_bench import variants
from microg_bench.adapters.base import Baseline
from microg_bench.api import Results, in_loop, run_variants
from microg_bench.dataset.load import Dataset
from microg_bench.errors import UsageError
from microg_bench.options import flag
from microg_bench.pages.repeats_page import write_repeats_page
from microg_bench.progress import Progress, Show, shown
from microg_bench.runs.configure import Configuration
from microg_bench.runs.preview import Previews
from microg_bench.scoring.repeats import RepeatsReport, repeats_report
from microg_bench.storage import write_json, write_text
from microg_bench.tables.repeats import repeats_table
from microg_bench.variants import answer_tasks, folder_of, placed, previews, refuse

REPEATS_FILE, TABLE_FILE = "repeats.json", "repeats.md"
LEAST, MOST = 2, 100
REFUSED = ("seed", "transforms", "batch", "shard")  # what repeats set themselves, or cannot do


@dataclass(frozen=True, eq=False, repr=False)
class Repeated:
    """What repeats give: the folder, the report, and the results of each repeat, such as ``seed-0``.

    `page` is the file for a browser.
    """

    folder: Path
    report: RepeatsReport
    results: Mapping[str, Results]
    page: Path

    def table(self) -> str:
        """One table a task in Markdown, one row a metric."""
        return repeats_table(self.report)

    def _repr_markdown_(self) -> str:
        return self.table()  # what a notebook shows

    def __repr__(self) -> str:
        return f"Repeated({str(self.folder)!r})"


def repeat(  # noqa: PLR0913 - the arguments of `evaluate`, and how often
    model: str,
    data: str | Path | Dataset | None = None,
    tasks: str | Sequence[str] = ("caption", "vqa"),
    *,
    repeats: int = 5,
    run: str | Path | None = None,
    pictures: bool = True,
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
        pictures: whether the page shows the frames that the model was shown, of some clips.
        progress: as in `evaluate`.
        yes: as in `evaluate`.
        options: as in `evaluate`, without `seed`, `transforms`, `batch` and `shard`.

    Raises:
        UsageError, DataError, EngineError, RunError: as `evaluate`; a model that does not sample.
    """
    with shown(progress) as callback:
        found = configured(model, data, tasks, repeats, options, callback)
        first = found["seed-0"]
        root = folder_of(first, run, "repeats")
        results = in_loop(run_variants(placed(found, root), root, callback, yes))
        records = {
            name: {task: one.records[task] for task in answer_tasks(first)} for name, one in results.items()
        }
        report = repeats_report(list(records.values()))
        write_json(root / REPEATS_FILE, report.model_dump(mode="json", by_alias=True))
        write_text(root / TABLE_FILE, repeats_table(report))
        page = write_repeats_page(root, report, records, first.dataset, pictures=pictures, progress=callback)
    return Repeated(root, report, results, page)


def preview_repeats(
    model: str,
    data: str | Path | Dataset | None = None,
    tasks: str | Sequence[str] = ("caption", "vqa"),
    *,
    repeats: int = 5,
    run: str | Path | None = None,
    **options: Any,
) -> Previews:
    """What `repeat` would ask with the same arguments, and what it would cost; loads no model.

    Raises:
        UsageError, DataError, RunError: as `repeat`.
        DecodeError: a first clip cannot be decoded.
    """
    found = configured(model, data, tasks, repeats, options, Progress())
    return previews(found, folder_of(found["seed-0"], run, "repeats"))


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
    if isinstance(one.adapter, Baseline):
        reason = "is a baseline, which does not sample: its repeats are the same; give a model that samples"
        raise UsageError(reason, item=flag("model"))
    if not any(one.generation(task).temperature for task in one.tasks):
        reason = "repeats of greedy decoding are the same: give a temperature above 0"
        raise UsageError(reason, item=flag("temperature"))
    return found
