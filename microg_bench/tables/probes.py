"""The tables of probes in Markdown, and the folders of probes that a leaderboard shows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from microg_bench.errors import MicrogError, RunError
from microg_bench.records import AnswerTask, first_fault, validated
from microg_bench.scoring.probes import (
    PROBES,
    Conditions,
    MetricEffect,
    ProbeEffect,
    ProbeReport,
    conditions_of,
    folder_name,
    report_of,
)
from microg_bench.storage import read_strict_json
from microg_bench.tables.gather import read_scored
from microg_bench.tables.markdown import table
from microg_bench.tasks import TASKS
from microg_bench.text import first_line, markdown

PROBES_FILE = "probes.json"


def probes_table(report: ProbeReport) -> str:
    """One table a task in Markdown, one row a condition: differences ×100 with their 95% interval."""
    return "\n".join(_task_table(task, report) for task in report.tasks)


def _task_table(task: AnswerTask, report: ProbeReport) -> str:
    effects = report.of_task(task)
    columns = metrics_of(effects)
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
        *report.warnings,
        "differences from unchanged frames, ×100, with their 95% interval; those of rotations from "
        "`rotate:0`",
    ]
    return "\n".join([f"{TASKS[task].title}\n", *lines, "", *(f"- {note}" for note in notes)]) + "\n"


def metrics_of(effects: Sequence[ProbeEffect]) -> list[str]:
    """The metrics that some condition of a task has a difference of, in the order of the task."""
    named = (name for one in effects for name in TASKS[one.task].metrics if name in one.metrics)
    found = set(named)
    return [name for one in effects[:1] for name in TASKS[one.task].metrics if name in found]


def _difference(effect: MetricEffect | None) -> str:
    if effect is None:
        return "n/a"
    bounds = f" ({effect.interval[0]:+z.2f} to {effect.interval[1]:+z.2f})" if effect.interval else ""
    return f"{effect.difference:+z.2f}{bounds}"


@dataclass(frozen=True, eq=False)
class ProbedRuns:
    """Probes of a model: the runs of all conditions, and the report that was computed from them."""

    folder: Path
    conditions: Conditions
    report: ProbeReport


def gather_probes(folders: Iterable[Path]) -> tuple[list[ProbedRuns], list[MicrogError]]:
    """The probes in folders of any depth, in the order of their content, and the error of each left out.

    Of what `probes.json` says, only the names of probes and tasks are believed: all numbers are computed
    again from the runs of the conditions.
    """
    found: dict[str, ProbedRuns] = {}
    errors: list[MicrogError] = []
    files = (file for folder in folders for file in sorted(folder.rglob(PROBES_FILE)))
    for path in dict.fromkeys(file.parent for file in files):
        try:
            one = read_probed(path)
            found.setdefault(one.report.model_dump_json(), one)
        except MicrogError as error:
            errors.append(error)
        except Exception as error:  # the runs may be a stranger's
            errors.append(RunError(f"cannot be read: {first_line(repr(error))}", path=path))
    return [found[key] for key in sorted(found)], errors


def read_probed(folder: Path) -> ProbedRuns:
    """The probes in a folder, computed again.

    Raises:
        RunError: `probes.json` or a run is damaged, or a run is missing.
        DataError: the runs do not belong together, or `probes.json` cannot be read.
    """
    claimed = read_report(folder / PROBES_FILE)
    conditions = {
        label: {task: read_scored(folder / folder_name(label) / task) for task in claimed.tasks}
        for label in conditions_of(claimed.probes)
    }
    return ProbedRuns(folder, conditions, report_of(conditions, claimed.probes))


def read_report(file: Path) -> ProbeReport:
    """What `probes.json` claims.

    Raises:
        DataError: it cannot be read, or is no JSON.
        RunError: it is damaged.
    """
    content = read_strict_json(file)
    try:
        # The verdict follows from the rest.
        effects = [{name: one[name] for name in one if name != "verdict"} for one in content["effects"]]
        report = validated(ProbeReport, {**content, "effects": effects})
    except ValidationError as error:
        raise RunError(f"damaged: {first_fault(error)}", path=file) from error
    except (KeyError, TypeError) as error:
        raise RunError("damaged: it holds no effects", path=file) from error
    if not report.effects or not PROBES.keys() >= set(report.probes):
        raise RunError("damaged: it names no probe that is known", path=file)
    return report
