"""The networks of Tables 1 and 2 by name, in the order of the tables, with random weights.

Each is made of `classes` and of the options of its recipe.
"""

from collections.abc import Callable
from functools import partial

from microg_bench.har.models.head import ActionNetwork
from microg_bench.har.models.mvit import MViT
from microg_bench.har.models.resnet import C2D, I3D, NON_LOCAL, SLOW, ResNet
from microg_bench.har.models.slowfast import SlowFast
from microg_bench.har.models.x3d import X3D

NETWORKS: dict[str, Callable[..., ActionNetwork]] = {
    "C2D_8x8_R50": partial(ResNet, C2D),
    "C2D_NLN_8x8_R50": partial(ResNet, C2D, non_local=NON_LOCAL),
    "I3D_8x8_R50": partial(ResNet, I3D),
    "I3D_NLN_8x8_R50": partial(ResNet, I3D, non_local=NON_LOCAL),
    "SLOWONLY_8x8_R50": partial(ResNet, SLOW),
    "SLOWONLY_4x16_R50": partial(ResNet, SLOW),
    "SLOWFAST_8x8_R50": SlowFast,
    "SLOWFAST_4x16_R50": SlowFast,
    "MVIT_B_16x4": partial(MViT, version=1),
    "MVITv2_S_16x4": partial(MViT, version=2),
    "X3D_S": partial(X3D, depth=2.2),
    "X3D_L": partial(X3D, depth=5),
    "SLOWFAST_32x2_R50": SlowFast,
    "SLOWFAST_32x2_R101": partial(SlowFast, depth=101),
}
