"""The architecture of InternVideo2.5 (Wang et al., 2025), of parts that transformers has.

Frames of 448 pixels go through an InternViT; the features are unshuffled to a quarter, and those of four
frames are merged to 64 tokens (ToMe: Bolya et al., ICLR 2023), from which two layers make embeddings of an
InternLM 2.5, which is a LLaMA with other names of weights. The weights are read in the published layout.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from safetensors import safe_open

from model_adapters._own_model import VIDEO, VideoProcessor, load_whole

transformers: Any = import_module("transformers")

GROUP, MERGED = 4, 64  # frames whose tokens are merged, and to how many
FRAME = MERGED // GROUP  # tokens
CONTEXT = "<IMG_CONTEXT>"
SYSTEM = (
    "你是书生·万象，英文名是InternVL，"
    "是由上海人工智能实验室、清华大学及多家合作单位联合开发的多模态大语言模型。"
)
TEMPLATE = (
    "{{ bos_token }}{% if messages[0].role != 'system' %}<|im_start|>{{ 'system\n' }}"
    + SYSTEM
    + "<|im_end|>{{ '\n' }}"
    "{% endif %}{% for message in messages %}<|im_start|>{{ message.role ~ '\n' }}"
    "{% for part in message.content %}"
    "{% if part.type == 'video' %}" + VIDEO + "{% else %}{{ part.text }}{% endif %}{% endfor %}"
    "<|im_end|>{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>{{ 'assistant\n' }}{% endif %}"
)
VISION_NAMES = {  # as published: as transformers has them
    "embeddings.class_embedding": "embeddings.cls_token",
    "embeddings.position_embedding": "embeddings.position_embeddings",
    "embeddings.patch_embedding.": "embeddings.patch_embeddings.projection.",
    "encoder.layers.": "encoder.layer.",
    ".ls1": ".lambda_1",
    ".ls2": ".lambda_2",
    ".attn.proj.": ".attention.projection_layer.",
    ".norm1.": ".layernorm_before.",
    ".norm2.": ".layernorm_after.",
}
LANGUAGE_NAMES = {
    "tok_embeddings": "embed_tokens",
    "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}


class InternVideo(transformers.LlamaForCausalLM):  # type: ignore[misc]
    """A LLaMA with a vision tower; `config.vision_config` is that of the tower."""

    patch_token: int = -1

    def __init__(self, config: Any) -> None:
        """`config.vision_config` holds the fields of an `InternVLVisionConfig`."""
        super().__init__(config)
        vision = transformers.InternVLVisionConfig(**config.vision_config)
        self.vision_model = transformers.InternVLVisionModel(vision)
        width = 4 * vision.hidden_size
        self.mlp1 = torch.nn.Sequential(
            torch.nn.LayerNorm(width),
            torch.nn.Linear(width, config.hidden_size),
            torch.nn.GELU(),
            torch.nn.Linear(config.hidden_size, config.hidden_size),
        )

    def video_tokens(self, pixels: torch.Tensor) -> torch.Tensor:
        """Embeddings of a video, shape (16 · frames, hidden), from pixels of shape (frames, 3, 448, 448)."""
        seen = self.vision_model(pixels).last_hidden_state[:, 1:]
        groups = torch.split(unshuffled(seen), GROUP)
        merged = [
            merge(group.flatten(0, 1), FRAME * len(group), self.config.num_attention_heads)
            for group in groups
        ]
        embedded: torch.Tensor = self.mlp1(torch.cat(merged))
        return embedded

    def generate(
        self, input_ids: torch.Tensor, pixel_values_videos: torch.Tensor | None = None, **settings: Any
    ) -> torch.Tensor:
        """What is written, behind the prompt; `pixel_values_videos` is (videos, frames, 3, 448, 448)."""
        embeddings = self.get_input_embeddings()(input_ids)
        if pixel_values_videos is not None:
            videos = torch.cat([self.video_tokens(video) for video in pixel_values_videos])
            embeddings[input_ids == self.patch_token] = videos.to(embeddings)
        written = super().generate(inputs_embeds=embeddings, **settings)
        return torch.cat([input_ids, written], dim=1)


def unshuffled(seen: torch.Tensor) -> torch.Tensor:
    """Each 2 × 2 block of patches as one token of four times the width.

    Args:
        seen: shape (frames, side², width), side even.

    Returns:
        Shape (frames, side² / 4, 4 · width); in a token, the two columns of the first row come first.
    """
    frames, patches, width = seen.shape
    half = round(patches**0.5) // 2
    blocks = seen.reshape(frames, half, 2, half, 2, width).transpose(2, 3)
    return blocks.reshape(frames, half * half, 4 * width)


def merge(tokens: torch.Tensor, wanted: int, heads: int) -> torch.Tensor:
    """Average similar tokens until `wanted` are left, at most half of them in one round (ToMe).

    Args:
        tokens: shape (tokens, width); more than `wanted`.
        wanted: how many to leave.
        heads: parts into which the width is cut and averaged before tokens are compared.

    Returns:
        Shape (wanted, width); what was not merged in a round comes before what was.
    """
    size = torch.ones_like(tokens[:, :1])  # how many of the first tokens are in each
    while (count := len(tokens)) > wanted:
        surplus = min(count - wanted, count // 2)
        metric = torch.nn.functional.normalize(tokens.reshape(count, heads, -1).mean(dim=1), dim=-1)
        similarity, partner = (metric[::2] @ metric[1::2].T).max(dim=-1)
        order = similarity.argsort(descending=True)
        gone, kept = order[:surplus], order[surplus:]

        def folded(
            values: torch.Tensor, gone: Any = gone, kept: Any = kept, into: Any = partner
        ) -> torch.Tensor:
            even, odd = values[::2], values[1::2]
            return torch.cat([even[kept], odd.index_add(0, into[gone], even[gone])])

        tokens, size = folded(tokens * size), folded(size)
        tokens = tokens / size
    return tokens


def load(place: str, source: dict[str, Any], settings: dict[str, Any]) -> tuple[Any, Any]:
    """The processor and the model from `place`, a folder or a hub id.

    Args:
        place: where the checkpoint is.
        source: `revision`, `local_files_only`, as `from_pretrained` takes them.
        settings: `dtype`, `device_map`, `attn_implementation`, as `from_pretrained` takes them.
    """
    hub = {name: source[name] for name in ("revision", "local_files_only")}
    folder = Path(place if Path(place).is_dir() else snapshot_download(place, **hub))
    config = json.loads((folder / "config.json").read_text())
    tokenizer = _tokenizer(folder)
    weights = converted(_read(sorted(folder.glob("*.safetensors"))), config["llm_config"])
    model = load_whole(InternVideo, None, config=_config(config), state_dict=weights, **settings)
    model.patch_token = tokenizer.convert_tokens_to_ids(CONTEXT)
    model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids("<|im_end|>")
    return _processor(tokenizer, config["vision_config"]["image_size"]), model


def _tokenizer(folder: Path) -> Any:
    if (folder / "tokenizer.json").is_file():
        return transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    # Published is a SentencePiece model alone, with code for an old transformers.
    return transformers.LlamaTokenizer.from_pretrained(folder)


def _read(files: list[Path]) -> Iterable[tuple[str, torch.Tensor]]:
    for file in files:
        with safe_open(file, "pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - it is no mapping
                yield name, tensors.get_tensor(name)


def converted(weights: Iterable[tuple[str, torch.Tensor]], llm: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Published weights under the names of `InternVideo`; those of other tasks are left out.

    The language model keeps queries, keys and values in one matrix: for each head of keys its queries, the
    key and the value; the vision tower keeps them one after another.
    """
    heads, groups = llm["num_attention_heads"], llm["num_key_value_heads"]
    found: dict[str, torch.Tensor] = {}
    for name, tensor in weights:
        if name.startswith("mlp1."):
            found[name] = tensor
        elif name.startswith("vision_model."):
            ours = _renamed(name, VISION_NAMES)
            parts = tensor.chunk(3) if ".attn.qkv." in name else ()
            for letter, part in zip("qkv", parts, strict=False):
                found[ours.replace(".attn.qkv.", f".attention.{letter}_proj.")] = part
            if not parts:
                found[ours] = tensor
        elif name.startswith("language_model."):
            ours = _renamed(name.removeprefix("language_model."), LANGUAGE_NAMES)
            ours = re.sub(r"^output\.", "lm_head.", ours)
            if ours.endswith("attention.wqkv.weight"):
                grouped = tensor.reshape(groups, heads // groups + 2, -1, tensor.shape[-1])
                pieces = (grouped[:, :-2], grouped[:, -2], grouped[:, -1])
                for letter, piece in zip("qkv", pieces, strict=True):
                    key = ours.replace("attention.wqkv", f"self_attn.{letter}_proj")
                    found[key] = piece.reshape(-1, tensor.shape[-1])
            else:
                found[ours] = tensor
    return found


def _renamed(name: str, names: dict[str, str]) -> str:
    for published, ours in names.items():
        name = name.replace(published, ours)
    return name


def _config(config: dict[str, Any]) -> Any:
    llm, vision = config["llm_config"], config["vision_config"]
    rope = {"rope_type": "default", "rope_theta": float(llm["rope_theta"])}
    if scaling := llm.get("rope_scaling"):
        rope |= {"rope_type": scaling["type"], "factor": scaling["factor"]}
    same = (
        "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "rms_norm_eps", "max_position_embeddings",
    )  # fmt: skip
    seen = (
        "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "image_size",
        "patch_size", "layer_norm_eps",
    )  # fmt: skip
    tower = {name: vision[name] for name in seen}
    tower |= {"attention_bias": vision["qkv_bias"], "use_qk_norm": vision["qk_normalization"]}
    return transformers.LlamaConfig(
        **{name: llm[name] for name in same},
        rope_parameters=rope,
        attention_bias=llm.get("bias", False),
        tie_word_embeddings=False,
        vision_config=tower,
    )


def _processor(tokenizer: Any, side: int) -> VideoProcessor:
    reader = transformers.InternVLVideoProcessor(
        size={"height": side, "width": side},
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    frame = f"<img>{CONTEXT * FRAME}</img>\n"
    return VideoProcessor(
        tokenizer, reader, TEMPLATE, lambda frames: "".join(f"Frame{k + 1}: {frame}" for k in range(frames))
    )
