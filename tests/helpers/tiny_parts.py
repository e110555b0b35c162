"""The architectures of the tiny models: configuration, processor and special tokens of the real ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.helpers import tiny_templates as templates

CONTEXT = 2048
SIDE = 56  # pixels, of a square frame as the vision towers take it

TEXT = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": CONTEXT,
    "initializer_range": 0.1,
}
VISION = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": 14,
    "initializer_range": 0.1,
}
QWEN3_VISION = {
    "depth": 3,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_heads": 2,
    "out_hidden_size": 64,
    "num_position_embeddings": 64,
    "initializer_range": 0.1,
}

LLAMA_STOPS = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
QWEN_STOPS = {"pad_token": "<|endoftext|>", "eos_token": "<|im_end|>"}


@dataclass(frozen=True)
class Tiny:
    """One architecture: the tokens with a meaning by the names they go under, its template, its parts.

    `parts` makes the processor and the model from the tokenizer and the template.
    """

    named: dict[str, str]
    others: tuple[str, ...]
    template: str
    parts: Callable[[Any, str], tuple[Any, Any]]


def ids(tokenizer: Any, **tokens: str) -> dict[str, int]:
    return {name: tokenizer.convert_tokens_to_ids(token) for name, token in tokens.items()}


def text_config(tokenizer: Any, model_type: str, **other: Any) -> dict[str, Any]:
    stops = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    return {"model_type": model_type, "vocab_size": len(tokenizer), **TEXT, **stops, **other}


def square(side: int = SIDE) -> dict[str, Any]:
    return {"height": side, "width": side}


def _llava_next_video(tokenizer: Any, template: str) -> tuple[Any, Any]:
    import transformers as t

    side = 7  # of a patch: vLLM divides the picture's side by the square of it, and needs more than 0
    size = {"size": {"shortest_edge": SIDE}, "crop_size": square()}
    pinpoints = [[SIDE, 2 * SIDE], [2 * SIDE, SIDE], [2 * SIDE, 2 * SIDE]]
    processor = t.LlavaNextVideoProcessor(
        t.LlavaNextVideoVideoProcessor(**size),
        t.LlavaNextImageProcessor(image_grid_pinpoints=pinpoints, **size),
        tokenizer,
        chat_template=template,
        patch_size=side,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    config = t.LlavaNextVideoConfig(
        text_config=text_config(tokenizer, "llama"),
        vision_config={"model_type": "clip_vision_model", "projection_dim": 64, **VISION, "patch_size": side},
        image_grid_pinpoints=pinpoints,
        image_seq_length=64,
        video_seq_length=16,
        dtype="float32",
        **ids(tokenizer, image_token_index="<image>", video_token_index="<video>"),
    )
    return processor, t.LlavaNextVideoForConditionalGeneration(config)


def _video_llava(tokenizer: Any, template: str) -> tuple[Any, Any]:
    import transformers as t

    size = {"size": {"shortest_edge": SIDE}, "crop_size": square()}
    processor = t.VideoLlavaProcessor(
        t.VideoLlavaImageProcessor(**size),
        t.VideoLlavaVideoProcessor(**size),
        tokenizer,
        chat_template=template,
        patch_size=VISION["patch_size"],
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    config = t.VideoLlavaConfig(
        text_config=text_config(tokenizer, "llama"),
        vision_config={"model_type": "clip_vision_model", "projection_dim": 64, **VISION},
        image_seq_length=16,
        video_seq_length=8 * 17,
        dtype="float32",
        **ids(tokenizer, image_token_index="<image>", video_token_index="<video>"),
    )
    return processor, t.VideoLlavaForConditionalGeneration(config)


def _llava_onevision(tokenizer: Any, template: str) -> tuple[Any, Any]:
    import transformers as t

    pinpoints = [[SIDE, SIDE], [SIDE, 2 * SIDE], [2 * SIDE, SIDE], [2 * SIDE, 2 * SIDE]]
    processor = t.LlavaOnevisionProcessor(
        t.LlavaOnevisionImageProcessor(size=square(), image_grid_pinpoints=pinpoints),
        tokenizer,
        t.LlavaOnevisionVideoProcessor(size=square()),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=template,
    )
    config = t.LlavaOnevisionConfig(
        text_config=text_config(tokenizer, "qwen2"),
        vision_config={"model_type": "siglip_vision_model", "vision_use_head": False, **VISION},
        image_grid_pinpoints=pinpoints,
        dtype="float32",
        **ids(tokenizer, image_token_index="<image>", video_token_index="<video>"),
    )
    return processor, t.LlavaOnevisionForConditionalGeneration(config)


def qwen3_processor(tokenizer: Any, template: str) -> Any:
    import transformers as t

    pixels = {"shortest_edge": 4 * 32 * 32, "longest_edge": 32 * 32 * 32}
    options = {"patch_size": 16, "temporal_patch_size": 2, "merge_size": 2}
    return t.Qwen3VLProcessor(
        t.Qwen2VLImageProcessor(size=dict(pixels), **options),
        tokenizer,
        t.Qwen3VLVideoProcessor(size=dict(pixels), **options),
        chat_template=template,
    )


def qwen3_rope() -> dict[str, Any]:
    return {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [6, 5, 5], "mrope_interleaved": True}


def vision_ids(tokenizer: Any) -> dict[str, int]:
    return ids(
        tokenizer,
        image_token_id="<|image_pad|>",
        video_token_id="<|video_pad|>",
        vision_start_token_id="<|vision_start|>",
        vision_end_token_id="<|vision_end|>",
    )


def _qwen3_vl(tokenizer: Any, template: str) -> tuple[Any, Any]:
    import transformers as t

    config = t.Qwen3VLConfig(
        text_config=text_config(tokenizer, "qwen3_vl_text", rope_parameters=qwen3_rope()),
        vision_config={**QWEN3_VISION, "deepstack_visual_indexes": [0, 1]},
        dtype="float32",
        **vision_ids(tokenizer),
    )
    return qwen3_processor(tokenizer, template), t.Qwen3VLForConditionalGeneration(config)


def _smolvlm2(tokenizer: Any, template: str) -> tuple[Any, Any]:
    import transformers as t

    edge, longest = {"longest_edge": SIDE}, {"longest_edge": 2 * SIDE}
    processor = t.SmolVLMProcessor(
        t.SmolVLMImageProcessor(size=longest, max_image_size=edge),
        tokenizer,
        t.SmolVLMVideoProcessor(
            size=longest,
            max_image_size=edge,
            video_sampling={"fps": 1, "max_frames": 64, "video_size": longest},
        ),
        image_seq_len=4,
        chat_template=template,
    )
    config = t.SmolVLMConfig(
        text_config=text_config(tokenizer, "llama"),
        vision_config={"model_type": "smolvlm_vision", **VISION},
        scale_factor=2,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
        **ids(tokenizer, image_token_id="<image>"),
    )
    return processor, t.SmolVLMForConditionalGeneration(config)


def _gemma3(tokenizer: Any, template: str) -> tuple[Any, Any]:
    import transformers as t

    processor = t.Gemma3Processor(
        t.Gemma3ImageProcessor(size=square()), tokenizer, chat_template=template, image_seq_length=4
    )
    config = t.Gemma3Config(
        text_config=text_config(tokenizer, "gemma3_text", sliding_window=512, query_pre_attn_scalar=32),
        vision_config={"model_type": "siglip_vision_model", "vision_use_head": False, **VISION},
        mm_tokens_per_image=4,
        dtype="float32",
        **ids(
            tokenizer,
            boi_token_index="<start_of_image>",
            eoi_token_index="<end_of_image>",
            image_token_index="<image_soft_token>",
        ),
    )
    return processor, t.Gemma3ForConditionalGeneration(config)


def _internvl(tokenizer: Any, template: str) -> tuple[Any, Any]:
    import transformers as t

    processor = t.InternVLProcessor(
        t.GotOcr2ImageProcessor(size=square(), crop_to_patches=True, max_patches=4),
        tokenizer,
        t.InternVLVideoProcessor(size=square()),
        image_seq_length=4,
        chat_template=template,
    )
    config = t.InternVLConfig(
        text_config=text_config(tokenizer, "qwen3"),
        vision_config={
            "model_type": "internvl_vision",
            **VISION,
            "image_size": [SIDE, SIDE],
            "patch_size": [14, 14],
            "attention_bias": True,
            "use_mean_pooling": True,
        },
        image_seq_length=4,
        tie_word_embeddings=False,
        dtype="float32",
        **ids(tokenizer, image_token_id="<IMG_CONTEXT>"),
    )
    return processor, t.InternVLForConditionalGeneration(config)


LLAVA_TOKENS = {**LLAMA_STOPS, "pad_token": "<pad>", "image_token": "<image>", "video_token": "<video>"}
QWEN_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
VISION_TOKENS = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
TINY = {
    "llava-next-video": Tiny(LLAVA_TOKENS, (), templates.VICUNA, _llava_next_video),
    "video-llava": Tiny(LLAVA_TOKENS, (), templates.VICUNA, _video_llava),
    "llava-onevision": Tiny(
        {**QWEN_STOPS, "image_token": "<image>", "video_token": "<video>"},
        QWEN_TOKENS,
        templates.ONEVISION,
        _llava_onevision,
    ),
    "qwen3-vl": Tiny(
        QWEN_STOPS,
        (*QWEN_TOKENS, *VISION_TOKENS),
        templates.QWEN,
        _qwen3_vl,
    ),
    "smolvlm2": Tiny(
        {
            "bos_token": "<|im_start|>",
            "eos_token": "<end_of_utterance>",
            "pad_token": "<|im_end|>",
            "image_token": "<image>",
            "video_token": "<video>",
            "global_image_token": "<global-img>",
            "fake_image_token": "<fake_token_around_image>",
        },
        (),
        templates.SMOL,
        _smolvlm2,
    ),
    "gemma-3": Tiny(
        {
            "pad_token": "<pad>",
            "eos_token": "<end_of_turn>",
            "bos_token": "<bos>",
            "unk_token": "<unk>",
            "boi_token": "<start_of_image>",
            "eoi_token": "<end_of_image>",
            "image_token": "<image_soft_token>",
        },
        ("<eos>", "<start_of_turn>", "\n", "\n\n", "\n\n\n", "\n\n\n\n"),
        templates.GEMMA,
        _gemma3,
    ),
    "internvl3.5": Tiny(
        {
            **QWEN_STOPS,
            "start_image_token": "<img>",
            "end_image_token": "</img>",
            "context_image_token": "<IMG_CONTEXT>",
            "video_token": "<video>",
        },
        QWEN_TOKENS,
        templates.INTERN,
        _internvl,
    ),
}
