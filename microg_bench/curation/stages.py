"""The stages that judge a clip, in order; each judges again where its parameters, code or input changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microg_bench.curation import cut, key_frames, motion, person, tracks, trim
from microg_bench.curation.detectors.base import DetectorFacts, PersonDetector
from microg_bench.curation.detectors.checks import DETECTED, TRACKED, checked_boxes
from microg_bench.curation.finding import StageFinding
from microg_bench.curation.folder import Box, ClipBoxes, CurationFolder, Verdict
from microg_bench.curation.recipe import STAGES, CurationRecipe, StageName
from microg_bench.records import Record
from microg_bench.video.decode import decode
from microg_bench.video.sampling import FrameSpec

DIGITS = 6  # of the numbers in verdicts
DETECTION = 3  # the version of how detectors are asked, and of how their answers are taken


class ClipTask(Record):
    """A clip that is to be judged.

    Attributes:
        clip: its id.
        path: its file.
        sha256: of that.
        recipe: the parameters.
        stages: those that are wanted, without trim.
        known: the verdicts that there are.
        boxes: the detected persons and those of tracks that there are.
    """

    clip: str
    path: Path
    sha256: str
    recipe: CurationRecipe
    stages: tuple[StageName, ...]
    known: tuple[Verdict, ...] = ()
    boxes: tuple[ClipBoxes, ...] = ()


def trim_key(recipe: CurationRecipe, size: int, modified: int) -> str:
    """The key of the clips of a footage, known by the size and the time of its file."""
    return _digest("trim", trim.VERSION, recipe.trim, size, modified)


def keys(recipe: CurationRecipe, detector: DetectorFacts, sha256: str) -> dict[str, str]:
    """The key of each stage, and of "detector", for a clip whose file has this SHA-256."""
    found = _digest("detector", DETECTION, {"name": detector.name, **detector.facts}, sha256)
    limits = detector.thresholds
    moved = _digest("motion", motion.VERSION, recipe.motion, sha256)
    tracked = _digest("tracks", tracks.VERSION, recipe.tracks, limits, found, moved)
    return {
        "detector": found,
        "person": _digest("person", person.VERSION, recipe.person, limits.present, found),
        "cut": _digest("cut", cut.VERSION, recipe.cut, sha256),
        "motion": moved,
        "tracks": tracked,
        "key frames": _digest("key frames", key_frames.VERSION, tracked),
    }


def judged_otherwise(folder: CurationFolder, clips: Iterable[str]) -> list[str]:
    """Those of the clips that a stage judged by other settings than `curation.json` tells.

    That is another recipe or detector, or another version of the code of a stage or of a library.
    """
    return [clip for clip in clips if _is_otherwise(folder, clip)]


def _is_otherwise(folder: CurationFolder, clip: str) -> bool:
    facts, verdicts = folder.facts, folder.verdicts[clip]
    judged = {stage: one.key for stage, one in verdicts.items() if stage != "trim"}
    if not judged or facts is None:
        return False
    if facts.detector is None:
        return True
    wanted = keys(facts.recipe, facts.detector, folder.sha256(clip))
    return any(key != wanted[stage] for stage, key in judged.items())


def _digest(*parts: Any) -> str:
    plain = [part.model_dump(mode="json") if isinstance(part, Record) else part for part in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def open_stages(task: ClipTask, detector: DetectorFacts) -> list[StageName]:
    """The stages that a clip is still to be judged by, if all goes well; none after one that rejects it."""
    wanted, known = keys(task.recipe, detector, task.sha256), {one.stage: one for one in task.known}
    found: list[StageName] = []
    for stage in STAGES:
        if stage not in task.stages:
            continue
        verdict = known.get(stage)
        if found or verdict is None or verdict.key != wanted[stage]:
            found.append(stage)
        elif not verdict.passed:
            break
    return found


def judge(task: ClipTask, detector: PersonDetector, facts: DetectorFacts) -> Iterator[ClipBoxes | Verdict]:
    """What the open stages of a clip find, as they find it; a stage that rejects it is the last.

    The clip is decoded once, and the detector sees it once.

    Raises:
        DecodeError: the clip cannot be decoded.
        EngineError: what the detector returns is wrong; see `checked_boxes`.
        MissingExtraError: a library is not installed.
    """
    one = _Judged(task, detector, facts)
    for stage in open_stages(task, facts):
        finding = one.finding(stage)
        yield from one.take_boxes()
        numbers = {name: _rounded(value) for name, value in finding.numbers.items()}
        yield Verdict(
            clip=task.clip,
            stage=stage,
            key=one.keys[stage],
            passed=finding.passed,
            reason=finding.reason,
            numbers=numbers,
        )
        if not finding.passed:
            return


def _rounded(value: Any) -> Any:
    return round(value, DIGITS) if isinstance(value, float) else value


@dataclass
class _Judged:
    """A clip that is judged; what it needs is made when it is needed."""

    task: ClipTask
    detector: PersonDetector
    facts: DetectorFacts

    def __post_init__(self) -> None:
        self.keys = keys(self.task.recipe, self.facts, self.task.sha256)
        self.boxes = {one.of: one for one in self.task.boxes}
        self.new: list[ClipBoxes] = []

    def finding(self, stage: StageName) -> StageFinding:
        recipe, limits = self.task.recipe, self.facts.thresholds
        if stage == "person":
            return person.filter_persons(self.persons, limits.present, recipe.person)
        if stage == "cut":
            return cut.filter_cuts(self.frames, float(recipe.trim.fps), recipe.cut)
        if stage == "motion":
            return self.motion
        if stage == "tracks":
            return self._tracks()
        return key_frames.choose_key_frames(self.boxes["tracks"].boxes)[0]

    def _tracks(self) -> StageFinding:
        recipe = self.task.recipe
        tracked = self._checked(self.detector.track(self.frames, self.persons, recipe.tracks), TRACKED)
        size = self.frames.shape[2], self.frames.shape[1]
        motion_class = str(self.motion.numbers["motion"])
        found, boxes = tracks.choose_persons(
            tracked, size, self.facts.thresholds.track, motion_class, recipe.tracks
        )
        self._keep("tracks", boxes)
        return found

    def _checked(self, found: Any, columns: tuple[str, ...]) -> list[NDArray[np.float64]]:
        return checked_boxes(found, self.frames.shape, columns, self.facts.name)

    def take_boxes(self) -> Iterator[ClipBoxes]:
        """The boxes that are new; they are written down before the verdict on them."""
        yield from self.new
        self.new.clear()

    def _keep(self, of: Any, boxes: tuple[Box, ...]) -> None:
        kept = ClipBoxes(clip=self.task.clip, of=of, key=self.keys[of], boxes=boxes)
        self.boxes[of] = kept
        self.new.append(kept)

    @cached_property
    def frames(self) -> NDArray[np.uint8]:
        """All frames in RGB, shape (T, H, W, 3)."""
        return decode(self.task.path, FrameSpec.parse(None, "all"), threads=1).pixels

    @cached_property
    def motion(self) -> StageFinding:
        """What moves."""
        known = next((one for one in self.task.known if one.stage == "motion"), None)
        if known is not None and known.key == self.keys["motion"]:
            return StageFinding(known.passed, known.reason, known.numbers)
        return motion.measure_motion(self.frames, self.task.recipe.trim.fps, self.task.recipe.motion)

    @cached_property
    def persons(self) -> list[NDArray[np.float64]]:
        """The persons in each frame, as the detector gives them."""
        kept = self.boxes.get("detector")
        if kept is None or kept.key != self.keys["detector"]:
            found = self._checked(self.detector.detect(self.frames), DETECTED)
            self._keep("detector", tuple(_boxes(found)))
            kept = self.boxes["detector"]
        rows: list[list[list[float]]] = [[] for _ in range(self.task.recipe.trim.frames)]
        for box in kept.boxes:
            rows[box.frame - 1].append([box.xmin, box.ymin, box.xmax, box.ymax, box.confidence])
        return [np.array(own, float).reshape(-1, 5) for own in rows]


def _boxes(found: list[NDArray[np.float64]]) -> Iterator[Box]:
    for number, rows in enumerate(found, start=1):
        for row in rows:
            x1, y1, x2, y2, confidence = (round(float(value), DIGITS) for value in row)
            yield Box(frame=number, xmin=x1, ymin=y1, xmax=x2, ymax=y2, confidence=confidence)
