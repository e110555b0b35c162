"""X3D: a narrow residual network with channelwise convolutions, expanded along several axes.

"X3D: Expanding Architectures for Efficient Video Recognition" (arXiv 2004.04730). Names and shapes of the
weights are those of PySlowFast.
"""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from microg_bench.har.models.head import ActionNetwork, DetectionHead
from microg_bench.har.models.resnet import ResidualBlock, Stage, convolution, final_norm, initialise

CHANNELS = (24, 48, 96, 192)  # of each stage
BLOCKS = (1, 2, 5, 3)  # of each stage, before they are multiplied by the depth
EXPANSION = 2.25  # inner channels for one outer


class ChannelwiseStem(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_xy = convolution(3, channels, (1, 3, 3), stride=2)
        self.conv = convolution(channels, channels, (5, 1, 1), groups=channels)
        self.bn = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.bn(self.conv(self.conv_xy(x))).relu_()
        return features


class SqueezeExcitation(nn.Module):
    """Weighs each channel by what all places show, through a sixteenth of them, to the nearest eight."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        sixteenth = channels / 16
        inner = max(8, int(sixteenth + 4) // 8 * 8)
        if inner < 0.9 * sixteenth:
            inner += 8
        self.fc1 = nn.Conv3d(channels, inner, 1)
        self.fc2 = nn.Conv3d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.fc2(self.fc1(x.mean(dim=(2, 3, 4), keepdim=True)).relu()).sigmoid()
        weighed: Tensor = x * weights
        return weighed


class ChannelwiseBottleneck(nn.Module):
    """Convolutions 1×1×1, 3×3×3 by channel, and 1×1×1."""

    def __init__(self, channels: int, inner: int, out: int, *, stride: int, weighs: bool) -> None:
        super().__init__()
        self.a = convolution(channels, inner, (1, 1, 1))
        self.a_bn = nn.BatchNorm3d(inner)
        self.b = convolution(inner, inner, (3, 3, 3), stride=stride, groups=inner)
        self.b_bn = nn.BatchNorm3d(inner)
        self.se = SqueezeExcitation(inner) if weighs else nn.Identity()
        self.c = convolution(inner, out, (1, 1, 1))
        self.c_bn = final_norm(out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a_bn(self.a(x)).relu_()
        x = nn.functional.silu(self.se(self.b_bn(self.b(x))))
        x = self.c_bn(self.c(x))
        return x


class X3D(ActionNetwork):
    """A network of one pathway. `depth` multiplies the number of blocks of each stage, and is rounded up.

    Every stage halves the sides, so that a cell of the feature map stands for 32 pixels.
    """

    s2: Stage
    s3: Stage
    s4: Stage
    s5: Stage

    def __init__(
        self, classes: int, *, depth: float, channels: Sequence[int] = CHANNELS, roi_stride: int = 32
    ) -> None:
        super().__init__()
        self.s1 = Stage({"stem": ChannelwiseStem(channels[0])})
        taken = channels[0]
        for number, (out, count) in enumerate(zip(channels, BLOCKS, strict=True), start=2):
            blocks = {}
            for k in range(math.ceil(depth * count)):
                stride = 2 if k == 0 else 1
                branch = ChannelwiseBottleneck(
                    taken, int(EXPANSION * out), out, stride=stride, weighs=k % 2 == 0
                )
                blocks[f"res{k}"] = ResidualBlock(branch, taken, out, stride)
                taken = out
            self.add_module(f"s{number}", Stage(blocks))
        initialise(self)
        self.head = DetectionHead([taken], classes, stride=roi_stride)

    def features(self, frames: Tensor) -> list[Tensor]:
        """Take frames (B, 3, T, H, W); return features (B, C, T, H / 32, W / 32)."""
        features: list[Tensor] = self.s5(self.s4(self.s3(self.s2(self.s1([frames])))))
        return features
