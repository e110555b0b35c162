"""Key frames: for each person the frame nearest the median of those in which it has a box."""

from collections.abc import Sequence

import numpy as np

from microg_bench.curation.finding import StageFinding
from microg_bench.curation.folder import Box

VERSION = 1


def choose_key_frames(boxes: Sequence[Box]) -> tuple[StageFinding, tuple[Box, ...]]:
    """The box of each person in its key frame, in the order of persons: the first, where two are as near."""
    chosen = []
    for person in sorted({box.person for box in boxes}):
        own = [box for box in boxes if box.person == person]
        middle = float(np.median([box.frame for box in own]))
        chosen.append(min(own, key=lambda box: abs(box.frame - middle)))
    return StageFinding(True, "", {"frames": [box.frame for box in chosen]}), tuple(chosen)
