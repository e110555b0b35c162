"""The architectures that no library has, against plain loops over what their papers say."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microg_bench.engines.registry import ENGINES
from microg_bench.options import Options

if ENGINES["transformers"].missing():
    pytest.skip("the extra transformers is not installed", allow_module_level=True)

import torch
from safetensors.torch import load_file, save_file

from microg_bench.engines.transformers.engine import TransformersEngine
from microg_bench.errors import EngineError
from microg_bench.records import Failure, Response
from microg_bench.torchvision_repair import ensure_torchvision
from tests.engines.conftest import AnswerAll, job_of, noise_frames
from tests.helpers.hub_cache import fill_cache
from tests.helpers.tiny_models import build_tiny
from tests.helpers.tiny_own import OWN
from tests.model_adapters.cases import CASES
from tests.model_adapters.conftest import Tiny

pytestmark = pytest.mark.slow

ensure_torchvision()  # which the modules of the architectures need; an engine sees to it

Start = Callable[..., TransformersEngine]


@pytest.fixture
def start(tiny: Tiny) -> Start:
    def make(name: str, folder: Path | None = None, batch_size: int = 4) -> TransformersEngine:
        place, loader = folder or tiny(name), CASES[name].adapter().loader
        options = Options(checkpoint=str(place), batch_size=batch_size, dtype="float32")
        engine = TransformersEngine(options, loader=loader)
        engine.start()
        return engine

    return make


def texts(outcomes: list[Response | Failure]) -> list[str]:
    assert not [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    return [outcome.text for outcome in outcomes if isinstance(outcome, Response)]


@pytest.mark.parametrize("name", OWN)
def test_batches_give_the_greedy_texts_of_single_prompts(
    name: str, start: Start, answer_all: AnswerAll
) -> None:
    jobs = [job_of(k, frames=noise_frames(k, count=6)) for k in range(4)]
    alone = texts(answer_all(start(name, batch_size=1), jobs))
    together = texts(answer_all(start(name), jobs))
    assert together == alone
    assert len(set(alone)) > 1


@pytest.mark.parametrize("name", OWN)
def test_the_answer_depends_on_the_frames_and_on_their_order(
    name: str, start: Start, answer_all: AnswerAll
) -> None:
    # One prompt, so that texts differ by the frames alone.
    engine, logits = start(name), []
    engine._ready.model.lm_head.register_forward_hook(lambda module, args, out: logits.append(out[0, -1]))
    frames = noise_frames(0, count=6)
    for pixels in (frames.pixels, frames.pixels[::-1].copy(), noise_frames(1, count=6).pixels):
        start_of_answer = len(logits)
        shown = type(frames)(**{**vars(frames), "pixels": pixels})
        texts(answer_all(engine, [job_of(0, frames=shown)]))
        logits[start_of_answer + 1 :] = []
    assert not torch.allclose(logits[0], logits[1], atol=1e-4)
    assert not torch.allclose(logits[0], logits[2], atol=1e-4)


@pytest.mark.parametrize("name", ["mplug-owl3", "internvideo2.5"])
def test_a_missing_weight_is_not_made_up(name: str, start: Start, tmp_path: Path) -> None:
    folder = build_tiny(name, tmp_path)
    weights = load_file(folder / "model.safetensors")
    gone = next(key for key in weights if key.startswith("vision_model.encoder"))
    del weights[gone]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EngineError, match="weights are missing, such as vision_model"):
        start(name, folder)


def test_a_projector_without_its_embeddings_is_refused(start: Start, tmp_path: Path) -> None:
    folder = build_tiny("video-chatgpt", tmp_path)
    file = folder / "video_chatgpt-7B.bin"
    weights = torch.load(file, weights_only=True)
    del weights["model.embed_tokens.weight"]
    torch.save(weights, file)
    with pytest.raises(EngineError, match=r"video_chatgpt-7B\.bin lacks model\.embed_tokens\.weight"):
        start("video-chatgpt", folder)


def test_video_chatgpt_takes_at_most_a_hundred_frames(start: Start, answer_all: AnswerAll) -> None:
    (outcome,) = answer_all(start("video-chatgpt"), [job_of(0, frames=noise_frames(0, count=101))])
    assert isinstance(outcome, Failure)
    assert "at most 100 frames, not 101" in outcome.reason


def test_video_chatgpt_averages_over_space_and_over_time(start: Start) -> None:
    model = start("video-chatgpt")._ready.model
    pixels = torch.randn(3, 3, 56, 56)
    with torch.no_grad():
        ours = model.video_tokens(pixels)
        layers = model.vision_tower(pixels, output_hidden_states=True).hidden_states
        features = layers[len(layers) - 2].numpy()
    weight, bias = (one.detach().numpy() for one in model.model.mm_projector.parameters())
    tokens = [features[t, 1:].mean(axis=0) for t in range(3)]
    tokens += [np.zeros_like(tokens[0])] * 97
    tokens += [np.mean([features[t, 1 + s] for t in range(3)], axis=0) for s in range(16)]
    wanted = np.stack([weight @ token + bias for token in tokens])
    np.testing.assert_allclose(ours.numpy(), wanted, atol=1e-4)


def test_internvideo_unshuffles_as_internvl_does() -> None:
    from transformers import InternVLModel

    from model_adapters._internvideo2_5 import unshuffled

    seen = torch.randn(2, 36, 5)
    wanted: Any = InternVLModel.pixel_shuffle(None, seen.reshape(2, 6, 6, 5), scale_factor=0.5)
    assert torch.equal(unshuffled(seen), wanted.reshape(2, 9, 20))


@pytest.mark.parametrize(("count", "wanted"), [(20, 16), (20, 7), (21, 4)])
def test_internvideo_merges_the_most_similar_tokens(count: int, wanted: int) -> None:
    from model_adapters._internvideo2_5 import merge

    tokens = torch.randn(count, 8, generator=torch.Generator().manual_seed(count), dtype=torch.float64)
    merged = merge(tokens, wanted, heads=2).numpy()
    np.testing.assert_allclose(merged, merged_by_loops(tokens.numpy(), wanted, heads=2))


def merged_by_loops(tokens: np.ndarray, wanted: int, heads: int) -> np.ndarray:
    """Token merging as its paper tells it: sets of first tokens, and their means."""
    bags = [[k] for k in range(len(tokens))]
    while len(bags) > wanted:
        means = [tokens[bag].mean(axis=0) for bag in bags]
        keys = [mean.reshape(heads, -1).mean(axis=0) for mean in means]
        keys = [key / np.linalg.norm(key) for key in keys]
        even, odd = range(0, len(bags), 2), range(1, len(bags), 2)
        friend = {k: max(odd, key=lambda other, k=k: keys[k] @ keys[other]) for k in even}
        order = sorted(even, key=lambda k: -(keys[k] @ keys[friend[k]]))
        surplus = min(len(bags) - wanted, len(bags) // 2)
        for k in order[:surplus]:
            bags[friend[k]] = bags[friend[k]] + bags[k]
        bags = [bags[k] for k in order[surplus:]] + [bags[k] for k in odd]
    return np.stack([tokens[bag].mean(axis=0) for bag in bags])


def test_internvideo_parts_the_published_matrices(tiny: Tiny) -> None:
    from model_adapters._internvideo2_5 import converted

    published = load_file(tiny("internvideo2.5") / "model.safetensors")
    ours = converted(published.items(), {"num_attention_heads": 4, "num_key_value_heads": 2})
    fused = published["language_model.model.layers.1.attention.wqkv.weight"].split(16)  # of a head, each
    parts = [ours[f"model.layers.1.self_attn.{letter}_proj.weight"].split(16) for letter in "qkv"]
    # For each of two heads of keys: two heads of queries, the key, the value.
    wanted = [[fused[0], fused[1], fused[4], fused[5]], [fused[2], fused[6]], [fused[3], fused[7]]]
    for got, right in zip(parts, wanted, strict=True):
        assert torch.equal(torch.cat(got), torch.cat(right))
    tower = published["vision_model.encoder.layers.0.attn.qkv.weight"]
    kept = [ours[f"vision_model.encoder.layer.0.attention.{letter}_proj.weight"] for letter in "qkv"]
    assert torch.equal(torch.cat(kept), tower)
    assert not [name for name in ours if "temporal_embed" in name]


def test_internvideo_shows_ninety_frames_as_they_are(start: Start) -> None:
    model = start("internvideo2.5")._ready.model
    with torch.no_grad():
        assert model.video_tokens(torch.randn(90, 3, 168, 168)).shape == (90 * 16, 64)


def test_mplug_owl3_looks_at_the_frames_before_each_word(start: Start) -> None:
    engine = start("mplug-owl3")
    model = engine._ready.model
    layer = model.model.layers[0]
    frame, word = model.frame_token, 5
    tokens = torch.tensor([[word, frame, frame, word, word]])
    pixels = torch.randn(1, 2, 3, 56, 56)
    context, queries = torch.randn(1, 2, 5, 32), torch.randn(1, 2, 5, 32)
    with torch.no_grad():
        model._show(pixels, tokens, torch.ones_like(tokens))
        ours = layer.self_attn.weighed(queries, context)
        seen = model.vision_model(pixels[0], output_hidden_states=True).hidden_states[-2]
        features = layer.input_layernorm(model.vision2text_model(seen))
        wanted = looked_by_loops(layer.self_attn, features, queries[0], context[0], before=[0, 0, 1, 2, 2])
    model._show_nothing()
    torch.testing.assert_close(ours[0], wanted, atol=1e-5, rtol=1e-4)


def looked_by_loops(
    attention: Any, features: torch.Tensor, queries: torch.Tensor, context: torch.Tensor, before: list[int]
) -> torch.Tensor:
    """Hyper attention of one head of keys, word by word; the frames are tokens 1 and 2 of the prompt."""
    size = 32
    both = attention.v_kv_proj(features)
    frequencies = 1 / 10_000 ** (torch.arange(0, size, 2) / size)
    mixed = context.clone()
    for place, visible in enumerate(before):
        if not visible:
            continue
        keys = []
        for frame in range(visible):
            angle = torch.cat([frequencies, frequencies]) * (frame + 2)  # the place after the frame's own
            key = both[frame, :, :size]
            turned = torch.cat([-key[:, size // 2 :], key[:, : size // 2]], dim=-1)
            keys.append(key * angle.cos() + turned * angle.sin())
        values = torch.cat([both[frame, :, size:] for frame in range(visible)])
        for head in range(2):
            weights = torch.softmax(torch.cat(keys) @ queries[head, place] / size**0.5, dim=0)
            gate = attention.gate_proj(context[head, place])
            mixed[head, place] = (1 - gate) * context[head, place] + gate * (weights @ values)
    return mixed


def test_video_chatgpt_tells_the_commits_of_its_three_parts(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    from model_adapters._video_chatgpt import COMMITS, LANGUAGE, VISION

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    folder, adapter = tiny("video-chatgpt"), CASES["video-chatgpt"].adapter()
    (tmp_path / "projector").mkdir()
    shutil.copy(folder / "video_chatgpt-7B.bin", tmp_path / "projector")
    parts = {
        str(adapter.checkpoint): (tmp_path / "projector", "a" * 40),
        LANGUAGE: (folder / LANGUAGE.split("/")[1], COMMITS[LANGUAGE]),
        VISION: (folder / VISION.split("/")[1], COMMITS[VISION]),
    }
    for name, (place, commit) in parts.items():
        fill_cache(tmp_path / "cache", place, name, commit)
    engine = TransformersEngine(Options(checkpoint=adapter.checkpoint), loader=adapter.loader)
    engine.start()
    told = engine.provenance()
    assert told["commit"] == "a" * 40
    assert told[f"commit of {LANGUAGE}"] == COMMITS[LANGUAGE]
    assert told[f"commit of {VISION}"] == COMMITS[VISION]
