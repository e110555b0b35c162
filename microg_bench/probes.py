"""Probes: does a model look at the clip? It is asked again with changed frames, and its answers are compared.

A probe asks the same requests under conditions that differ in what is shown alone. All share the engine and
the decoding of each clip.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microg_bench import variants
from microg_bench.api import Results, in_loop, run_variants
from microg_bench.dataset.load import Dataset
from microg_bench.errors import UsageError
from microg_bench.pages.probes_page import write_probes_page
from microg_bench.progress import Progress, Show, shown
from microg_bench.runs.configure import Configuration
from microg_bench.runs.preview import Previews
from microg_bench.scoring.probes import PLAIN, PROBES, ProbeReport, conditions_of, folder_name, report_of
from microg_bench.storage import write_json, write_text
from microg_bench.tables.probes import PROBES_FILE, ProbedRuns, probes_table
from microg_bench.text import unknown
from microg_bench.variants import answer_tasks, folder_of, placed, previews, refuse

TABLE_FILE = "probes.md"


@dataclass(frozen=True, eq=False, repr=False)
class Probes:
    """What probes give: the folder, the report, and the results of each condition, such as ``rotate-90``.

    `page` is the file for a browser.
    """

    folder: Path
    report: ProbeReport
    results: Mapping[str, Results]
    page: Path

    def table(self) -> str:
        """One table a task in Markdown, one row a condition."""
        return probes_table(self.report)

    def _repr_markdown_(self) -> str:
        return self.table()  # what a notebook shows

    def __repr__(self) -> str:
        return f"Probes({str(self.folder)!r})"


def probe(  # noqa: PLR0913 - the arguments of `evaluate`, and what is probed
    model: str,
    data: str | Path | Dataset | None = None,
    tasks: str | Sequence[str] = ("caption", "vqa"),
    *,
    probes: str | Sequence[str] = tuple(PROBES),
    run: str | Path | None = None,
    pictures: bool = True,
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
        pictures: whether the page shows the frames that the model was shown, of some clips.
        progress: as in `evaluate`.
        yes: as in `evaluate`.
        options: as in `evaluate`, without `transforms`, `batch` and `shard`.

    Raises:
        UsageError, DataError, EngineError, RunError: as `evaluate`; an unknown probe.
    """
    chosen = read_probes(probes)
    with shown(progress) as callback:
        found = configured(model, data, tasks, chosen, options, callback)
        root = folder_of(found[PLAIN], run, "probes")
        named = {folder_name(label): one for label, one in found.items()}
        results = in_loop(run_variants(placed(named, root), root, callback, yes))
        conditions = {
            label: {task: results[folder_name(label)].records[task] for task in answer_tasks(one)}
            for label, one in found.items()
        }
        report = report_of(conditions, chosen)
        write_json(root / PROBES_FILE, report.to_json())
        write_text(root / TABLE_FILE, probes_table(report))
        probed = ProbedRuns(root, conditions, report)
        page = write_probes_page(probed, found[PLAIN].dataset, pictures=pictures, progress=callback)
    return Probes(root, report, results, page)


def preview_probes(
    model: str,
    data: str | Path | Dataset | None = None,
    tasks: str | Sequence[str] = ("caption", "vqa"),
    *,
    probes: str | Sequence[str] = tuple(PROBES),
    run: str | Path | None = None,
    **options: Any,
) -> Previews:
    """What `probe` would ask with the same arguments, and what it would cost; loads no model.

    Raises:
        UsageError, DataError, RunError: as `probe`.
        DecodeError: a first clip cannot be decoded.
    """
    found = configured(model, data, tasks, read_probes(probes), options, Progress())
    named = {folder_name(label): one for label, one in found.items()}
    return previews(named, folder_of(found[PLAIN], run, "probes"))


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
    refuse(options, ("transforms", "batch", "shard"), "probes")
    changes = {label: {"transforms": "" if label == PLAIN else label} for label in conditions_of(probes)}
    return variants.configured(model, data, tasks, options, changes, progress)
