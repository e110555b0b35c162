"""How many clips an hour one process curates, by stage, and what one decoding and one detection save.

python -m benchmarks.curation [--detector hog] [--clips 4]

The clips are those of the sample set that show an astronaut. Each stage is timed alone, with what it needs at
hand. The last line compares the stages that share the frames and boxes of a clip with stages that decode and
detect for themselves, as the published scripts do. Times are of the processor.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microg_bench.curation import cut, motion, person, tracks, trim
from microg_bench.curation.detectors.base import DetectorFacts, PersonDetector, find_detector
from microg_bench.curation.folder import Verdict
from microg_bench.curation.recipe import STAGES, CurationRecipe, read_curation_recipe
from microg_bench.curation.stages import ClipTask, judge
from microg_bench.dataset.load import SAMPLE_FOLDER
from microg_bench.storage import file_sha256
from microg_bench.video.decode import decode
from microg_bench.video.sampling import FrameSpec

ALONE = ("decode", "detector", "person", "cut", "motion", "tracks")


class Timer:
    """Seconds of the processor by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, work: Callable[[], Any]) -> Any:
        """What `work` returns, whose time is added to that of `name`."""
        start = time.process_time()
        found = work()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - start
        return found


def frames_of(video: Path) -> NDArray[np.uint8]:
    """All frames of a clip."""
    return decode(video, FrameSpec.parse(None, "all"), threads=1).pixels


def alone(timer: Timer, video: Path, detector: PersonDetector, recipe: CurationRecipe, out: Path) -> None:
    """Time each stage alone."""
    timer("trim", lambda: list(trim.cut_clips(video, recipe.trim, lambda number: out / f"{number}.mp4")))
    frames = timer("decode", lambda: frames_of(video))
    found = timer("detector", lambda: detector.detect(frames))
    timer("person", lambda: person.filter_persons(found, detector.thresholds.present, recipe.person))
    timer("cut", lambda: cut.filter_cuts(frames, 30.0, recipe.cut))
    moved = timer("motion", lambda: motion.measure_motion(frames, 30.0, recipe.motion))

    def track() -> None:
        tracked = detector.track(frames, found, recipe.tracks)
        size = frames.shape[2], frames.shape[1]
        limit, kind = detector.thresholds.track, str(moved.numbers["motion"])
        tracks.choose_persons(tracked, size, limit, kind, recipe.tracks)

    timer("tracks", track)


def together(video: Path, detector: PersonDetector, recipe: CurationRecipe) -> list[Verdict]:
    """Judge a clip as a curation does, whatever its person filter says."""
    facts = DetectorFacts(name=detector.name, facts=detector.facts(), thresholds=detector.thresholds)
    task = ClipTask(clip="clip_000", path=video, sha256=file_sha256(video), recipe=recipe, stages=STAGES[1:])
    return [one for one in judge(task, detector, facts) if isinstance(one, Verdict)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--detector", default="hog")
    parser.add_argument("--clips", type=int, default=4)
    options = parser.parse_args(arguments)
    published = read_curation_recipe("paper")
    # Everything passes, so that every stage is reached.
    recipe = published.model_copy(update={"person": published.person.model_copy(update={"share": 0.0})})
    detector = find_detector(options.detector)()
    videos = sorted(SAMPLE_FOLDER.rglob("astronaut*.mp4"))[: options.clips]
    timer, stages = Timer(), 0
    with tempfile.TemporaryDirectory() as scratch:
        for video in videos:
            alone(timer, video, detector, recipe, Path(scratch))
            stages += len(timer("together", lambda video=video: together(video, detector, recipe)))
    count = len(videos)
    print(f"{count} clips, {stages} verdicts, detector {options.detector}, one process")
    for name in ("trim", *ALONE):
        each = timer.seconds[name] / count
        print(f"{name:10} {each:8.3f} s a clip {3600 / max(each, 1e-9):12,.0f} clips an hour")
    shared = timer.seconds["together"]
    print(f"all stages {shared / count:8.3f} s a clip {3600 * count / shared:12,.0f} clips an hour")
    # Published: the person filter decodes and detects, so do the tracks; the cut filter and motion decode.
    apart = sum(timer.seconds[name] for name in ALONE)
    apart += 3 * timer.seconds["decode"] + timer.seconds["detector"]
    print(f"stages that decode and detect for themselves take {apart / shared:.2f} times as long")


if __name__ == "__main__":
    main()
