"""MViT: transformers that pool queries, keys and values, so that sides halve while channels double.

"Multiscale Vision Transformers" (arXiv 2104.11227) describes version 1, "MViTv2" (arXiv 2112.01526) version
2. Names and shapes of the weights are those of PySlowFast.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from microg_bench.har.models.head import ActionNetwork, DetectionHead

DEPTH = 16
WIDER = (1, 3, 14)  # blocks that halve the sides, with twice the channels and heads
POOLED = 8  # at first the sides of keys and values are an eighth of those of queries
DROP_PATH = 0.2  # of the last block; 0 for the first, and linear between them
Sizes = tuple[int, int, int]  # of time, height and width, without the class token


def layer_norm(channels: int) -> nn.LayerNorm:
    """Normalisation over the channels."""
    return nn.LayerNorm(channels, eps=1e-6)


def pool(x: Tensor, sizes: Sizes, pooling: nn.Module) -> tuple[Tensor, Sizes]:
    """Pool the tokens of `x` (B, heads, 1 + T·H·W, C) over time and space; the class token stays as it is."""
    batch, heads, _, channels = x.shape
    token, rest = x[:, :, :1], x[:, :, 1:]
    volume = pooling(rest.reshape(batch * heads, *sizes, channels).permute(0, 4, 1, 2, 3))
    time, height, width = volume.shape[2:]
    rest = volume.flatten(2).transpose(1, 2).reshape(batch, heads, -1, channels)
    return torch.cat([token, rest], dim=2), (time, height, width)


def relative(table: Tensor, queries: int, keys: int) -> Tensor:
    """Vectors (queries, keys, C) for the distances along one axis, interpolated from the table."""
    length = 2 * max(queries, keys) - 1
    if len(table) != length:
        table = functional.interpolate(table.T[None], size=length, mode="linear")[0].T
    step, other = max(keys / queries, 1.0), max(queries / keys, 1.0)
    at = torch.arange(queries, device=table.device)[:, None] * step
    distances = at + (keys - 1 - torch.arange(keys, device=table.device)) * other
    return table[distances.long()]


class Attention(nn.Module):
    """Attention with pooled queries, keys and values.

    `stride_q` and `stride_kv` are the strides of pooling over space; queries that are not pooled have 0.
    Given the `sizes` of its input, the attention has relative positions along each axis, and adds the queries
    to its result.
    """

    def __init__(
        self,
        channels: int,
        out: int,
        heads: int,
        *,
        stride_q: int,
        stride_kv: int,
        sizes: Sizes | None = None,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.relative = sizes is not None
        size = out // heads
        self.qkv = nn.Linear(channels, 3 * out)
        self.proj = nn.Linear(out, out)
        for name, stride in (("q", stride_q), ("k", stride_kv), ("v", stride_kv)):
            if stride:
                pooling = nn.Conv3d(
                    size, size, 3, stride=(1, stride, stride), padding=1, groups=size, bias=False
                )
                self.add_module(f"pool_{name}", pooling)
                self.add_module(f"norm_{name}", layer_norm(size))
        if sizes is not None:
            side = max(sizes[1] // stride_q, sizes[1] // stride_kv)
            self.rel_pos_h = nn.Parameter(torch.empty(2 * side - 1, size))
            self.rel_pos_w = nn.Parameter(torch.empty(2 * side - 1, size))
            self.rel_pos_t = nn.Parameter(torch.empty(2 * sizes[0] - 1, size))

    def forward(self, x: Tensor, sizes: Sizes) -> tuple[Tensor, Sizes]:
        parts = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        (query, sizes_q), (key, sizes_k), (value, _) = (
            self._pooled(part, sizes, name) for part, name in zip(parts, "qkv", strict=True)
        )
        bias = self._positions(query, sizes_q, sizes_k) if self.relative else None
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        if self.relative:
            attended = torch.cat([attended[:, :, :1], attended[:, :, 1:] + query[:, :, 1:]], dim=2)
        return self.proj(attended.transpose(1, 2).flatten(2)), sizes_q

    def _pooled(self, x: Tensor, sizes: Sizes, name: str) -> tuple[Tensor, Sizes]:
        pooling = getattr(self, f"pool_{name}", None)
        if pooling is None:
            return x, sizes
        x, sizes = pool(x, sizes, pooling)
        return getattr(self, f"norm_{name}")(x), sizes

    def _positions(self, query: Tensor, sizes_q: Sizes, sizes_k: Sizes) -> Tensor:
        """What the distance of query and key adds to their product; nothing for the class token."""
        places = query[:, :, 1:].reshape(*query.shape[:2], *sizes_q, -1)
        tables = (self.rel_pos_t, self.rel_pos_h, self.rel_pos_w)
        time, height, width = (
            relative(table, of_query, of_key)
            for table, of_query, of_key in zip(tables, sizes_q, sizes_k, strict=True)
        )
        added = (
            torch.einsum("bnthwc,tkc->bnthwk", places, time)[..., :, None, None]
            + torch.einsum("bnthwc,hkc->bnthwk", places, height)[..., None, :, None]
            + torch.einsum("bnthwc,wkc->bnthwk", places, width)[..., None, None, :]
        )
        return functional.pad(added.flatten(2, 4).flatten(3), (1, 0, 1, 0))


class Mlp(nn.Module):
    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, 4 * channels)
        self.fc2 = nn.Linear(4 * channels, out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc2(functional.gelu(self.fc1(x)))
        return x


class Block(nn.Module):
    """Attention and a perceptron, each added to its input; version 1 widens in the latter, 2 before."""

    def __init__(
        self,
        channels: int,
        out: int,
        heads: int,
        *,
        stride_q: int,
        stride_kv: int,
        drop_path: float,
        sizes: Sizes | None = None,
    ) -> None:
        super().__init__()
        self.widens_in_attention = sizes is not None
        inner = out if self.widens_in_attention else channels
        self.norm1 = layer_norm(channels)
        self.attn = Attention(channels, inner, heads, stride_q=stride_q, stride_kv=stride_kv, sizes=sizes)
        self.drop_path = drop_path
        self.norm2 = layer_norm(inner)
        self.mlp = Mlp(inner, out)
        self.projects = channels != out
        if self.projects:
            self.proj = nn.Linear(channels, out)
        self.pool = nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)) if stride_q > 1 else None

    def forward(self, x: Tensor, sizes: Sizes) -> tuple[Tensor, Sizes]:
        normed = self.norm1(x)
        branch, new_sizes = self.attn(normed, sizes)
        if self.projects and self.widens_in_attention:
            x = self.proj(normed)
        if self.pool is not None:
            x = pool(x[:, None], sizes, self.pool)[0][:, 0]
        x = x + self._dropped(branch)
        normed = self.norm2(x)
        branch = self.mlp(normed)
        if self.projects and not self.widens_in_attention:
            x = self.proj(normed)
        return x + self._dropped(branch), new_sizes

    def _dropped(self, branch: Tensor) -> Tensor:
        """In training, leave out the branch of some clips, and scale that of the others."""
        if not self.training or self.drop_path == 0:
            return branch
        kept = torch.rand(len(branch), 1, 1, device=branch.device) >= self.drop_path
        return branch * kept / (1 - self.drop_path)


class Patches(nn.Module):
    """Tokens of 2 frames and 4×4 pixels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv3d(3, channels, (3, 7, 7), stride=(2, 4, 4), padding=(1, 3, 3))

    def forward(self, frames: Tensor) -> Tensor:
        patches: Tensor = self.proj(frames)
        return patches


