"""Small networks of each family, and the boxes of the sample clips as they are shown to them."""

from collections.abc import Callable, Sequence

import torch

from microg_bench.dataset.labels import read_label_map
from microg_bench.har.clips import ClipTensors, decoded, shown
from microg_bench.har.models.head import ActionNetwork
from microg_bench.har.models.mvit import MViT
from microg_bench.har.models.resnet import SLOW, ResNet
from microg_bench.har.models.slowfast import SlowFast
from microg_bench.har.models.x3d import X3D
from microg_bench.har.recipe import Recipe, read_recipe
from microg_bench.persons.keyframes import KeyFrames, load_key_frames
from microg_bench.video.pool import DecodePool

LABELS = read_label_map()
SIDE = 96
SMALL: dict[str, Callable[[int], ActionNetwork]] = {
    "slow": lambda classes: ResNet(SLOW, classes, pool=False, width=8),
    "slowfast": lambda classes: SlowFast(classes, alpha=4, width=8),
    "x3d": lambda classes: X3D(classes, depth=1, channels=(8, 8, 16, 16)),
    "mvit": lambda classes: MViT(classes, version=2, frames=4, side=SIDE, width=8),
}


def small_recipe(**training: object) -> Recipe:
    """Slow 4x16 on frames of 96 pixels, with what `training` changes."""
    recipe = read_recipe("SLOWONLY_4x16_R50")
    changes = {
        "short_sides": (SIDE, SIDE),
        "crop": SIDE,
        "precision": "no",
        "clips": 4,
        "devices": 1,
        **training,
    }
    return recipe.model_copy(
        update={
            "input": recipe.input.model_copy(update={"short_side": SIDE}),
            "training": recipe.training.model_copy(update=changes),
        }
    )


def sample(split: str = "all") -> KeyFrames:
    """The key frames of the sample set."""
    return load_key_frames("sample", LABELS, split=split)


def ready(key_frames: KeyFrames, recipe: Recipe) -> list[ClipTensors]:
    """They as a network is shown them."""
    with DecodePool(2) as pool:
        found = list(decoded(key_frames.items, recipe.input, pool))
    return [shown(one, pixels, recipe.input.short_side) for one, pixels in found]  # type: ignore[arg-type]


def truth_of(clips: Sequence[ClipTensors]) -> torch.Tensor:
    """Which actions each box shows, shape (boxes, actions)."""
    boxes = [actions for one in clips for actions in one.key_frame.actions]
    return torch.tensor([[float(number in actions) for number in LABELS.ids] for actions in boxes])
