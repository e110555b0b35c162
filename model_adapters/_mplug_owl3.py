"""The architecture of mPLUG-Owl3 (Ye et al., ICLR 2025, section 3), which no library has.

Every frame goes through SigLIP and one linear layer, and stands in the prompt as a single token. In the
hyper attention layers of a Qwen2 the text also looks at the features of the frames that it follows: with the
queries of its self-attention, keys and values of their own, and positions that are those of the frames in
the prompt. A gate weighs what both kinds of attention see. The names of the weights are the published ones.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from torch.nn.functional import scaled_dot_product_attention

from model_adapters._own_model import VIDEO, VideoProcessor, load_whole

transformers: Any = import_module("transformers")
qwen2: Any = import_module("transformers.models.qwen2.modeling_qwen2")
modeling: Any = import_module("transformers.modeling_utils")
masking: Any = import_module("transformers.masking_utils")

FRAME = "<|image|>"
ATTENTION = "hyper"  # what `attend` goes by in transformers
TEMPLATE = (
    "{% if messages[0].role != 'system' %}<|im_start|>{{ 'system\n' }}<|im_end|>{% endif %}"
    "{% for message in messages %}{{ '' if message.role == 'system' else '\n' }}"
    "<|im_start|>{{ message.role ~ '\n' }}{% for part in message.content %}"
    "{% if part.type == 'video' %}"
    + VIDEO
    + "{{ '\n' }}{% else %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>"
    "{% endfor %}{% if add_generation_prompt %}{{ '\n' }}<|im_start|>{{ 'assistant\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Shown:
    """What one layer may look at.

    `keys`, `values`: shape (batch, heads, frames · tokens, head size). `visible`: which text may
    look at which of them, shape (batch, 1, text, frames · tokens).
    """

    keys: torch.Tensor
    values: torch.Tensor
    visible: torch.Tensor


class HyperAttention(qwen2.Qwen2Attention):  # type: ignore[misc]
    """Self-attention, and attention to the frames in `shown`, weighed by a gate.

    The queries, the cache and the last matrix are Qwen2's own; only what is between them is `attend`.
    """

    shown: Shown | None = None

    def __init__(self, config: Any, layer_idx: int) -> None:
        """As Qwen2's, with the published names for the matrices of the frames and of the gate."""
        super().__init__(config, layer_idx)
        self.v_kv_proj = torch.nn.Linear(config.hidden_size, 2 * config.num_key_value_heads * self.head_dim)
        self.gate_proj = torch.nn.Sequential(
            torch.nn.Linear(self.head_dim, self.head_dim), torch.nn.Sigmoid()
        )

    def weighed(self, queries: torch.Tensor, said: torch.Tensor) -> torch.Tensor:
        """What the text says, weighed with what its queries see; each (batch, heads, text, head size)."""
        if self.shown is None:
            return said
        visible = self.shown.visible[:, :, -queries.shape[2] :]
        looks = visible.any(dim=-1, keepdim=True)
        # A row that may look at nothing looks at everything, and is then left out.
        seen = scaled_dot_product_attention(
            queries, self.shown.keys, self.shown.values, attn_mask=visible | ~looks
        )
        gate = self.gate_proj(said)
        return torch.where(looks, said * (1 - gate) + seen * gate, said)

    def look_at(self, features: torch.Tensor, rope: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """Keys and values, shape (2, batch, heads, frames · tokens, head size).

        Args:
            features: normalised, shape (batch, frames, tokens, hidden).
            rope: cosine and sine of the frames' positions, each (batch, frames, head size).
        """
        pairs = self.v_kv_proj(features).unflatten(-1, (-1, 2, self.head_dim))
        cosine, sine = (one[:, :, None, None] for one in rope)
        keys = pairs[..., 0, :]
        keys = keys * cosine + qwen2.rotate_half(keys) * sine
        both = torch.stack([keys, pairs[..., 1, :]]).flatten(2, 3).transpose(2, 3)
        return both.repeat_interleave(self.num_key_value_groups, dim=2)


def attend(layer: Any, queries: torch.Tensor, *others: Any, **settings: Any) -> tuple[torch.Tensor, None]:
    """Attention as transformers calls it: torch's own, and where `layer` is a hyper layer, the frames too.

    `queries` are (batch, heads, text, head size), what comes out (batch, text, heads, head size).
    """
    said, _ = modeling.ALL_ATTENTION_FUNCTIONS["sdpa"](layer, queries, *others, **settings)
    if isinstance(layer, HyperAttention):
        said = layer.weighed(queries, said.transpose(1, 2)).transpose(1, 2)
    return said, None


transformers.AttentionInterface.register(ATTENTION, attend)
transformers.AttentionMaskInterface.register(ATTENTION, masking.ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])


