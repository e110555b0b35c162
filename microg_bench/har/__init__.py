"""The action room: scores detections of human actions as the paper does, and converts its annotations.

>>> from microg_bench import har
>>> labels = har.read_label_map()
>>> truth = har.read_ground_truth(Path("groundtruth_test.csv.xz"), labels)
>>> report = har.evaluate(har.read_detections(Path("X3D_L.test.csv.xz"), labels), truth, labels)
>>> report.scores["F1"].value
"""

from microg_bench.har.boxes import Detections, GroundTruth, read_detections, read_ground_truth
from microg_bench.har.evaluate import evaluate
from microg_bench.har.labels import LabelMap, read_label_map
from microg_bench.har.report import Report

__all__ = [
    "Detections",
    "GroundTruth",
    "LabelMap",
    "Report",
    "evaluate",
    "read_detections",
    "read_ground_truth",
    "read_label_map",
]
