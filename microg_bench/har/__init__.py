"""Action recognition: scores detections of human actions as the paper does, and converts its annotations.

>>> from microg_bench import har
>>> labels = har.read_label_map()
>>> truth = har.read_ground_truth(Path("groundtruth_test.csv.xz"), labels)
>>> scorecard = har.evaluate(har.read_detections(Path("X3D_L.test.csv.xz"), labels), truth, labels)
>>> scorecard.scores["F1"].value
"""

from microg_bench.dataset.labels import LabelMap, read_label_map
from microg_bench.har.boxes import Detections, GroundTruth, read_detections, read_ground_truth
from microg_bench.har.reports import read_scorecards
from microg_bench.har.scoring import evaluate

__all__ = [
    "Detections",
    "GroundTruth",
    "LabelMap",
    "evaluate",
    "read_detections",
    "read_ground_truth",
    "read_label_map",
    "read_scorecards",
]
