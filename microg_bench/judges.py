"""Has a language model judge the answers of runs; what is asked and counted is in `annotation`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from microg_bench.annotation.judge import DEFAULT_JUDGE, Judge, JudgedRun, judge_all
from microg_bench.annotation.verdicts import find_scheme
from microg_bench.api import in_loop
from microg_bench.dataset.load import Dataset
from microg_bench.errors import UsageError
from microg_bench.options import Options
from microg_bench.progress import Show, shown
from microg_bench.runs.record import RunRecord, find_runs


def judge(
    *runs: str | Path,
    rubric: str | Path,
    model: str | None = None,
    data: str | Path | Dataset | None = None,
    progress: Show = "rich",
    yes: bool = False,
    **options: Any,
) -> dict[Path, JudgedRun]:
    """Have a language model judge the answers of runs by a rubric; the verdicts lie in the folder of each.

    Calling it again with the same arguments resumes. The model is loaded once for all runs.

    Args:
        runs: run folders, or folders that hold runs at any depth; of both tasks, those that the rubric is
            for are judged.
        rubric: ``short-answer``, ``caption-facts``, ``caption-questions``, or a .toml file with other words.
        model: the language model that judges, ``ENGINE:MODEL``; None takes an open one at a fixed commit.
        data: where the dataset is now; None takes the place that a run was started with.
        progress: as in `evaluate`.
        yes: spend money without a question.
        options: options of a language model, such as `url`, `max_cost` or `batch`, named as in
            `microg_bench.options.Options`.

    Returns:
        What judging gives, by run folder.

    Raises:
        UsageError: no run, no such rubric, or it is for another task; or an option that does not apply.
        DataError, EngineError, RunError: as `evaluate`.
    """
    if not runs:
        raise UsageError("give one run at least, or a folder with runs")
    judges = judges_of(read_runs(runs), rubric, model, options, data)
    with shown(progress) as callback:
        found = in_loop(judge_all(judges, callback, yes))
    return {one.run.path: one for one in found}


def judges_of(
    runs: Sequence[RunRecord],
    rubric: str | Path,
    model: str | None,
    options: dict[str, Any],
    data: str | Path | Dataset | None = None,
) -> list[Judge]:
    """The judge of each run that the rubric is for; of the `options`, those that are None are not given.

    Raises:
        UsageError, DataError: as `judge`.
    """
    # The default is pinned, and does not think before it rates.
    named = DEFAULT_JUDGE if model is None else {"model": model}
    given = Options.of({**named, **{name: value for name, value in options.items() if value is not None}})
    scheme, _ = find_scheme(str(rubric))
    fitting = [run for run in runs if run.settings.task == scheme.task]
    return [Judge.of(run, given, str(rubric), data) for run in fitting or runs]


def read_runs(paths: Sequence[str | Path]) -> list[RunRecord]:
    """The runs in these folders, at any depth, each once.

    Raises:
        RunError: a folder holds none, or one is damaged.
    """
    found = (path for one in paths for path in find_runs(Path(one)))
    return [RunRecord.read(path) for path in dict.fromkeys(found)]