class MPlugOwl3(transformers.Qwen2ForCausalLM):  # type: ignore[misc]
    """A Qwen2 with a vision tower and some layers of hyper attention."""

    _supports_flash_attn = False
    frame_token: int = -1

    def __init__(self, config: Any) -> None:
        """`config.hyper_layers` counts layers from 1; `config.vision_config` is that of a SigLIP."""
        config._attn_implementation = ATTENTION
        super().__init__(config)
        vision = transformers.SiglipVisionConfig(**config.vision_config, vision_use_head=False)
        self.vision_model = transformers.SiglipVisionModel(vision)
        self.vision2text_model = torch.nn.Linear(vision.hidden_size, config.hidden_size)
        for number in config.hyper_layers:
            self.model.layers[number - 1].self_attn = HyperAttention(config, number - 1)

    def generate(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        pixel_values_videos: torch.Tensor | None = None,
        **settings: Any,
    ) -> Any:
        """What is written, behind the prompt; `pixel_values_videos` is (videos, frames, 3, side, side)."""
        try:
            if pixel_values_videos is not None:
                self._show(pixel_values_videos, input_ids, attention_mask)
            return super().generate(input_ids, attention_mask=attention_mask, **settings)
        finally:
            self._show_nothing()

    def _show(self, pixels: torch.Tensor, tokens: torch.Tensor, real: torch.Tensor) -> None:
        """Let the hyper layers look at the frames, whose tokens are in `tokens`; `real` is 0 for padding."""
        seen = self.vision_model(pixels.flatten(0, 1), output_hidden_states=True).hidden_states[-2]
        features = self.vision2text_model(seen).unflatten(0, pixels.shape[:2])
        is_frame = tokens == self.frame_token
        # As published: text sees the frames before it, and a frame's position is the one after its token.
        before = is_frame.cumsum(dim=1) - is_frame.long()
        visible = torch.arange(pixels.shape[1], device=tokens.device) < before[..., None]
        visible = visible.repeat_interleave(features.shape[2], dim=-1)[:, None]
        positions = (real.cumsum(dim=1) - 1)[is_frame].view(pixels.shape[:2]) + 1
        rope = self.model.rotary_emb(features, positions)
        for layer in self.model.layers:
            if isinstance(layer.self_attn, HyperAttention):
                keys, values = layer.self_attn.look_at(layer.input_layernorm(features), rope)
                layer.self_attn.shown = Shown(keys, values, visible)

    def _show_nothing(self) -> None:
        for layer in self.model.layers:
            if isinstance(layer.self_attn, HyperAttention):
                layer.self_attn.shown = None


def load(place: str, source: dict[str, Any], settings: dict[str, Any]) -> tuple[Any, Any]:
    """The processor and the model from `place`, a folder or a hub id.

    Args:
        place: where the checkpoint is.
        source: `revision`, `local_files_only`, as `from_pretrained` takes them.
        settings: `dtype`, `device_map`, `attn_implementation`, as `from_pretrained` takes them; the model
            has an attention of its own, whatever the last says.
    """
    hub = {name: source[name] for name in ("revision", "local_files_only")}
    folder = Path(place)
    file = folder / "config.json" if folder.is_dir() else hf_hub_download(place, "config.json", **hub)
    fields = json.loads(Path(file).read_text())
    left_out = ("architectures", "auto_map", "model_type", "transformers_version", "torch_dtype", "dtype")
    config = transformers.Qwen2Config(**{key: fields[key] for key in fields if key not in left_out})
    tokenizer = transformers.Qwen2Tokenizer.from_pretrained(place, **hub)
    model = load_whole(
        MPlugOwl3, place, config=config, key_mapping={r"^language_model\.": ""}, **hub, **settings
    )
    model.frame_token = tokenizer.convert_tokens_to_ids(FRAME)
    # As its authors stop it.
    model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    side = {"height": config.vision_config["image_size"], "width": config.vision_config["image_size"]}
    reader = transformers.LlavaOnevisionVideoProcessor(
        size=side, image_mean=[0.5, 0.5, 0.5], image_std=[0.5, 0.5, 0.5]
    )
    return VideoProcessor(tokenizer, reader, TEMPLATE, lambda frames: FRAME * frames), model
