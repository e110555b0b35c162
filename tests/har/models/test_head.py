"""RoIAlign beside a plain computation, sample by sample, as torchvision defines it."""

import math

import pytest

pytest.importorskip("torch")

import torch

from microg_bench.har.models.head import BINS, DetectionHead, roi_align


def bilinear(image: torch.Tensor, y: float, x: float) -> torch.Tensor:
    """The value of an image (C, H, W) at a place; 0 beyond -1 or the size."""
    height, width = image.shape[1:]
    if y < -1 or y > height or x < -1 or x > width:
        return torch.zeros(len(image))
    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    low, side = y - top, x - left
    above = image[:, top, left] * (1 - side) + image[:, top, right] * side
    below = image[:, bottom, left] * (1 - side) + image[:, bottom, right] * side
    return above * (1 - low) + below * low


def plain(features: torch.Tensor, boxes: torch.Tensor, scale: float) -> torch.Tensor:
    pooled = torch.zeros(len(boxes), features.shape[1], BINS, BINS)
    for k, (image, *corners) in enumerate(boxes.tolist()):
        x1, y1, x2, y2 = (corner * scale - 0.5 for corner in corners)
        wide, high = (x2 - x1) / BINS, (y2 - y1) / BINS
        columns, rows = math.ceil(wide), math.ceil(high)
        for i in range(BINS):
            for j in range(BINS):
                for row in range(rows):
                    for column in range(columns):
                        y, x = (
                            y1 + high * (i + (row + 0.5) / rows),
                            x1 + wide * (j + (column + 0.5) / columns),
                        )
                        pooled[k, :, i, j] += bilinear(features[int(image)], y, x) / max(rows * columns, 1)
    return pooled


def test_boxes_anywhere_are_pooled_as_plainly() -> None:
    random = torch.Generator().manual_seed(0)
    features = torch.randn(2, 3, 11, 17, generator=random, dtype=torch.float32)
    corners = torch.rand(60, 4, generator=random) * torch.tensor([400.0, 260, 400, 260]) - 60
    tiny = corners[:10, :2].repeat(1, 2) + torch.tensor([0.0, 0, 3, 2])
    low, high = torch.minimum(corners[:, :2], corners[:, 2:]), torch.maximum(corners[:, :2], corners[:, 2:])
    corners = torch.cat([torch.cat([low, high], dim=1), tiny])
    image = torch.randint(0, 2, (len(corners), 1), generator=random)
    boxes = torch.cat([image, corners], dim=1)
    for scale in (1 / 16, 1 / 32):
        assert torch.allclose(roi_align(features, boxes, scale), plain(features, boxes, scale), atol=1e-4)


def test_a_box_without_area_and_no_boxes_give_nothing() -> None:
    features = torch.ones(1, 2, 4, 4)
    flat = torch.tensor([[0.0, 16, 16, 16, 48]])
    assert roi_align(features, flat, 1 / 16).abs().sum() == 0
    assert roi_align(features, torch.zeros(0, 5), 1 / 16).shape == (0, 2, BINS, BINS)


def test_gradients_reach_the_features_inside_the_box_only() -> None:
    features = torch.randn(1, 1, 8, 8, requires_grad=True)
    roi_align(features, torch.tensor([[0.0, 0, 0, 48, 48]]), 1 / 16).sum().backward()
    gradient = features.grad
    assert gradient is not None
    assert gradient[0, 0, :3, :3].abs().sum() > 0
    assert gradient[0, 0, 5:, 5:].abs().sum() == 0


def test_pathways_are_joined() -> None:
    head = DetectionHead([4, 2], 7, stride=16).eval()
    logits = head(
        [torch.randn(2, 4, 3, 6, 6), torch.randn(2, 2, 9, 6, 6)], torch.tensor([[1.0, 0, 0, 50, 60]])
    )
    assert logits.shape == (1, 7)
