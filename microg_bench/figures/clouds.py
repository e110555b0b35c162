"""Word clouds: the commoner a word, the larger it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from microg_bench.errors import MissingExtraError
from microg_bench.figures.canvas import COLOURS

if TYPE_CHECKING:
    from random import Random

WIDTH, HEIGHT = 840, 480


def word_cloud(counts: Mapping[str, int]) -> NDArray[np.uint8]:
    """A picture of shape (HEIGHT, WIDTH, 3), the same for the same counts; at least one word is needed.

    Raises:
        MissingExtraError: wordcloud is not installed.
    """
    try:
        from wordcloud import WordCloud  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise MissingExtraError("word clouds", "plots", str(error)) from error
    cloud = WordCloud(
        width=WIDTH, height=HEIGHT, background_color="white", color_func=_colour, random_state=0
    )
    picture: NDArray[np.uint8] = cloud.generate_from_frequencies(counts).to_array()
    return picture


def _colour(word: str, *_: object, random_state: Random | None = None, **__: object) -> str:
    """A colour that belongs to the word, whatever stands around it."""
    return COLOURS[sum(map(ord, word)) % len(COLOURS)]
