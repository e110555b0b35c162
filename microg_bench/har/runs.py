"""A folder of predictions of actions, as `har run` leaves it: what it was made with, and its detections."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from microg_bench.dataset.labels import LabelMap
from microg_bench.errors import RunError
from microg_bench.har.boxes import Detections, read_detections
from microg_bench.har.recipe import MODELS
from microg_bench.records import Record, first_fault, validated
from microg_bench.storage import read_json, write_json
from microg_bench.text import first_line

SETTINGS, TRAINING = FILES = ("settings.json", "training.json")  # of a prediction, of a training
AVA_ACTIONS = tuple(range(1, 81))  # the outputs of weights that were trained on AVA


class PredictSettings(Record):
    """What moves a logit of a run: the model, its weights, what it was shown."""

    schema_: Literal["microg-bench/actions/1"] = Field(default="microg-bench/actions/1", alias="schema")
    model: str
    recipe: str
    checkpoint: str
    sha256: str
    trained_on: str
    split: str = Field(pattern=r"^[^/\\]{1,200}$")
    key_frames: str
    actions: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class ActionRun:
    """A run of a model on key frames."""

    folder: Path
    settings: PredictSettings
    detections: Detections


def claim(folder: Path, file: str, settings: Record, free: Collection[str] = ()) -> None:
    """Write what a folder is made with into it, or check that it was made with the same, `free` fields apart.

    Raises:
        RunError: it was made with others, which are named, or holds a run of the other kind.
    """
    if other := next((name for name in FILES if name != file and (folder / name).is_file()), None):
        raise RunError(f"is the folder of another run: it holds {other}; give another --run", path=folder)
    path, given = folder / file, settings.model_dump(mode="json", by_alias=True)
    if not path.is_file():
        write_json(path, given)
        return
    for place, old, new in _apart(read_json(path), given):
        if place[0] not in free:
            said = (
                f"is {first_line(old, 60)} there and {first_line(new, 60)} here: give another folder as --run"
            )
            raise RunError(said, path=folder, item=".".join(place))


def _apart(old: Any, new: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Where two contents differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys([*new, *old]):
            yield from _apart(old.get(name), new.get(name), (*place, name))
    elif old != new:
        yield place, old, new


def detections_file(folder: Path, settings: PredictSettings) -> Path:
    """The file of the detections in the folder of a run."""
    # Tables know what was not trained on MicroG-4M by its name.
    name = f"{settings.model}-zero-shot" if settings.actions == AVA_ACTIONS else settings.model
    return folder / f"{name}.{settings.split}.csv"


def read_run(folder: Path, labels: LabelMap) -> ActionRun:
    """Read the settings and the detections of a run.

    Raises:
        RunError: the folder holds no run, or its settings are none of ours.
        DataError: its settings are no JSON; see `read_detections` for the others.
    """
    path = folder / SETTINGS
    if not path.is_file():
        reason = f"holds no {SETTINGS}: give a folder that `microg-bench har run` wrote"
        raise RunError(reason, path=folder)
    try:
        settings = validated(PredictSettings, read_json(path))
    except ValidationError as error:
        raise RunError(first_fault(error), path=path) from None
    if settings.model not in MODELS:  # its name is part of that of a file
        raise RunError("is none of the models that `microg-bench har models` lists", path=path, item="model")
    file = detections_file(folder, settings)
    if not file.is_file():
        raise RunError(f"holds no {file.name}: the run has not ended; start it again", path=folder)
    return ActionRun(folder, settings, read_detections(file, labels))
