"""Tiny checkpoints in the layouts of models that no library has a class for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.helpers.tiny_parts import LLAMA_STOPS, QWEN_STOPS, QWEN_TOKENS, TEXT, VISION
from tests.helpers.tiny_tokenizer import generation, make_tokenizer, silence


def _video_chatgpt(folder: Path) -> None:
    """Three parts: a LLaMA, a whole CLIP, and a pickle with the projector and all token embeddings."""
    import torch
    import transformers as t

    tokenizer = make_tokenizer({**LLAMA_STOPS, "pad_token": "<unk>"})
    config = t.LlamaConfig(vocab_size=len(tokenizer), mm_hidden_size=VISION["hidden_size"], **TEXT)
    language = t.LlamaForCausalLM(config)
    silence(language, tokenizer)
    language.generation_config = generation(tokenizer)
    for part in (tokenizer, language):
        part.save_pretrained(folder / "LLaVA-7B-Lightening-v1-1")
    text = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 99}
    clip = t.CLIPModel(t.CLIPConfig(text_config=text, vision_config=VISION, projection_dim=32))
    clip.save_pretrained(folder / "clip-vit-large-patch14")
    width, hidden = VISION["hidden_size"], TEXT["hidden_size"]
    new = torch.randn(3, hidden) * 0.1
    weights: dict[str, Any] = {
        "model.mm_projector.weight": torch.randn(hidden, width) * 0.1,
        "model.mm_projector.bias": torch.zeros(hidden),
        "model.embed_tokens.weight": torch.cat([language.get_input_embeddings().weight.data, new]),
    }
    torch.save(weights, folder / "video_chatgpt-7B.bin")


def _save(weights: dict[str, Any], folder: Path) -> None:
    from safetensors.torch import save_file

    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _mplug_owl3(folder: Path) -> None:
    import torch
    import transformers as t

    from model_adapters._mplug_owl3 import MPlugOwl3

    tokenizer = make_tokenizer(QWEN_STOPS, (*QWEN_TOKENS, "<|image|>"))
    fields = {"vocab_size": len(tokenizer), "hyper_layers": [1], **TEXT, "num_key_value_heads": 1}
    fields["vision_config"] = {name: VISION[name] for name in VISION if name != "initializer_range"}
    model = MPlugOwl3(t.Qwen2Config(**fields))
    silence(model, tokenizer)
    tokenizer.save_pretrained(folder)
    config = {**fields, "architectures": ["mPLUGOwl3Model"], "model_type": "mplugowl3"}
    (folder / "config.json").write_text(json.dumps(config))
    own = ("vision_model.", "vision2text_model.")
    weights = {
        name if name.startswith(own) else f"language_model.{name}": torch.clone(tensor)
        for name, tensor in model.state_dict().items()
    }
    _save(weights, folder)


def _internvideo(folder: Path) -> None:
    """Random weights under the published names and in the published shapes."""
    import torch

    context = "<IMG_CONTEXT>"
    tokenizer = make_tokenizer(
        {**LLAMA_STOPS, "pad_token": "</s>"}, (*QWEN_TOKENS[1:], "<img>", "</img>", context)
    )
    tokenizer.save_pretrained(folder)
    side, wide, deep, vocab = 168, VISION["hidden_size"], VISION["intermediate_size"], len(tokenizer)
    llm = {**TEXT, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": vocab}
    llm |= {"rope_theta": 1e6, "rms_norm_eps": 1e-5, "max_position_embeddings": 8192, "bias": False}
    llm["rope_scaling"] = {"type": "dynamic", "factor": 2.0}
    vision = {**VISION, "image_size": side, "num_hidden_layers": 2, "layer_norm_eps": 1e-6, "qkv_bias": True}
    vision["qk_normalization"] = False
    config = {"model_type": "internvl_chat", "llm_config": llm, "vision_config": vision}
    (folder / "config.json").write_text(json.dumps(config))
    hidden, inner, head = llm["hidden_size"], llm["intermediate_size"], llm["hidden_size"] // 4
    shapes: dict[str, tuple[int, ...]] = {
        "vision_model.embeddings.class_embedding": (1, 1, wide),
        "vision_model.embeddings.position_embedding": (1, (side // 14) ** 2 + 1, wide),
        "vision_model.embeddings.patch_embedding.weight": (wide, 3, 14, 14),
        "vision_model.embeddings.patch_embedding.bias": (wide,),
        "mlp1.0.weight": (4 * wide,),
        "mlp1.0.bias": (4 * wide,),
        "mlp1.1.weight": (hidden, 4 * wide),
        "mlp1.1.bias": (hidden,),
        "mlp1.3.weight": (hidden, hidden),
        "mlp1.3.bias": (hidden,),
        "language_model.model.tok_embeddings.weight": (vocab, hidden),
        "language_model.model.norm.weight": (hidden,),
        "language_model.output.weight": (vocab, hidden),
        "temporal_embed.weight": (8, hidden),  # of a task that the harness does not ask for
    }
    for k in range(2):
        layer, tower = f"language_model.model.layers.{k}", f"vision_model.encoder.layers.{k}"
        shapes |= {
            f"{layer}.attention.wqkv.weight": ((4 + 2 * 2) * head, hidden),
            f"{layer}.attention.wo.weight": (hidden, hidden),
            f"{layer}.feed_forward.w1.weight": (inner, hidden),
            f"{layer}.feed_forward.w2.weight": (hidden, inner),
            f"{layer}.feed_forward.w3.weight": (inner, hidden),
            f"{layer}.attention_norm.weight": (hidden,),
            f"{layer}.ffn_norm.weight": (hidden,),
            f"{tower}.ls1": (wide,),
            f"{tower}.ls2": (wide,),
            f"{tower}.attn.qkv.weight": (3 * wide, wide),
            f"{tower}.attn.qkv.bias": (3 * wide,),
            f"{tower}.attn.proj.weight": (wide, wide),
            f"{tower}.attn.proj.bias": (wide,),
            f"{tower}.mlp.fc1.weight": (deep, wide),
            f"{tower}.mlp.fc1.bias": (deep,),
            f"{tower}.mlp.fc2.weight": (wide, deep),
            f"{tower}.mlp.fc2.bias": (wide,),
            f"{tower}.norm1.weight": (wide,),
            f"{tower}.norm1.bias": (wide,),
            f"{tower}.norm2.weight": (wide,),
            f"{tower}.norm2.bias": (wide,),
        }
    weights = {name: 0.1 * torch.randn(shape) + (len(shape) == 1) for name, shape in shapes.items()}
    _save(weights, folder)


OWN = {"video-chatgpt": _video_chatgpt, "mplug-owl3": _mplug_owl3, "internvideo2.5": _internvideo}
