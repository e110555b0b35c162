"""OpenCV's pedestrian detector, which needs no weights. It is weak: it finds people who stand upright."""

import numpy as np
from numpy.typing import NDArray

from microg_bench.curation.detectors.base import PersonDetector, Thresholds
from microg_bench.errors import MissingExtraError
from microg_bench.text import first_line


class Hog(PersonDetector):
    """Histograms of oriented gradients with a linear classifier (Dalal and Triggs, 2005)."""

    name = "hog"
    thresholds = Thresholds(present=0.6, track=0.55, high=0.5, new=0.6)

    def __init__(self, device: str | None = None) -> None:
        super().__init__(device)
        try:
            import cv2
        except ImportError as error:
            raise MissingExtraError("--detector hog", "curate", first_line(error)) from None
        if not hasattr(cv2, "HOGDescriptor"):
            raise MissingExtraError("--detector hog", "curate", f"OpenCV {cv2.__version__} has no HOG")
        self._version = cv2.__version__
        self._hog = cv2.HOGDescriptor()
        self._hog.setSVMDetector(np.asarray(cv2.HOGDescriptor.getDefaultPeopleDetector()))

    def facts(self) -> dict[str, str]:
        """The version of OpenCV."""
        return {"opencv": self._version}

    def detect(self, frames: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
        """See `PersonDetector`; the confidence is the logistic function of the distance from the boundary."""
        return [self._one(np.ascontiguousarray(frame[:, :, ::-1])) for frame in frames]

    def _one(self, frame: NDArray[np.uint8]) -> NDArray[np.float64]:
        boxes, distances = self._hog.detectMultiScale(frame, winStride=(8, 8), padding=(8, 8), scale=1.05)
        if not len(boxes):
            return np.zeros((0, 5))
        corners = np.asarray(boxes, float)
        corners[:, 2:] += corners[:, :2]
        height, width = frame.shape[:2]
        corners = corners.clip(0, [width, height, width, height])
        return np.column_stack([corners, 1 / (1 + np.exp(-np.asarray(distances, float).ravel()))])
