"""Folders of runs of action recognition for tests, made without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from microg_bench.har import read_label_map
from microg_bench.har.runs import SETTINGS, PredictSettings, detections_file
from microg_bench.persons.boxes import Detections, write_detections
from microg_bench.persons.keyframes import KeyFrames
from microg_bench.storage import write_json

LABELS = read_label_map()
MODEL = "SLOWONLY_4x16_R50"


def random_detections(key_frames: KeyFrames, seed: int = 0, hits: float = 0.6) -> Detections:
    """Logits by chance, most of them below the threshold; a share `hits` of the true actions is raised."""
    random = np.random.default_rng(seed)
    boxes = [(one, row) for one in key_frames.items for row in range(len(one.boxes))]
    scores = np.round(random.normal(-2.5, 1.5, (len(boxes), len(LABELS))), 6)
    for place, (one, row) in enumerate(boxes):
        for action in one.actions[row]:
            if random.random() < hits:
                scores[place, LABELS.ids.index(action)] += 5
    return Detections(
        np.array([one.video_id for one, _ in boxes], dtype=object),
        np.array([one.frame for one, _ in boxes]),
        np.array([one.boxes[row] for one, row in boxes]),
        scores,
        name="made.csv",
    )


def write_run(
    folder: Path, key_frames: KeyFrames, detections: Detections, split: str = "all", **changed: Any
) -> Path:
    """A folder as `har run` leaves it, of these detections."""
    settings = PredictSettings.model_validate(
        {
            "model": MODEL,
            "recipe": "fixed",
            "checkpoint": "best.safetensors",
            "sha256": "0" * 64,
            "trained_on": "MicroG-4M",
            "split": split,
            "key_frames": key_frames.fingerprint,
            "actions": LABELS.ids,
            **changed,
        }
    )
    write_json(folder / SETTINGS, settings.model_dump(mode="json", by_alias=True))
    write_detections(detections_file(folder, settings), detections, LABELS)
    return folder
