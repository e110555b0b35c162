"""Recipes: how a model of action recognition is built, what it is shown, and how it is trained.

`recipes/paper` keeps what the authors ran, with its faults, each of them named; `recipes/fixed` is what they
meant. A file is for one model, and gives every value.
"""

import tomllib
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, ValidationError, model_validator

from microg_bench.errors import DataError, UsageError
from microg_bench.records import Record, first_fault
from microg_bench.storage import read_text
from microg_bench.text import unknown

RecipeName = Literal["fixed", "paper"]
FOLDER = Path(__file__).with_name("recipes")
MAX_BYTES = 64 * 1024
MAX_SEED = 2**63 - 1
# In the order of the tables; the last one but one is in no table.
MODELS = (
    "C2D_8x8_R50",
    "C2D_NLN_8x8_R50",
    "I3D_8x8_R50",
    "I3D_NLN_8x8_R50",
    "SLOWONLY_8x8_R50",
    "SLOWONLY_4x16_R50",
    "SLOWFAST_8x8_R50",
    "SLOWFAST_4x16_R50",
    "MVIT_B_16x4",
    "MVITv2_S_16x4",
    "X3D_S",
    "X3D_L",
    "SLOWFAST_32x2_R50",
    "SLOWFAST_32x2_R101",
)


class Network(Record):
    """Options of the network.

    `roi_stride` is the number of pixels that a cell of the feature map is taken for.
    `pool` is whether a network of one pathway halves the number of frames, `alpha` how many frames of the
    fast pathway of SlowFast there are for one of the slow; None for the networks that have neither.
    """

    roi_stride: int = Field(gt=0)
    pool: bool | None = None
    alpha: int | None = Field(default=None, gt=0)


class Input(Record):
    """What the network is shown: `frames` frames about the key frame, every `rate`-th.

    Their short side is scaled to `short_side` pixels.
    `first_frame` is the number by which the first frame of a clip is taken to be known. Annotations count
    from 1. Where `square_validation`, the validation split is cropped to a square in the middle, and boxes
    with it.
    """

    frames: int = Field(gt=0)
    rate: int = Field(gt=0)
    first_frame: Literal[0, 1]
    short_side: int = Field(gt=0)
    square_validation: bool


class Training(Record):
    """How the network is trained. Rates are per step, of all `clips` of a step on `devices` devices together.

    From epoch `steps[k]` on, the rate is `rate * factors[k]`; over the first `warmup_epochs` it grows
    linearly from `warmup_rate`. Frames are scaled to a random short side from `short_sides`, cropped to a
    random square of `crop` pixels, and mirrored by chance. `weigh_actions` weighs each true action by how
    rare it is.
    """

    short_sides: tuple[int, int]
    crop: int = Field(gt=0)
    optimizer: Literal["sgd", "adamw"]
    rate: float = Field(gt=0)
    momentum: float | None = None
    weight_decay: float = Field(ge=0)
    clip_norm: float | None = None
    epochs: int = Field(gt=0)
    steps: tuple[int, ...]
    factors: tuple[float, ...]
    warmup_epochs: float = Field(ge=0)
    warmup_rate: float = Field(ge=0)
    clips: int = Field(gt=0)
    devices: int = Field(gt=0)
    dropout: float = Field(ge=0, lt=1)
    evaluate_every: int = Field(gt=0)
    precision: Literal["no", "fp16", "bf16"]
    seed: int = Field(ge=0, le=MAX_SEED)
    weigh_actions: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> "Training":
        if len(self.steps) != len(self.factors) or not self.steps or self.steps[0] != 0:
            raise ValueError("steps begin with epoch 0, and there is a factor for each")
        if list(self.steps) != sorted(set(self.steps)):
            raise ValueError("steps ascend")
        return self


class Recipe(Record):
    """Everything that moves a number of one model.

    `pretrained` is the entry of the zoo that training starts from; `random` are patterns of the weights that
    this entry does not have, and that start random, and `why_random` says why. `faults` are what was not as
    meant in the published row. `tested_epoch` is the epoch whose weights gave the published row.
    """

    recipe: RecipeName
    model: str
    source: str
    parameters: int
    pretrained: str
    random: tuple[str, ...] = ()
    why_random: str = ""
    faults: tuple[str, ...] = ()
    tested_epoch: int | None = None
    network: Network
    input: Input
    training: Training


def read_recipe(model: str, name: str = "fixed") -> Recipe:
    """The shipped recipe of a model.

    Raises:
        UsageError: there is no such recipe or model.
    """
    names = get_args(RecipeName)
    if name not in names:
        raise UsageError(unknown("recipe", name, names), item="--recipe")
    if model not in MODELS:
        raise UsageError(unknown("model", model, MODELS), item="--model")
    return parse_recipe(FOLDER / name / f"{model}.toml")


def parse_recipe(path: Path) -> Recipe:
    """Read one file.

    Raises:
        DataError: it is no recipe.
    """
    text = read_text(path, MAX_BYTES).decode()
    try:
        return Recipe.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"is no TOML: {error}", path=path) from None
    except ValidationError as error:
        raise DataError(first_fault(error), path=path) from None
