"""A folder of predictions of actions, as `har run` leaves it: what it was made with, and its detections."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from microg_bench.dataset.labels import LabelMap
from microg_bench.errors import RunError
from microg_bench.har.boxes import Detections, read_detections
from microg_bench.har.recipe import MODELS
from microg_bench.records import Record, first_fault, validated
from microg_bench.storage import read_json

SETTINGS = "settings.json"
AVA_ACTIONS = tuple(range(1, 81))  # the outputs of weights that were trained on AVA


class PredictSettings(Record):
    """What moves a logit of a run: the model, its weights, what it was shown."""

    schema_: Literal["microg-bench/actions/1"] = Field(default="microg-bench/actions/1", alias="schema")
    model: str
    recipe: str
    checkpoint: str
    sha256: str
    trained_on: str
    split: str = Field(pattern="^(train|val|test|all)$")
    key_frames: str
    actions: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class ActionRun:
    """A run of a model on key frames."""

    folder: Path
    settings: PredictSettings
    detections: Detections


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
