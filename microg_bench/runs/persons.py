"""What a run of the task "har" asks about, and what it cannot be asked with."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from microg_bench.adapters.base import Baseline
from microg_bench.dataset.load import Dataset, find_videos, load, locate
from microg_bench.errors import UsageError
from microg_bench.options import OF_PERSONS, Options, ScoringOptions, flag
from microg_bench.persons.dataset import ActionDataset, load_actions
from microg_bench.runs.configure import Configuration
from microg_bench.tasks import HAR
from microg_bench.text import listed, many

# Options of scoring that move no score of actions.
OF_TEXTS = [name for name in ScoringOptions.model_fields if name not in ("clusters", "actions", *OF_PERSONS)]
SENSELESS = {  # changes of frames with which nobody can be shown
    "swap": "shows another clip, in which a box means nothing",
    "no-frames": "shows no frame on which a box could be",
}


def load_persons(
    one: Configuration, dataset: Dataset | None = None, note: Callable[[str], None] = lambda text: None
) -> ActionDataset:
    """The persons whom a run asks about, with the texts of its other tasks.

    Args:
        one: the configuration, without its dataset.
        dataset: what another variant of the run has loaded.
        note: is told which of the clips that were named have no persons.

    Raises:
        UsageError: persons are not asked about, or cannot be shown so, an option does not apply, the baseline
            does not answer, a clip has no person, or a dataset was given that was loaded without its persons.
        DataError: see `load_actions`.
    """
    _check(one)
    if isinstance(dataset, ActionDataset):
        return dataset
    if dataset is not None:
        raise UsageError(f"the task {HAR} takes the folder of a dataset, not a loaded one", item=flag("data"))
    texts = load(one.options.data) if one.tasks != (HAR,) else None
    found = _loaded(one.options, one.options.data, texts)
    _check_clips(one, found, note)
    return found


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


def _check_clips(one: Configuration, dataset: ActionDataset, note: Callable[[str], None]) -> None:
    """Tell which clips that were named have no person, or refuse them where nothing else is asked.

    Raises:
        UsageError: a clip has none, and the task is the only one.
    """
    of_persons = {item.video_id for item in dataset.key_frames.items}
    bare = [clip for clip in one.options.clips if clip not in of_persons]
    folder = locate(one.options.data)
    videos = find_videos(folder)[0] if bare and folder.is_dir() else {}
    known = [clip for clip in bare if clip in videos]
    if known:
        what = f"annotated person of {dataset.key_frames.name}"
        if one.tasks == (HAR,):
            raise UsageError(f"{listed(known)}: no {what}", item=flag("clips"))
        of = f"{len(known)} of {many(len(one.options.clips), 'clip')}"
        note(f"{HAR} leaves out {of}, without an {what}: {listed(known)}")


def _check(one: Configuration) -> None:
    if HAR not in one.tasks:
        name = next(name for name in OF_PERSONS if name in one.given)
        raise UsageError(f"does not apply: the task {HAR} is not asked", item=flag(name))
    if one.tasks == (HAR,) and (name := next((name for name in OF_TEXTS if name in one.given), "")):
        raise UsageError(f"does not apply to the task {HAR}", item=flag(name))
    if isinstance(one.adapter, Baseline) and HAR not in one.adapter.tasks:
        raise UsageError(
            f"the baseline {one.adapter.name} does not answer the task {HAR}", item=flag("tasks")
        )
    if one.options.actions and one.options.split != Options.model_fields["split"].default:
        raise UsageError(f"does not apply: {flag('actions')} is taken whole", item=flag("split"))
    if one.options.action_scores == "logprob" and not one.options.logprobs:
        raise UsageError(
            f"logprob needs {flag('logprobs')}, with which answers are asked", item=flag("action_scores")
        )
    if one.sends_clips:
        raise UsageError("does not apply: a box is shown on frames, not in a file", item=flag("media"))
    for transform in one.transforms:
        if reason := SENSELESS.get(transform.name):
            raise UsageError(f"{transform.name} {reason}", item=flag("transforms"))
