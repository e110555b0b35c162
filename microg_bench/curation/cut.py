"""Cut filter: a clip with a cut in it is no single shot. PySceneDetect's content detector, on every frame."""

import numpy as np
from numpy.typing import NDArray

from microg_bench.curation.finding import StageFinding
from microg_bench.curation.recipe import Cut
from microg_bench.errors import MissingExtraError
from microg_bench.text import first_line

VERSION = 1


def filter_cuts(frames: NDArray[np.uint8], fps: float, settings: Cut) -> StageFinding:
    """Whether no frame differs too much from the one before it; its numbers hold the frames that do, from 0.

    Args:
        frames: RGB, shape (T, H, W, 3).
        fps: frames a second.
        settings: those of the recipe.

    Raises:
        MissingExtraError: PySceneDetect is not installed.
    """
    try:
        from scenedetect import FrameTimecode
        from scenedetect.detectors import ContentDetector
    except ImportError as error:
        raise MissingExtraError("the cut filter", "curate", first_line(error)) from None
    # Without a minimal length of scenes: by default, a cut in the first 15 frames is not found.
    detector = ContentDetector(threshold=settings.threshold, min_scene_len=0)
    cuts: list[int] = []
    for number, frame in enumerate(frames):
        time = FrameTimecode(number, fps)
        cuts += [
            one.frame_num for one in detector.process_frame(time, np.ascontiguousarray(frame[:, :, ::-1]))
        ]
    if cuts:
        return StageFinding(False, f"a cut at frame {cuts[0]}", {"cuts": cuts})
    return StageFinding(True, "", {"cuts": cuts})
