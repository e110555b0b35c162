"""The memory that an adapter tells of, counted: its real class in the published sizes, without weights."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from microg_bench.adapters.registry import find_adapter
from microg_bench.engines.registry import ENGINES

if ENGINES["transformers"].missing():
    pytest.skip("the extra transformers is not installed", allow_module_level=True)

import torch
import transformers as t

from microg_bench.torchvision_repair import ensure_torchvision

ensure_torchvision()  # which the classes need; an engine sees to it

Sizes = dict[str, Any]


def sizes(hidden: int, inner: int, layers: int, heads: int, **more: Any) -> Sizes:
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    return dict(zip(names, (hidden, inner, layers, heads), strict=True)) | more


# As the published config.json files have them.
VICUNA = sizes(4096, 11008, 32, 32, num_key_value_heads=32, vocab_size=32064, model_type="llama")
QWEN2 = sizes(3584, 18944, 28, 28, num_key_value_heads=4, vocab_size=152064, model_type="qwen2")
QWEN3 = sizes(4096, 12288, 36, 32, num_key_value_heads=8, head_dim=128, vocab_size=151936)
SMOL = sizes(2048, 8192, 24, 32, num_key_value_heads=32, vocab_size=49280, model_type="llama")
GEMMA = sizes(3840, 15360, 48, 16, num_key_value_heads=8, head_dim=256, vocab_size=262208)
INTERNLM = sizes(4096, 14336, 32, 32, num_key_value_heads=8, vocab_size=92553)
INTERNLM |= {"rope_theta": 1e6, "rms_norm_eps": 1e-5, "max_position_embeddings": 32768}
CLIP = sizes(1024, 4096, 24, 16, patch_size=14)
SIGLIP = sizes(1152, 4304, 27, 16, patch_size=14)
INTERN_VIT = sizes(1024, 4096, 24, 16, image_size=448, patch_size=14, layer_norm_eps=1e-6)
QWEN_VIT = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "out_hidden_size": 3584}
QWEN3_5 = sizes(4096, 12288, 32, 16, num_key_value_heads=4, head_dim=256, vocab_size=248320)
QWEN3_8 = {**QWEN3_5, **sizes(5120, 17408, 64, 24), "linear_num_value_heads": 48}
QWEN3_6 = {"hidden_size": 2048, "num_hidden_layers": 40, "num_attention_heads": 16, "num_key_value_heads": 2}
QWEN3_6 |= {"head_dim": 256, "vocab_size": 248320, "num_experts": 256, "moe_intermediate_size": 512}
GLM = sizes(4096, 13696, 40, 32, num_key_value_heads=2, vocab_size=151552)
GLM_VIT = {"depth": 24, "hidden_size": 1536, "intermediate_size": 13696, "out_hidden_size": 4096}
QWEN3_VIT = {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "out_hidden_size": 4096}


def clip(side: int) -> Sizes:
    return {**CLIP, "image_size": side, "model_type": "clip_vision_model"}


def siglip(side: int, **more: Any) -> Sizes:
    return {
        **SIGLIP,
        "image_size": side,
        "vision_use_head": False,
        "model_type": "siglip_vision_model",
        **more,
    }


def library(name: str, text: Sizes, vision: Sizes, **more: Any) -> Any:
    """The class that the adapter names, and its configuration."""
    kind: Any = getattr(t, find_adapter(name).architecture)
    return kind(kind.config_class(text_config=text, vision_config=vision, **more))


def video_chatgpt() -> Any:
    from model_adapters._video_chatgpt import VideoChatGpt

    model = VideoChatGpt(t.LlamaConfig(**{**VICUNA, "vocab_size": 32006}))
    model.vision_tower = t.CLIPVisionModel(t.CLIPVisionConfig(**clip(224)))
    return model


def mplug_owl3() -> Any:
    from model_adapters._mplug_owl3 import MPlugOwl3

    vision = {**SIGLIP, "image_size": 378}
    return MPlugOwl3(t.Qwen2Config(**QWEN2, hyper_layers=[1, 2, 3, 4], vision_config=vision))


def internvideo() -> Any:
    from model_adapters._internvideo2_5 import InternVideo, _config

    vision = {**INTERN_VIT, "qkv_bias": True, "qk_normalization": False}
    return InternVideo(_config({"llm_config": INTERNLM, "vision_config": vision}))


MODELS: dict[str, Callable[[], Any]] = {
    "llava-next-video": lambda: library("llava-next-video", VICUNA, clip(336)),
    "video-llava": lambda: library("video-llava", VICUNA, clip(224)),
    "video-chatgpt": video_chatgpt,
    "mplug-owl3": mplug_owl3,
    "internvideo2.5": internvideo,
    "qwen2.5-vl": lambda: library("qwen2.5-vl", QWEN2, QWEN_VIT),
    "qwen3-vl": lambda: library("qwen3-vl", QWEN3, QWEN3_VIT),
    "internvl3.5": lambda: library(
        "internvl3.5", {**QWEN3, "model_type": "qwen3"}, INTERN_VIT, tie_word_embeddings=False
    ),
    "llava-onevision": lambda: library(
        "llava-onevision", {**QWEN2, "vocab_size": 152000}, siglip(384, num_hidden_layers=26)
    ),
    "gemma-3": lambda: library("gemma-3", GEMMA, siglip(896)),
    "qwen3.5": lambda: library("qwen3.5", QWEN3_5, QWEN3_VIT),
    "qwen3.6": lambda: library("qwen3.6", QWEN3_6, {**QWEN3_VIT, "out_hidden_size": 2048}),
    "qwen3.8": lambda: library("qwen3.8", QWEN3_8, {**QWEN3_VIT, "out_hidden_size": 5120}),
    "cosmos3": lambda: library("cosmos3", QWEN3, QWEN3_VIT),
    "glm-4.6v-flash": lambda: library("glm-4.6v-flash", GLM, GLM_VIT),
    "smolvlm2": lambda: library("smolvlm2", SMOL, {**SIGLIP, "image_size": 384}, scale_factor=3),
}


@pytest.mark.parametrize("name", MODELS)
def test_it_tells_the_memory_of_its_weights(name: str) -> None:
    with torch.device("meta"):
        model = MODELS[name]()
    count = sum(weights.numel() for weights in {id(one): one for one in model.parameters()}.values())
    adapter = find_adapter(name)
    told = re.search(r"([\d.]+) billion parameters × 2 bytes = ([\d.]+) GB", adapter.memory)
    assert told, f"{count / 1e9:.2f} billion parameters × 2 bytes = {2 * count / 1e9:.1f} GB"
    assert (told[1], told[2]) == (f"{count / 1e9:.2f}", f"{2 * count / 1e9:.1f}")
