"""A plain evaluation of action detections, box by box in Python, written from the rules alone.

Slow and simple on purpose: the fast one is held against it. It reads whole files, checks nothing, and knows
nothing of the package.
"""

from __future__ import annotations

import csv
import lzma
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

Row = list[str]
Box = tuple[float, float, float, float]


def read_rows(path: Path) -> list[Row]:
    with lzma.open(path, "rt") if path.suffix == ".xz" else path.open() as file:
        return list(csv.reader(file))


def evaluate(detections: Iterable[Row], truth: Iterable[Row], ids: list[int]) -> dict[str, float]:
    """mAP, F1, recall and AUROC, in %."""
    true_boxes: dict[tuple[str, int, int], list[Box]] = defaultdict(list)
    for row in truth:
        true_boxes[row[0], int(row[1]), int(row[6])].append(_box(row))
    ranked: dict[int, list[tuple[float, int, int, bool]]] = defaultdict(list)
    images: dict[tuple[str, int], int] = {}
    matrix: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    used: set[tuple[str, int, int, int]] = set()
    for line, row in enumerate(detections):
        video, frame, action, score = row[0], int(row[1]), int(row[6]), float(row[7])
        box, candidates = _box(row), true_boxes.get((video, frame, action), [])
        matrix[action].append((score, bool(candidates)))
        image = images.setdefault((video, frame), len(images))
        if box[0] < box[2] and box[1] < box[3]:
            hit = _is_hit(box, candidates, (video, frame, action), used)
            ranked[action].append((score, image, line, hit))
    precisions, f1, recalls, areas = [], [], [], []
    for action in ids:
        examples = sum(len(boxes) for key, boxes in true_boxes.items() if key[2] == action)
        if examples:
            precisions.append(_average_precision(ranked[action], examples))
        hits = sum(score >= 0.5 and shown for score, shown in matrix[action])
        claimed = sum(score >= 0.5 for score, _ in matrix[action])
        shown = sum(shown for _, shown in matrix[action])
        f1.append(2 * hits / (claimed + shown) if claimed + shown else 0.0)
        recalls.append(hits / shown if shown else 0.0)
        if 0 < shown < len(matrix[action]):
            areas.append(_auroc(matrix[action]))
    return {
        name: 100 * sum(values) / len(values)
        for name, values in (("mAP", precisions), ("F1", f1), ("recall", recalls), ("AUROC", areas))
    }


def _is_hit(
    box: Box, candidates: list[Box], key: tuple[str, int, int], used: set[tuple[str, int, int, int]]
) -> bool:
    best, best_overlap = -1, -1.0
    for place, other in enumerate(candidates):
        if (overlap := _iou(box, other)) > best_overlap:
            best, best_overlap = place, overlap
    if best_overlap < 0.5 or (*key, best) in used:
        return False
    used.add((*key, best))
    return True


def _average_precision(ranked: list[tuple[float, int, int, bool]], examples: int) -> float:
    """Equal scores are ranked the last image first, and within an image the last line."""
    hits, points = 0, []
    for place, (*_, hit) in enumerate(sorted(ranked, reverse=True), start=1):
        hits += hit
        points.append((hits / examples, hits / place))
    area = best = 0.0
    for place in range(len(points) - 1, -1, -1):
        recall, precision = points[place]
        best = max(best, precision)
        area += (recall - (points[place - 1][0] if place else 0.0)) * best
    return area


def _auroc(scored: list[tuple[float, bool]]) -> float:
    """By the rank sum of those shown; equal scores share the mean of their ranks."""
    ordered = sorted(scored)
    ranks, start = 0.0, 0
    while start < len(ordered):
        end = start
        while end < len(ordered) and ordered[end][0] == ordered[start][0]:
            end += 1
        ranks += (start + 1 + end) / 2 * sum(shown for _, shown in ordered[start:end])
        start = end
    shown = sum(shown for _, shown in scored)
    return (ranks - shown * (shown + 1) / 2) / (shown * (len(scored) - shown))


def _iou(a: Box, b: Box) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    common = width * height
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def _box(row: Row) -> Box:
    return float(row[2]), float(row[3]), float(row[4]), float(row[5])
