"""C2D, I3D and Slow: residual networks over space and time, with non-local blocks where asked.

"Non-local Neural Networks" (arXiv 1711.07971) describes C2D, I3D and their blocks, "SlowFast Networks for
Video Recognition" (arXiv 1812.03982) describes Slow. Names and shapes of the weights are those of PySlowFast.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from microg_bench.har.models.head import ActionNetwork, DetectionHead

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}  # of each stage, by depth
Kernels = Sequence[Sequence[int]]  # sizes over time: of the stem, then of the blocks of each stage, repeated

C2D: Kernels = ([1], [1], [1], [1], [1])
I3D: Kernels = ([5], [3], [3, 1], [3, 1], [1, 3])
SLOW: Kernels = ([1], [1], [1], [3], [3])
NON_LOCAL = {3: (1, 3), 4: (1, 3, 5)}  # the blocks of each stage that a non-local block follows


def convolution(
    channels: int,
    out: int,
    kernel: tuple[int, int, int],
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
) -> nn.Conv3d:
    """A convolution without bias that keeps the size but for the stride, which is over space."""
    time, side = kernel[0], kernel[1]
    return nn.Conv3d(
        channels,
        out,
        kernel,
        stride=(1, stride, stride),
        padding=(time // 2, dilation * (side // 2), dilation * (side // 2)),
        dilation=(1, dilation, dilation),
        groups=groups,
        bias=False,
    )


def final_norm(channels: int) -> nn.BatchNorm3d:
    """The last normalisation of a branch: at first the branch adds nothing."""
    norm = nn.BatchNorm3d(channels)
    nn.init.zeros_(norm.weight)
    return norm


def initialise(network: nn.Module) -> None:
    """Draw the weights of convolutions as PySlowFast does: normal, by the number of outputs; biases are 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class Stem(nn.Module):
    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = convolution(3, channels, (kernel, 7, 7), stride=2)
        self.bn = nn.BatchNorm3d(channels)
        self.pool = nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.pool(self.bn(self.conv(x)).relu_())
        return pooled


