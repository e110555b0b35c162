"""A real detector of persons for tests: SSD-MobileNetV2, run by ai-edge-litert."""

from __future__ import annotations

from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microg_bench.curation.detectors.base import PersonDetector, Thresholds

MODEL = (
    Path(__file__).resolve().parents[3]
    / "shared"
    / "media"
    / "person-detector"
    / "ssd_mobilenet_v2_oidv4.tflite"
)
SIDE = 300  # of its input in pixels
STRIDES = (16, 32, 64, 128, 256, 512)
PERSON = 4
OVERLAP = 0.5  # above which the weaker of two boxes goes


class Ssd(PersonDetector):
    """Its confidences are low: a person that is clear to the eye has 0.3 to 0.6."""

    name = "ssd"
    thresholds = Thresholds(present=0.3, track=0.3, high=0.3, new=0.35)

    def facts(self) -> dict[str, str]:
        return {"model": MODEL.name}

    @cached_property
    def _net(self) -> Any:
        from ai_edge_litert.interpreter import Interpreter

        net = Interpreter(str(MODEL), num_threads=1)
        net.allocate_tensors()
        return net

    def detect(self, frames: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
        return [self._one(frame) for frame in frames]

    def _one(self, frame: NDArray[np.uint8]) -> NDArray[np.float64]:
        import cv2

        net, (height, width) = self._net, frame.shape[:2]
        image = cv2.resize(frame, (SIDE, SIDE)).astype(np.float32) / 127.5 - 1
        net.set_tensor(net.get_input_details()[0]["index"], image[None])
        net.invoke()
        said = {one["name"]: net.get_tensor(one["index"])[0] for one in net.get_output_details()}
        by_width = {one.shape[-1]: one.reshape(-1, one.shape[-1]) for one in said.values()}
        codes = by_width.pop(4)
        (logits,) = by_width.values()
        scores = 1 / (1 + np.exp(-logits[:, PERSON].astype(float)))
        corners = self._corners(codes) * [width, height, width, height]
        return _suppressed(np.column_stack([corners, scores])[scores > 0.1])

    @cached_property
    def _anchors(self) -> NDArray[np.float64]:
        """Centre y, centre x, height, width."""
        scales = [0.2 + (0.95 - 0.2) * k / 5 for k in range(6)] + [1.0]
        found = []
        for layer, stride in enumerate(STRIDES):
            cells = -(-SIDE // stride)
            shapes = [(0.1, 1.0), (scales[0], 2.0), (scales[0], 0.5)]
            if layer:
                shapes = [(scales[layer], ratio) for ratio in (1.0, 2.0, 0.5, 3.0, 1 / 3)]
                shapes.append(((scales[layer] * scales[layer + 1]) ** 0.5, 1.0))
            for y, x in product(range(cells), repeat=2):
                for scale, ratio in shapes:
                    root = ratio**0.5
                    found.append(((y + 0.5) / cells, (x + 0.5) / cells, scale / root, scale * root))
        return np.array(found)

    def _corners(self, codes: NDArray[np.float32]) -> NDArray[np.float64]:
        anchors = self._anchors
        y = codes[:, 0] / 10 * anchors[:, 2] + anchors[:, 0]
        x = codes[:, 1] / 10 * anchors[:, 3] + anchors[:, 1]
        h, w = np.exp(codes[:, 2] / 5) * anchors[:, 2], np.exp(codes[:, 3] / 5) * anchors[:, 3]
        return np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1).clip(0, 1)


def _suppressed(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Non-maximum suppression."""
    left, kept = boxes[np.argsort(-boxes[:, 4], kind="stable")], []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        low, high = np.maximum(left[:, :2], best[:2]), np.minimum(left[:, 2:4], best[2:4])
        shared = (high - low).clip(0).prod(axis=1)
        both = (left[:, 2:4] - left[:, :2]).prod(axis=1) + (best[2:4] - best[:2]).prod() - shared
        left = left[shared <= OVERLAP * both]
    return np.array(kept).reshape(-1, 5)
