"""What a run of the task "har" asks about, and what it cannot be asked with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from microg_bench.adapters.base import Baseline
from microg_bench.dataset.load import Dataset, load
from microg_bench.errors import UsageError
from microg_bench.options import Options, flag
from microg_bench.persons.dataset import ActionDataset, load_actions
from microg_bench.runs.configure import Configuration
from microg_bench.tasks import HAR


def load_persons(one: Configuration, dataset: Dataset | None = None) -> ActionDataset:
    """The persons whom a run asks about, with the texts of its other tasks.

    Args:
        one: the configuration, without its dataset.
        dataset: what another variant of the run has loaded.

    Raises:
        UsageError: persons cannot be shown so, the baseline does not answer, or a dataset was given that was
            loaded without its persons.
        DataError: see `load_actions`.
    """
    _check(one)
    if isinstance(dataset, ActionDataset):
        return dataset
    if dataset is not None:
        raise UsageError(f"the task {HAR} takes the folder of a dataset, not a loaded one", item=flag("data"))
    texts = load(one.options.data) if one.tasks != (HAR,) else None
    return _loaded(one.options, one.options.data, texts)


def recorded_persons(given: Mapping[str, Any], data: str | Path | None) -> ActionDataset:
    """The persons whom a run asked about that was started with the options `given`.

    Args:
        given: the options, as run.json has them.
        data: where the dataset is now; None takes the place that the run was started with.

    Raises:
        UsageError: the file of annotations is gone.
        DataError: see `load_actions`.
    """
    options = Options.of(given)
    return _loaded(options, data or options.data)


def _loaded(options: Options, data: str | Path | None, texts: Dataset | None = None) -> ActionDataset:
    boxes = Path(options.actions) if options.actions else None
    return load_actions(data, split=options.split, boxes=boxes, form=options.boxes, texts=texts)


def _check(one: Configuration) -> None:
    if isinstance(one.adapter, Baseline) and HAR not in one.adapter.tasks:
        raise UsageError(
            f"the baseline {one.adapter.name} does not answer the task {HAR}", item=flag("tasks")
        )
    if one.options.actions and one.options.split != Options.model_fields["split"].default:
        raise UsageError(f"does not apply: {flag('actions')} is taken whole", item=flag("split"))
    if one.sends_clips:
        raise UsageError("does not apply: a box is shown on frames, not in a file", item=flag("media"))
    if any(transform.name == "swap" for transform in one.transforms):
        raise UsageError("swap shows another clip, in which a box means nothing", item=flag("transforms"))
