"""The architectures of 2026 among the tiny models: configuration, processor and special tokens."""

from __future__ import annotations

from typing import Any

from tests.helpers import tiny_templates as templates
from tests.helpers.tiny_parts import (
    QWEN3_VISION,
    QWEN_STOPS,
    QWEN_TOKENS,
    TEXT,
    VISION,
    VISION_TOKENS,
    Tiny,
    ids,
    qwen3_processor,
    qwen3_rope,
    square,
    text_config,
    vision_ids,
)

THINK_TOKENS = ("<think>", "</think>")
LINEAR = {  # of Qwen3.5's layers with linear attention
    "linear_key_head_dim": 128,  # which vLLM has on CPUs
    "linear_value_head_dim": 128,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "layer_types": ["linear_attention", "full_attention"],
}
EXPERTS = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 32,
}


def _qwen3_5_text(tokenizer: Any, kind: str, **other: Any) -> dict[str, Any]:
    rope = {**qwen3_rope(), "partial_rotary_factor": 1.0}
    return text_config(tokenizer, kind, rope_parameters=rope, **LINEAR, **other)


def _qwen3_5(tokenizer: Any, template: str) -> tuple[Any, Any]:
    import transformers as t

    config = t.Qwen3_5Config(
        text_config=_qwen3_5_text(tokenizer, "qwen3_5_text"),
        vision_config=QWEN3_VISION,
        dtype="float32",
        **vision_ids(tokenizer),
    )
    return qwen3_processor(tokenizer, template), t.Qwen3_5ForConditionalGeneration(config)


def _qwen3_5_moe(tokenizer: Any, template: str) -> tuple[Any, Any]:
    import transformers as t

    config = t.Qwen3_5MoeConfig(
        text_config=_qwen3_5_text(tokenizer, "qwen3_5_moe_text", **EXPERTS),
        vision_config=QWEN3_VISION,
        dtype="float32",
        **vision_ids(tokenizer),
    )
    return qwen3_processor(tokenizer, template), t.Qwen3_5MoeForConditionalGeneration(config)


def _cosmos3(tokenizer: Any, template: str) -> tuple[Any, Any]:
    import transformers as t

    config = t.Cosmos3OmniConfig(
        text_config=text_config(tokenizer, "qwen3_vl_text", rope_parameters=qwen3_rope()),
        vision_config={**QWEN3_VISION, "deepstack_visual_indexes": [0, 1]},
        dtype="float32",
        **vision_ids(tokenizer),
    )
    return qwen3_processor(tokenizer, template), t.Cosmos3OmniForConditionalGeneration(config)


def _gemma4(tokenizer: Any, template: str) -> tuple[Any, Any]:
    import transformers as t

    processor = t.Gemma4Processor(
        t.Gemma4AudioFeatureExtractor(),
        t.Gemma4ImageProcessor(),
        tokenizer,
        t.Gemma4VideoProcessor(),
        chat_template=template,
    )
    config = t.Gemma4Config(
        text_config=text_config(
            tokenizer,
            "gemma4_text",
            layer_types=["sliding_attention", "full_attention"],
            global_head_dim=32,
            vocab_size_per_layer_input=len(tokenizer),
            hidden_size_per_layer_input=16,
        ),
        vision_config={
            "model_type": "gemma4_vision",
            **{name: TEXT[name] for name in ("hidden_size", "intermediate_size", "num_hidden_layers")},
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 32,
            "initializer_range": 0.1,
            "default_output_length": 280,  # which vLLM reads
        },
        dtype="float32",
        **ids(
            tokenizer,
            boi_token_id="<|image>",
            eoi_token_id="<image|>",
            image_token_id="<|image|>",
            video_token_id="<|video|>",
        ),
    )
    return processor, t.Gemma4ForConditionalGeneration(config)


def _glm4v(tokenizer: Any, template: str) -> tuple[Any, Any]:
    import transformers as t

    pixels = {"shortest_edge": 4 * 28 * 28, "longest_edge": 64 * 28 * 28}
    processor = t.Glm46VProcessor(
        t.Glm46VImageProcessor(size=dict(pixels)),
        tokenizer,
        t.Glm46VVideoProcessor(size=dict(pixels)),
        chat_template=template,
    )
    rope = {
        "rope_type": "default",
        "rope_theta": 1e4,
        "mrope_section": [2, 3, 3],
        "partial_rotary_factor": 0.5,
    }
    config = t.Glm4vConfig(
        text_config=text_config(tokenizer, "glm4v_text", rope_parameters=rope),
        vision_config={
            "depth": 2,
            "hidden_size": 64,
            "out_hidden_size": 64,
            "intermediate_size": 128,
            "num_heads": 2,
            "image_size": 112,
            "initializer_range": 0.1,
        },
        dtype="float32",
        **ids(
            tokenizer,
            image_token_id="<|image|>",
            video_token_id="<|video|>",
            image_start_token_id="<|begin_of_image|>",
            image_end_token_id="<|end_of_image|>",
            video_start_token_id="<|begin_of_video|>",
            video_end_token_id="<|end_of_video|>",
        ),
    )
    return processor, t.Glm4vForConditionalGeneration(config)


