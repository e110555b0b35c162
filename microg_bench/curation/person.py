"""Person filter: a clip is kept if enough of its frames have a person."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from microg_bench.curation.finding import StageFinding
from microg_bench.curation.recipe import Person

VERSION = 1


def filter_persons(found: Sequence[NDArray[np.float64]], present: float, settings: Person) -> StageFinding:
    """Whether a person is in enough of the frames.

    Args:
        found: the persons in each frame, as a detector gives them.
        present: the confidence above which a frame has a person.
        settings: those of the recipe.
    """
    frames = sum(bool((boxes[:, 4] > present).any()) for boxes in found)
    share = frames / len(found)
    most = max((len(boxes) for boxes in found), default=0)
    numbers = {"share": share, "most": most}
    if share < settings.share:
        return StageFinding(
            False, f"a person in {share:.0%} of the frames, less than {settings.share:.0%}", numbers
        )
    return StageFinding(True, "", numbers)
