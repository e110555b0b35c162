"""The networks beside the published ones: names, shapes and number of weights, logits of given weights."""

import json
import lzma
import zlib
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import numpy as np
import torch

from microg_bench import har
from microg_bench.har.checkpoints import build
from microg_bench.har.models import NETWORKS
from microg_bench.har.models.head import ActionNetwork
from microg_bench.har.recipe import MODELS, read_recipe
from tests.har.models.small import SMALL

pytestmark = pytest.mark.slow
PUBLISHED = Path(__file__).resolve().parents[4] / "shared" / "data" / "har" / "architectures.json.xz"
# One of each family and way; the others differ in numbers of blocks, which the shapes tell.
WITH_LOGITS = ["C2D_NLN_8x8_R50", "I3D_8x8_R50", "MVITv2_S_16x4", "SLOWFAST_32x2_R50", "SLOWFAST_8x8_R50"]
WITH_LOGITS += ["SLOWONLY_4x16_R50", "SLOWONLY_8x8_R50", "X3D_S"]


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    if not PUBLISHED.is_file():
        pytest.skip(f"shared/ data absent: {PUBLISHED} does not exist")
    content: dict[str, Any] = json.loads(lzma.decompress(PUBLISHED.read_bytes()))
    return content


def test_each_model_has_a_network_and_two_recipes() -> None:
    assert list(NETWORKS) == list(MODELS)
    for model in MODELS:
        recipes = [read_recipe(model, name) for name in ("fixed", "paper")]
        assert [one.model for one in recipes] == [model, model]
        assert [one.recipe for one in recipes] == ["fixed", "paper"]
        assert not recipes[0].faults


def test_frames_and_boxes_of_other_shapes_are_refused() -> None:
    network = har.load_model("X3D_S")
    frames, boxes = torch.zeros(1, 3, 13, 64, 64), torch.tensor([[0.0, 1, 1, 50, 50]])
    assert network(frames, boxes).shape == (1, 50)
    assert network(frames, torch.zeros(0, 5)).shape == (0, 50)
    for bad in (frames[0], frames[:, :1]):
        with pytest.raises(ValueError, match=r"not \(B, 3, T, H, W\)"):
            network(bad, boxes)
    for bad in (boxes[0], boxes[:, 1:]):
        with pytest.raises(ValueError, match=r"not \(K, 5\)"):
            network(frames, bad)
    for clip in (-1.0, 1.0):
        with pytest.raises(ValueError, match="from 0 to 0"):
            network(frames, torch.tensor([[clip, 1, 1, 50, 50]]))


@pytest.mark.parametrize(
    ("frames", "boxes", "said"),
    [
        (None, [[0.0, 1, 1, 50, 50]], "boxes are no tensor, but list"),
        ([0.0], None, "frames are no tensor, but list"),
        (torch.zeros(1, 3, 8, 64, 64, dtype=torch.uint8), None, "frames are torch.uint8, the weights"),
        (torch.zeros(1, 3, 8, 64, 64).double(), None, "frames are torch.float64, the weights torch.float32"),
        (None, torch.tensor([[0.0, 1, float("nan"), 50, 50]]), "not finite"),
        (None, torch.tensor([[0.5, 1, 1, 50, 50]]), "the number of its clip, from 0 to 0"),
        (torch.zeros(1, 3, 6, 64, 64), None, "6 frames are no multiple of 4"),
    ],
)
def test_what_is_no_input_of_a_network_is_one_line(frames: Any, boxes: Any, said: str) -> None:
    network = SMALL["slowfast"](50).eval()
    given = torch.zeros(1, 3, 8, 64, 64), torch.tensor([[0, 1, 1, 50, 50]])
    assert network(*given).shape == (1, 50)
    with pytest.raises(ValueError, match=said):
        network(given[0] if frames is None else frames, given[1] if boxes is None else boxes)


@pytest.mark.parametrize("recipe", ["fixed", "paper"])
@pytest.mark.parametrize("model", MODELS)
def test_weights_are_named_and_shaped_as_published(
    published: dict[str, Any], model: str, recipe: str
) -> None:
    with torch.device("meta"):
        network = build(read_recipe(model, recipe), 50)
    expected = published[model]
    assert {key: list(value.shape) for key, value in network.state_dict().items()} == expected["state_dict"]
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == expected["parameters"] == read_recipe(model, recipe).parameters


def fill(network: ActionNetwork) -> None:
    """Weights that follow from their names, as those of the published logits do."""
    for key, value in network.state_dict().items():
        random, shape = np.random.default_rng(zlib.crc32(key.encode())), tuple(value.shape)
        match key.rpartition(".")[2]:
            case "num_batches_tracked":
                continue
            case "running_var":
                drawn = random.uniform(0.5, 1.5, shape)
            case "running_mean":
                drawn = 0.1 * random.standard_normal(shape)
            case "weight" if len(shape) == 1:
                drawn = random.uniform(0.5, 1.5, shape)
            case "weight":
                drawn = random.standard_normal(shape) * np.sqrt(1 / np.prod(shape[1:]))
            case _:
                drawn = (0.1 if len(shape) == 1 else 0.02) * random.standard_normal(shape)
        value.copy_(torch.from_numpy(np.asarray(drawn, dtype=np.float32)))


def logits_of(network: ActionNetwork, expected: dict[str, Any]) -> torch.Tensor:
    drawn = np.random.default_rng(0).standard_normal(expected["input"]).astype(np.float32)
    boxes = torch.tensor([[0, *box] for box in expected["boxes_pixels"]], dtype=torch.float32)
    with torch.inference_mode():
        logits: torch.Tensor = network(torch.from_numpy(drawn), boxes)
    return logits


@pytest.mark.heavy
@pytest.mark.parametrize("model", WITH_LOGITS)
def test_logits_are_as_published(published: dict[str, Any], model: str) -> None:
    expected = published[model]
    for recipe in ("paper", "fixed"):
        network = har.load_model(model, recipe=recipe)
        assert not network.training
        stride = str(network.head.stride)
        with torch.no_grad():
            fill(network)
        logits = logits_of(network, expected)
        assert logits.shape == (2, 50)
        assert logits[:, :16].numpy() == pytest.approx(np.array(expected["logits"][stride]), abs=1e-3)
        sums = expected[f"logits_sum_{stride}"]
        assert logits.sum(dim=1).numpy() == pytest.approx(np.array(sums), abs=1e-2)


@pytest.mark.heavy
def test_the_fault_of_scale_gives_the_second_box_the_bias_and_is_named(published: dict[str, Any]) -> None:
    for recipe, outside in (("paper", True), ("fixed", False)):
        network = har.load_model("X3D_S", recipe=recipe)
        with torch.no_grad():
            fill(network)
        second = logits_of(network, published["X3D_S"])[1]
        assert torch.allclose(second, network.head.projection.bias, atol=1e-6) == outside
    for model in ("X3D_S", "X3D_L", "MVIT_B_16x4", "MVITv2_S_16x4"):
        assert any("bias of the head" in fault for fault in read_recipe(model, "paper").faults)
        assert read_recipe(model, "paper").network.roi_stride == 16
        assert read_recipe(model, "fixed").network.roi_stride == 32
