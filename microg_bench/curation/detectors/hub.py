"""Detectors that the library transformers loads: D-FINE and RT-DETRv2, both under Apache-2.0."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from microg_bench.curation.detectors.base import PersonDetector, Thresholds
from microg_bench.errors import EngineError, MissingExtraError
from microg_bench.text import first_line
from microg_bench.torchvision_repair import ensure_torchvision

BATCH = 8
LOWEST = 0.1  # below it, BoT-SORT takes no detection


class HubDetector(PersonDetector):
    """A checkpoint for object detection that has a class `person`."""

    checkpoint: ClassVar[str]

    def __init__(self, device: str | None = None) -> None:
        super().__init__(device)
        try:
            import torch
            import transformers
        except ImportError as error:
            raise MissingExtraError(f"--detector {self.name}", "curate", first_line(error)) from None
        ensure_torchvision()
        self._torch = torch
        self._version = transformers.__version__
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            processors: Any = transformers.AutoImageProcessor
            self._processor = processors.from_pretrained(self.checkpoint)
            model: Any = transformers.AutoModelForObjectDetection.from_pretrained(self.checkpoint)
        except Exception as error:  # the library lets the errors of several others through
            raise EngineError(f"cannot be loaded: {first_line(error)}", item=self.checkpoint) from None
        self._model = model.to(self._device).eval()
        named = model.config.id2label.items()
        self._persons = [int(number) for number, name in named if str(name).lower() == "person"]
        if not self._persons:
            raise EngineError("has no class person", item=self.checkpoint)

    def facts(self) -> dict[str, str]:
        """The checkpoint with its commit, and the versions."""
        commit = str(getattr(self._model.config, "_commit_hash", None) or "")
        versions = {"transformers": self._version, "torch": self._torch.__version__}
        return {"checkpoint": self.checkpoint, **({"commit": commit} if commit else {}), **versions}

    def detect(self, frames: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
        """See `PersonDetector`."""
        found: list[NDArray[np.float64]] = []
        for start in range(0, len(frames), BATCH):
            found += self._batch(list(frames[start : start + BATCH]))
        return found

    def _batch(self, frames: list[NDArray[np.uint8]]) -> list[NDArray[np.float64]]:
        inputs = self._processor(images=frames, return_tensors="pt").to(self._device)
        with self._torch.inference_mode():
            outputs = self._model(**inputs)
        sizes = [frame.shape[:2] for frame in frames]
        results = self._processor.post_process_object_detection(outputs, threshold=LOWEST, target_sizes=sizes)
        return [self._persons_in(one, size) for one, size in zip(results, sizes, strict=True)]

    def _persons_in(self, result: Any, size: tuple[int, ...]) -> NDArray[np.float64]:
        taken = np.isin(result["labels"].cpu().numpy(), self._persons)
        boxes = result["boxes"].float().cpu().numpy()[taken]
        height, width = size
        corners = boxes.astype(float).clip(0, [width, height, width, height])
        return np.column_stack([corners, result["scores"].float().cpu().numpy()[taken]])


class DFine(HubDetector):
    """D-FINE-S, trained on COCO: 48.5 AP with 10 million parameters (Peng et al., arXiv 2410.13842)."""

    name = "d-fine"
    checkpoint = "ustc-community/dfine-small-coco"
    thresholds = Thresholds(present=0.6, track=0.55, high=0.5, new=0.6)


class RtDetr(HubDetector):
    """RT-DETRv2-S, trained on COCO: 48.1 AP with 20 million parameters (Lv et al., arXiv 2407.17140)."""

    name = "rt-detrv2"
    checkpoint = "PekingU/rtdetr_v2_r18vd"
    thresholds = Thresholds(present=0.6, track=0.55, high=0.5, new=0.6)