def _minicpm(tokenizer: Any, template: str) -> tuple[Any, Any]:
    import transformers as t

    processor = t.MiniCPMV4_6Processor(
        t.MiniCPMV4_6ImageProcessor(scale_resolution=112),
        t.MiniCPMV4_6VideoProcessor(scale_resolution=112),
        tokenizer,
        chat_template=template,
    )
    config = t.MiniCPMV4_6Config(
        text_config=_qwen3_5_text(tokenizer, "qwen3_5_text"),
        vision_config={**VISION, "image_size": 112, "model_type": "minicpmv4_6_vision"},
        insert_layer_id=1,
        image_size=112,
        dtype="float32",
        **ids(tokenizer, image_token_id="<|image_pad|>", video_token_id="<|video_pad|>"),
    )
    return processor, t.MiniCPMV4_6ForConditionalGeneration(config)


def _molmo2(tokenizer: Any, template: str) -> tuple[Any, Any]:
    import transformers as t

    side = 42  # three patches of 14 pixels: one pooled token a frame
    processor = t.Molmo2Processor(
        t.Molmo2ImageProcessor(size=square(side)),
        t.Molmo2VideoProcessor(size=square(side), do_rescale=True, do_normalize=True),
        tokenizer,
        chat_template=template,
    )
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 32}
    config = t.Molmo2Config(
        text_config=text_config(tokenizer, "molmo2_text", additional_vocab_size=0),
        vision_config={**VISION, **heads, "image_size": [side, side]},
        adapter_config={
            "vision_feature_layer": [2, 1],
            "hidden_size": 64,
            **heads,
            "intermediate_size": 128,
            "text_hidden_size": 64,
        },
        dtype="float32",
        **ids(
            tokenizer,
            image_start_token_id="<im_start>",
            low_res_image_start_token_id="<low_res_im_start>",
            image_end_token_id="<im_end>",
            image_patch_id="<im_patch>",
            frame_start_token_id="<frame_start>",
            frame_end_token_id="<frame_end>",
        ),
    )
    return processor, t.Molmo2ForConditionalGeneration(config)


QWEN3_5 = Tiny(QWEN_STOPS, (*QWEN_TOKENS, *VISION_TOKENS, *THINK_TOKENS), templates.QWEN_THINKS, _qwen3_5)
NEWER = {
    "qwen3.5": QWEN3_5,
    "qwen3.6": Tiny(QWEN3_5.named, QWEN3_5.others, QWEN3_5.template, _qwen3_5_moe),
    "qwen3.8": QWEN3_5,
    "cosmos3": Tiny(QWEN_STOPS, (*QWEN_TOKENS, *VISION_TOKENS), templates.QWEN, _cosmos3),
    "gemma-4": Tiny(
        {
            "pad_token": "<pad>",
            "eos_token": "<turn|>",
            "bos_token": "<bos>",
            "unk_token": "<unk>",
            "boi_token": "<|image>",
            "eoi_token": "<image|>",
            "image_token": "<|image|>",
            "audio_token": "<|audio|>",
            "boa_token": "<|audio>",
            "eoa_token": "<audio|>",
        },
        ("<eos>", "<|turn>", "<|video|>", "<|think|>", "<|channel>", "<channel|>"),
        templates.GEMMA_4,
        _gemma4,
    ),
    "glm-4.6v-flash": Tiny(
        {"pad_token": "<|endoftext|>", "eos_token": "<|user|>"},
        (
            *("[gMASK]", "<sop>", "<|system|>", "<|assistant|>", *THINK_TOKENS, "<|image|>", "<|video|>"),
            *("<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>"),
        ),
        templates.GLM,
        _glm4v,
    ),
    "minicpm-v-4.6": Tiny(
        {
            **QWEN_STOPS,
            "image_token": "<|image_pad|>",
            "video_token": "<|video_pad|>",
            "image_start_token": "<image>",
            "image_end_token": "</image>",
            "slice_start_token": "<slice>",
            "slice_end_token": "</slice>",
            "image_id_start_token": "<image_id>",
            "image_id_end_token": "</image_id>",
        },
        QWEN_TOKENS,
        templates.MINICPM,
        _minicpm,
    ),
    "molmo2": Tiny(
        QWEN_STOPS,
        (
            *(*QWEN_TOKENS, "<|image|>", "<|video|>", "<im_patch>", "<im_col>", "<im_start>", "<im_end>"),
            *("<low_res_im_start>", "<frame_start>", "<frame_end>", "<im_low>"),
        ),
        templates.MOLMO,
        _molmo2,
    ),
}
