"""The detection head: what is seen in a box becomes one logit for each action."""

import torch
from torch import Tensor, nn

BINS = 7  # a box is pooled to 7x7 values


class DetectionHead(nn.Module):
    """Mean over time, RoIAlign, maximum over the box, dropout, one linear layer.

    `channels` are those of each pathway, `stride` is the number of pixels of the input that one cell of the
    feature map stands for, and `classes` the number of logits.
    """

    def __init__(self, channels: list[int], classes: int, *, stride: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.stride = stride
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(sum(channels), classes)
        nn.init.normal_(self.projection.weight, std=0.01)
        nn.init.zeros_(self.projection.bias)

    def forward(self, pathways: list[Tensor], boxes: Tensor) -> Tensor:
        """Take features (B, C, T, H, W) of each pathway and boxes (K, 5); return logits (K, classes)."""
        pooled = [roi_align(x.mean(dim=2), boxes, 1 / self.stride).amax(dim=(2, 3)) for x in pathways]
        logits: Tensor = self.projection(self.dropout(torch.cat(pooled, dim=1)))
        return logits


class ActionNetwork(nn.Module):
    """A network that takes frames (B, 3, T, H, W) and boxes (K, 5), and returns logits (K, classes)."""

    head: DetectionHead

    def features(self, frames: Tensor) -> list[Tensor]:
        """Take frames (B, 3, T, H, W); return features (B, C, T', H', W') of each pathway."""
        raise NotImplementedError

    def forward(self, frames: Tensor, boxes: Tensor) -> Tensor:
        """Take frames (B, 3, T, H, W), normalised, and boxes (K, 5); return logits (K, classes).

        A box is the number of its clip, from 0, and its corners x1, y1, x2, y2 in pixels.

        Raises:
            ValueError: these are no such tensors, frames are of another type than the weights, a box is not
                finite, or of a clip that there is not; or SlowFast is given frames that its pathways cannot
                share.
        """
        self._check(frames, boxes)
        logits: Tensor = self.head(self.features(frames), boxes)
        return logits

    def _check(self, frames: Tensor, boxes: Tensor) -> None:
        for name, given in (("frames", frames), ("boxes", boxes)):
            if not isinstance(given, Tensor):
                raise ValueError(f"{name} are no tensor, but {type(given).__name__}")
        if frames.dim() != 5 or frames.shape[1] != 3:
            raise ValueError(f"frames have the shape {tuple(frames.shape)}, not (B, 3, T, H, W)")
        if frames.dtype != (due := self.head.projection.weight.dtype):
            raise ValueError(f"frames are {frames.dtype}, the weights {due}")
        if boxes.dim() != 2 or boxes.shape[1] != 5:
            raise ValueError(f"boxes have the shape {tuple(boxes.shape)}, not (K, 5)")
        if boxes.is_complex() or not boxes.isfinite().all():
            raise ValueError("a box holds a number that is not finite")
        clips = boxes[:, 0]
        if not ((clips >= 0) & (clips < len(frames)) & (clips == clips.floor())).all():
            raise ValueError(f"a box begins with the number of its clip, from 0 to {len(frames) - 1}")


def roi_align(features: Tensor, boxes: Tensor, scale: float) -> Tensor:
    """Pool each box of a feature map (B, C, H, W) to (K, C, 7, 7) by bilinear sampling.

    `boxes` (K, 5) are the number of the image and corners in pixels of the input; `scale` is the size of the
    map over that of the input. A bin of a box is the mean over ceil(side / 7) samples along each side.
    Samples beyond -1 or the size of the map count as 0. The sampling is linear and separable, so that it is a
    matrix product along each side. Equal to RoIAlign of torchvision with `aligned=True` and
    `sampling_ratio=-1`.
    """
    height, width = features.shape[-2:]
    image, x1, y1, x2, y2 = boxes.float().unbind(dim=1)
    with torch.autocast(features.device.type, enabled=False):
        along_y = _sampling(y1 * scale - 0.5, y2 * scale - 0.5, height)
        along_x = _sampling(x1 * scale - 0.5, x2 * scale - 0.5, width)
        of_box = features.float()[image.long()]
        return along_y[:, None] @ of_box @ along_x[:, None].transpose(-1, -2)


def _sampling(start: Tensor, end: Tensor, size: int) -> Tensor:
    """Weights (K, 7, size) of the cells of one side for each bin of each box."""
    samples = ((end - start) / BINS).ceil()
    places = torch.arange(int(samples.max().item()) if len(samples) else 0, device=start.device)
    within = (places + 0.5) / samples.clamp(min=1)[:, None]  # (K, samples), in bins
    bins = torch.arange(BINS, device=start.device)[:, None] + within[:, None]
    at = start[:, None, None] + bins * ((end - start) / BINS)[:, None, None]
    counts = (places < samples[:, None])[:, None] & (at >= -1) & (at <= size)
    cells = torch.arange(size, device=start.device)
    near = (1 - (at.clamp(0, size - 1)[..., None] - cells).abs()).clamp(min=0) * counts[..., None]
    return near.sum(dim=2) / samples.clamp(min=1)[:, None, None]