class MViT(ActionNetwork):
    """A transformer for clips of `frames` frames.

    `side` is that of the squares that it was trained on, in pixels; others are accepted.
    Version 1 has learned positions, interpolated to other sizes, version 2 relative ones. The sides halve
    three times after the patches, so that a cell of the feature map stands for 32 pixels.
    """

    def __init__(
        self,
        classes: int,
        *,
        version: int,
        frames: int = 16,
        side: int = 224,
        width: int = 96,
        roi_stride: int = 32,
    ) -> None:
        super().__init__()
        time, side = frames // 2, side // 4
        self.patch_embed = Patches(width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = version == 1
        if self.positions:
            self.side = side
            self.pos_embed_spatial = nn.Parameter(torch.zeros(1, side * side, width))
            self.pos_embed_temporal = nn.Parameter(torch.zeros(1, time, width))
            self.pos_embed_class = nn.Parameter(torch.zeros(1, 1, width))
        self.blocks = nn.ModuleList()
        channels, heads, stride_kv = width, 1, POOLED
        for k in range(DEPTH):
            stride_q = 2 if k in WIDER else 1 if version == 2 else 0
            if k in WIDER:
                heads, stride_kv = 2 * heads, stride_kv // 2
            widens = k in WIDER if version == 2 else k + 1 in WIDER
            block = Block(
                channels,
                2 * channels if widens else channels,
                heads,
                stride_q=stride_q,
                stride_kv=stride_kv,
                drop_path=DROP_PATH * k / (DEPTH - 1),
                sizes=(time, side, side) if version == 2 else None,
            )
            self.blocks.append(block)
            if widens:
                channels *= 2
            if k in WIDER:
                side //= 2
        self.norm = layer_norm(channels)
        self._initialise()
        self.head = DetectionHead([channels], classes, stride=roi_stride)

    def _initialise(self) -> None:
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                nn.init.trunc_normal_(parameter, std=0.02)
            elif name.endswith("bias") and not name.startswith("patch_embed"):
                nn.init.constant_(parameter, 0.02)

    def features(self, frames: Tensor) -> list[Tensor]:
        """Take frames (B, 3, T, H, W); return features (B, C, T / 2, H / 32, W / 32)."""
        patches = self.patch_embed(frames)
        sizes = patches.shape[2:]
        x = torch.cat(
            [self.cls_token.expand(len(patches), -1, -1), patches.flatten(2).transpose(1, 2)], dim=1
        )
        if self.positions:
            x = x + self._positions(sizes)
        for block in self.blocks:
            x, sizes = block(x, sizes)
        return [self.norm(x)[:, 1:].transpose(1, 2).unflatten(2, sizes)]

    def _positions(self, sizes: Sizes) -> Tensor:
        spatial = self.pos_embed_spatial.reshape(1, self.side, self.side, -1)
        volume = spatial[:, None] + self.pos_embed_temporal[:, :, None, None]
        if tuple(volume.shape[1:4]) != tuple(sizes):
            volume = functional.interpolate(volume.permute(0, 4, 1, 2, 3), size=sizes, mode="trilinear")
            volume = volume.permute(0, 2, 3, 4, 1)
        return torch.cat([self.pos_embed_class, volume.flatten(1, 3)], dim=1)