class Bottleneck(nn.Module):
    """Convolutions T×1×1, 1×3×3 and 1×1×1."""

    def __init__(
        self, channels: int, inner: int, out: int, kernel: int, *, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        self.a = convolution(channels, inner, (kernel, 1, 1))
        self.a_bn = nn.BatchNorm3d(inner)
        self.b = convolution(inner, inner, (1, 3, 3), stride=stride, dilation=dilation)
        self.b_bn = nn.BatchNorm3d(inner)
        self.c = convolution(inner, out, (1, 1, 1))
        self.c_bn = final_norm(out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a_bn(self.a(x)).relu_()
        x = self.b_bn(self.b(x)).relu_()
        x = self.c_bn(self.c(x))
        return x


class ResidualBlock(nn.Module):
    """A branch that is added to its input, or to a projection of it where the shape changes."""

    def __init__(self, branch: nn.Module, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.projects = channels != out or stride != 1
        if self.projects:
            self.branch1 = convolution(channels, out, (1, 1, 1), stride=stride)
            self.branch1_bn = nn.BatchNorm3d(out)
        self.branch2 = branch

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.branch1_bn(self.branch1(x)) if self.projects else x
        added: Tensor = (shortcut + self.branch2(x)).relu_()
        return added


class NonLocal(nn.Module):
    """Attention of each place to all places, those of keys and values pooled 2×2 over space.

    Where `plain`, they are pooled by two over time as well, and products of queries and keys are divided by
    the number of keys; else their softmax is taken.
    """

    def __init__(self, channels: int, *, plain: bool = False) -> None:
        super().__init__()
        self.plain = plain
        inner = channels // 2
        self.conv_theta = nn.Conv3d(channels, inner, 1)
        self.conv_phi = nn.Conv3d(channels, inner, 1)
        self.conv_g = nn.Conv3d(channels, inner, 1)
        self.conv_out = nn.Conv3d(inner, channels, 1)
        self.bn = final_norm(channels)
        self.pool = nn.MaxPool3d((2 if plain else 1, 2, 2))

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.pool(x)
        query = self.conv_theta(x).flatten(2)
        key, value = self.conv_phi(pooled).flatten(2), self.conv_g(pooled).flatten(2)
        products = query.transpose(1, 2) @ key
        weights = products / key.shape[2] if self.plain else (products * key.shape[1] ** -0.5).softmax(dim=2)
        attended = (value @ weights.transpose(1, 2)).unflatten(2, x.shape[2:])
        added: Tensor = x + self.bn(self.conv_out(attended))
        return added


class Stage(nn.Module):
    """The blocks of one stage by name, for each pathway; takes and returns features of each pathway."""

    def __init__(self, *pathways: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.names = [[f"pathway{k}_{name}" for name in blocks] for k, blocks in enumerate(pathways)]
        for k, blocks in enumerate(pathways):
            for name, block in blocks.items():
                self.add_module(f"pathway{k}_{name}", block)

    def forward(self, pathways: Sequence[Tensor]) -> list[Tensor]:
        outputs = list(pathways)
        for k, names in enumerate(self.names):
            for name in names:
                outputs[k] = getattr(self, name)(outputs[k])
        return outputs


def residual_blocks(
    channels: int,
    inner: int,
    out: int,
    *,
    kernels: Sequence[int],
    count: int,
    stride: int = 1,
    dilation: int = 1,
    non_local: Sequence[int] = (),
    plain: bool = False,
) -> dict[str, nn.Module]:
    """The blocks of a stage for one pathway: the first has the stride, and the kernels are repeated.

    Blocks beyond those of a depth of 50 have no kernel over time.
    """
    blocks: dict[str, nn.Module] = {}
    for k in range(count):
        taken, step = (channels, stride) if k == 0 else (out, 1)
        kernel = kernels[k % len(kernels)] if k < max(BLOCKS[50]) else 1
        branch = Bottleneck(taken, inner, out, kernel, stride=step, dilation=dilation)
        blocks[f"res{k}"] = ResidualBlock(branch, taken, out, step)
        if k in non_local:
            blocks[f"nonlocal{k}"] = NonLocal(out, plain=plain)
    return blocks


class ResNet(ActionNetwork):
    """A network of one pathway. `pool` halves the number of frames after the first stage of blocks.

    The last stage is dilated rather than strided, so that a cell of the feature map stands for 16 pixels.
    """

    s2: Stage
    s3: Stage
    s4: Stage
    s5: Stage

    def __init__(
        self,
        kernels: Kernels,
        classes: int,
        *,
        pool: bool,
        non_local: Mapping[int, Sequence[int]] | None = None,
        width: int = 64,
        depth: int = 50,
        roi_stride: int = 16,
    ) -> None:
        super().__init__()
        non_local = non_local or {}
        self.pool = nn.MaxPool3d((2, 1, 1)) if pool else nn.Identity()
        self.s1 = Stage({"stem": Stem(width, kernels[0][0])})
        channels = width
        for k, (number, count) in enumerate(zip((2, 3, 4, 5), BLOCKS[depth], strict=True)):
            inner, out = width * 2**k, width * 4 * 2**k
            blocks = residual_blocks(
                channels,
                inner,
                out,
                kernels=kernels[number - 1],
                count=count,
                stride=2 if number in (3, 4) else 1,
                dilation=2 if number == 5 else 1,
                non_local=non_local.get(number, ()),
            )
            self.add_module(f"s{number}", Stage(blocks))
            channels = out
        initialise(self)
        self.head = DetectionHead([channels], classes, stride=roi_stride)

    def features(self, frames: Tensor) -> list[Tensor]:
        """Take frames (B, 3, T, H, W); return features (B, C, T', H / 16, W / 16)."""
        x = self.s2(self.s1([frames]))
        features: list[Tensor] = self.s5(self.s4(self.s3([self.pool(part) for part in x])))
        return features
