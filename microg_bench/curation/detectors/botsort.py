"""BoT-SORT without re-identification, from the library `trackers`."""

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from microg_bench.curation.detectors.base import Thresholds
from microg_bench.curation.recipe import Tracks
from microg_bench.errors import MissingExtraError
from microg_bench.text import first_line


def botsort(
    frames: NDArray[np.uint8],
    found: Sequence[NDArray[np.float64]],
    thresholds: Thresholds,
    settings: Tracks,
) -> list[NDArray[np.float64]]:
    """The tracks of detections; see `PersonDetector.track`.

    Raises:
        MissingExtraError: the library is not installed.
    """
    try:
        import supervision
        from trackers import BoTSORTTracker
    except ImportError as error:
        raise MissingExtraError("tracking", "curate", first_line(error)) from None
    tracker = BoTSORTTracker(
        lost_track_buffer=settings.buffer,
        track_activation_threshold=thresholds.new,
        high_conf_det_threshold=thresholds.high,
        minimum_iou_threshold_first_assoc=settings.overlap,
    )
    tracked = []
    for frame, boxes in zip(frames, found, strict=True):
        detections = supervision.Detections(
            xyxy=boxes[:, :4].astype(float),
            confidence=boxes[:, 4].astype(float),
            class_id=np.zeros(len(boxes), int),
        )
        with warnings.catch_warnings(action="ignore"):
            result = tracker.update(detections, np.ascontiguousarray(frame[:, :, ::-1]))
        columns = (result.xyxy, result.confidence, result.tracker_id)
        rows = [np.asarray([] if column is None else column, float) for column in columns]
        tracked.append(np.column_stack([rows[0].reshape(-1, 4), rows[1], rows[2]]))
    return tracked
