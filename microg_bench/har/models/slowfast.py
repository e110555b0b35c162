"""SlowFast: a slow pathway sees few frames with many channels, a fast one all frames with few channels.

"SlowFast Networks for Video Recognition" (arXiv 1812.03982). Names and shapes of the weights are those of
PySlowFast.
"""

import torch
from torch import Tensor, nn

from microg_bench.har.models.head import ActionNetwork, DetectionHead
from microg_bench.har.models.resnet import BLOCKS, SLOW, Kernels, Stage, Stem, initialise, residual_blocks

FAST: Kernels = ([5], [3], [3], [3], [3])
FEWER = 8  # the fast pathway has an eighth of the channels
KERNEL = 7  # over time, of the convolutions that fuse the pathways
NON_LOCAL = {4: (6, 13, 20)}  # the blocks of the slow pathway that a non-local block follows


class Fusion(nn.Module):
    """Adds features of the fast pathway to those of the slow one, one frame of `alpha`."""

    def __init__(self, channels: int, alpha: int) -> None:
        super().__init__()
        self.conv_f2s = nn.Conv3d(
            channels,
            2 * channels,
            (KERNEL, 1, 1),
            stride=(alpha, 1, 1),
            padding=(KERNEL // 2, 0, 0),
            bias=False,
        )
        self.bn = nn.BatchNorm3d(2 * channels)

    def forward(self, pathways: list[Tensor]) -> list[Tensor]:
        slow, fast = pathways
        return [torch.cat([slow, self.bn(self.conv_f2s(fast)).relu_()], dim=1), fast]


class SlowFast(ActionNetwork):
    """A network of two pathways. `alpha` is the number of frames of the fast pathway for one of the slow."""

    s2: Stage
    s3: Stage
    s4: Stage
    s5: Stage
    s2_fuse: Fusion
    s3_fuse: Fusion
    s4_fuse: Fusion

    def __init__(
        self,
        classes: int,
        *,
        alpha: int,
        non_local: bool = False,
        width: int = 64,
        depth: int = 50,
        roi_stride: int = 16,
    ) -> None:
        super().__init__()
        self.alpha = alpha
        fast = width // FEWER
        self.s1 = Stage({"stem": Stem(width, SLOW[0][0])}, {"stem": Stem(fast, FAST[0][0])})
        self.s1_fuse = Fusion(fast, alpha)
        channels = [width + 2 * fast, fast]
        for k, (number, count) in enumerate(zip((2, 3, 4, 5), BLOCKS[depth], strict=True)):
            inner, out = width * 2**k, width * 4 * 2**k
            stage = Stage(
                *(
                    residual_blocks(
                        taken,
                        inner // fewer,
                        out // fewer,
                        kernels=kernels[number - 1],
                        count=count,
                        stride=2 if number in (3, 4) else 1,
                        dilation=2 if number == 5 else 1,
                        non_local=NON_LOCAL.get(number, ()) if non_local and fewer == 1 else (),
                        plain=True,
                    )
                    for taken, kernels, fewer in zip(channels, (SLOW, FAST), (1, FEWER), strict=True)
                )
            )
            self.add_module(f"s{number}", stage)
            channels = [out + 2 * out // FEWER, out // FEWER]
            if number < 5:
                self.add_module(f"s{number}_fuse", Fusion(out // FEWER, alpha))
        initialise(self)
        self.head = DetectionHead([out, out // FEWER], classes, stride=roi_stride)

    def features(self, frames: Tensor) -> list[Tensor]:
        """Take frames (B, 3, T, H, W) of the fast pathway; return features of both, the slow one first.

        Raises:
            ValueError: T is no multiple of `alpha`.
        """
        count = frames.shape[2]
        if count % self.alpha:
            raise ValueError(
                f"{count} frames are no multiple of {self.alpha}, which the slow pathway divides by"
            )
        slow = torch.linspace(0, count - 1, count // self.alpha, device=frames.device).long()
        x = self.s1_fuse(self.s1([frames[:, :, slow], frames]))
        x = self.s3_fuse(self.s3(self.s2_fuse(self.s2(x))))
        features: list[Tensor] = self.s5(self.s4_fuse(self.s4(x)))
        return features
