"""Recipes: the parameters of each stage. `recipes/paper.toml` has the published values."""

import tomllib
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, ValidationError

from microg_bench.errors import UsageError
from microg_bench.records import Record, first_fault
from microg_bench.storage import read_text
from microg_bench.text import unknown

FOLDER = Path(__file__).with_name("recipes")
MAX_BYTES = 64 * 1024
StageName = Literal["trim", "person", "cut", "motion", "tracks", "key frames"]
STAGES: tuple[StageName, ...] = get_args(StageName)


class Trim(Record):
    """Clips of `seconds` with `fps` frames a second, `height` pixels high; `crf` is x264's quality."""

    seconds: int = Field(ge=1, le=60)
    fps: int = Field(ge=1, le=120)
    height: int = Field(ge=16, le=4320, multiple_of=2)
    crf: int = Field(ge=0, le=51)

    @property
    def frames(self) -> int:
        """Those of a clip."""
        return self.seconds * self.fps


class Person(Record):
    """A clip needs a person in this share of its frames."""

    share: float = Field(ge=0, le=1)


class Cut(Record):
    """Two frames whose content differs by `threshold` (PySceneDetect's score, 0 to 255) are a cut."""

    threshold: float = Field(gt=0, le=255)


class Motion(Record):
    """Sparse optical flow over the first `frames` frames.

    Shi-Tomasi corners: at most `corners`, of `quality` relative to the best, `distance` pixels apart, in
    blocks of `block` pixels. Lucas-Kanade flow: windows of `window` pixels on `levels` levels of the pyramid
    above the image. More than `threshold` pixels a frame, summed over the corners, is high motion.
    """

    frames: int = Field(ge=2)
    corners: int = Field(ge=1)
    quality: float = Field(gt=0, lt=1)
    distance: float = Field(ge=0)
    block: int = Field(ge=1)
    window: int = Field(ge=3)
    levels: int = Field(ge=0)
    threshold: float = Field(ge=0)


class Interval(Record):
    """How persons are taken from tracks: every `every` frames, from their `detections`-th time on.

    A box covers at least `area` of the frame, as a share.
    """

    every: int = Field(ge=1)
    detections: int = Field(ge=1)
    area: float = Field(ge=0, le=1)


class Tracks(Record):
    """Tracking, and the choice of boxes for clips of low and of high motion.

    A track is kept for `buffer` frames without a detection; a detection belongs to it if the overlap times
    the confidence is at least `overlap`. Where a person covers more than `dominant` of the frame, as a share,
    the others are left out.
    """

    buffer: int = Field(ge=0)
    overlap: float = Field(ge=0, le=1)
    dominant: float = Field(ge=0, le=1)
    low: Interval
    high: Interval


class CurationRecipe(Record):
    """The parameters of all stages."""

    trim: Trim
    person: Person
    cut: Cut
    motion: Motion
    tracks: Tracks


def read_curation_recipe(recipe: str | Path) -> CurationRecipe:
    """The recipe of a name, or in a `.toml` file.

    Raises:
        UsageError: there is none of this name, or a value is missing or out of range.
        DataError: the file cannot be read.
    """
    path = Path(recipe)
    if path.suffix != ".toml":
        known = {file.stem: file for file in sorted(FOLDER.glob("*.toml"))}
        if str(recipe) not in known:
            raise UsageError(unknown("recipe", str(recipe), known), item="--recipe")
        path = known[str(recipe)]
    try:
        return CurationRecipe.model_validate(tomllib.loads(read_text(path, MAX_BYTES).decode()))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"is no TOML: {error}", path=path) from None
    except ValidationError as error:
        raise UsageError(first_fault(error), path=path) from None
