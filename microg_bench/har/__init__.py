"""Action recognition: models that are run and trained, scores as the paper computes them, annotations of AVA.

>>> from microg_bench import har
>>> labels = har.read_label_map()
>>> truth = har.read_ground_truth(Path("groundtruth_test.csv.xz"), labels)
>>> scorecard = har.evaluate(har.read_detections(Path("X3D_L.test.csv.xz"), labels), truth, labels)
>>> scorecard.scores["F1"].value

The models need the extra `har`; importing this package loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from microg_bench.dataset.labels import LabelMap, read_label_map
from microg_bench.errors import MissingExtraError
from microg_bench.har.recipe import read_recipe
from microg_bench.har.reports import read_scorecards
from microg_bench.har.scoring import evaluate
from microg_bench.persons.boxes import Detections, GroundTruth, read_detections, read_ground_truth

if TYPE_CHECKING:
    from microg_bench.har.checkpoints import load_model
    from microg_bench.har.predict import recognise
    from microg_bench.har.training import train

__all__ = [
    "Detections",
    "GroundTruth",
    "LabelMap",
    "evaluate",
    "load_model",
    "read_detections",
    "read_ground_truth",
    "read_label_map",
    "read_recipe",
    "read_scorecards",
    "recognise",
    "train",
]

_PLACES = {"load_model": "checkpoints", "recognise": "predict", "train": "training"}
_EXTRA = ("torch", "accelerate", "safetensors")


def __dir__() -> list[str]:
    """All names, those that need torch too."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """What needs torch, imported when it is used."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name in _EXTRA:
            raise MissingExtraError("a model of action recognition", "har", str(error)) from None
        raise
