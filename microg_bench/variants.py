"""Variants of a run that are asked side by side: one model and dataset, with some options that differ."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from microg_bench.api import Variants
from microg_bench.dataset.load import Dataset
from microg_bench.errors import UsageError
from microg_bench.options import Options, flag
from microg_bench.progress import Progress
from microg_bench.records import AnswerTask
from microg_bench.runs.configure import Configuration, configure
from microg_bench.runs.preview import Previews, preview
from microg_bench.tasks import HAR


def configured(
    model: str,
    data: str | Path | Dataset | None,
    tasks: str | Sequence[str],
    options: Mapping[str, Any],
    changes: Mapping[str, Mapping[str, Any]],
    progress: Progress,
) -> dict[str, Configuration]:
    """The configuration of each variant by its name; the dataset is loaded once.

    Args:
        model: as in `evaluate`.
        data: as in `evaluate`.
        tasks: as in `evaluate`.
        options: those of all variants.
        changes: those of each variant by its name, over `options`.
        progress: is told what takes long.

    Raises:
        UsageError, DataError, EngineError: see `configure`.
    """
    if HAR in Options.of({"tasks": tasks}).tasks:
        reason = f"{HAR}: only captions and answers are compared so; give caption, vqa or both"
        raise UsageError(reason, item=flag("tasks"))
    place, dataset = (None, data) if isinstance(data, Dataset) else (data, None)
    given = {"model": model, "data": place, "tasks": tasks, **options}
    found: dict[str, Configuration] = {}
    for name, changed in changes.items():
        found[name] = configure(Options.of(given, changed), dataset, progress.note)
        dataset = found[name].dataset
    return found


def answer_tasks(one: Configuration) -> tuple[AnswerTask, ...]:
    """The tasks of a variant; the answers of all are texts, see `configured`."""
    return tuple(task for task in one.options.tasks if task != HAR)


def refuse(options: Mapping[str, Any], names: Iterable[str], what: str) -> None:
    """Refuse options that do not apply to `what`.

    Raises:
        UsageError: naming the first that is given.
    """
    for name in names:
        if options.get(name):
            raise UsageError(f"does not apply to {what}", item=flag(name))


def placed(found: Mapping[str, Configuration], root: Path) -> Variants:
    """Each variant with its runs, in a folder of its name below `root`."""
    return {name: (one, {task: root / name / task for task in one.tasks}) for name, one in found.items()}


def previews(found: Mapping[str, Configuration], root: Path) -> Previews:
    """What variants would ask, those of which have runs in folders of their names below `root`."""
    return Previews({name: preview(one, paths) for name, (one, paths) in placed(found, root).items()})


def folder_of(one: Configuration, run: str | Path | None, what: str) -> Path:
    """The folder `run` of variants; None takes that of the run `one`, with `what` behind its name."""
    plain = one.default_folder
    return Path(run) if run else plain.with_name(f"{plain.name}-{what}")
