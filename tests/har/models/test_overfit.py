"""Small networks of each family learn the actions of real boxes by heart."""

import pytest

pytest.importorskip("torch")

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from microg_bench.har.clips import stacked
from tests.har.models.small import LABELS, SMALL, ready, sample, small_recipe, truth_of

pytestmark = pytest.mark.heavy
BOXES, STEPS = 8, 120


@pytest.mark.parametrize("name", SMALL)
def test_eight_boxes_are_learned_by_heart(name: str) -> None:
    shown = [
        one
        for one in ready(sample(), small_recipe())
        if one.key_frame.video_id.startswith(("astronaut", "pedestrians-c_000"))
    ]
    frames, boxes = stacked(shown)
    truth = truth_of(shown)[:BOXES]
    torch.manual_seed(0)
    network = SMALL[name](len(LABELS))
    network.head.dropout.p = 0.0
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    network.train()
    losses, right = [], 0
    while right < BOXES and len(losses) < STEPS:
        optimizer.zero_grad()
        logits = network(frames, boxes[:BOXES])
        loss = binary_cross_entropy_with_logits(logits, truth)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        right = int(((logits > 0) == (truth > 0)).all(dim=1).sum())
    assert right == BOXES
    assert losses[-1] < losses[0] / 10
