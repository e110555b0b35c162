"""A Qwen2.5-VL checkpoint of half a million random weights, built in seconds without a network.

Its architecture, processor, chat template and files are those of the real model, so that engines meet a
real checkpoint; what it writes is gibberish. `python -m tests.helpers.tiny_qwen DIR` writes one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from microg_bench.torchvision_repair import ensure_torchvision

CONTEXT = 2048
PAIR = 32  # tokens for two frames, at most

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)

CHAT_TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content -%}
{% if 'video' in part.type %}<|vision_start|><|video_pad|><|vision_end|>
{%- elif 'image' in part.type %}<|vision_start|><|image_pad|><|vision_end|>
{%- else %}{{ part.text }}{% endif %}
{%- endfor %}{% endif %}<|im_end|>
{% endfor -%}
{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

# A thinking model has these marks. Its template opens a thought, or writes an empty one to prevent it.
THOUGHT_TOKENS = ("<think>", "</think>")
THINKING_TEMPLATE = CHAT_TEMPLATE.replace(
    "assistant\n{% endif %}",
    """assistant
{% if enable_thinking is defined and not enable_thinking %}<think>

</think>

{% else %}<think>
{% endif %}{% endif %}""",
)

CORPUS = (
    "An astronaut floats through the cabin of the space station and holds on to a blue handrail.",
    "Two crew members in dark shirts talk to the camera while a microphone drifts between them.",
    "She catches a drop of water that hangs in the air, then turns a somersault and laughs.",
    "What is the man in the red shirt doing? He is fixing a cable behind the panel. Not mentioned.",
    "Describe the video: who is there, what do they do, and where in the module does it happen?",
)


def build_tiny_qwen(folder: Path, seed: int = 0, pair: int = PAIR, thinks: bool = False) -> Path:
    """Write the checkpoint into `folder` (made if absent) and return it; equal seeds give equal weights.

    Its processor makes at most `pair` tokens of two frames, by scaling them down. One that `thinks` has a
    chat template that opens a thought, and writes the mark that ends it now and then.
    """
    ensure_torchvision()
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(THOUGHT_TOKENS if thinks else ())
    _write_processor(folder, tokenizer, pair, THINKING_TEMPLATE if thinks else CHAT_TEMPLATE)
    _write_model(folder, tokenizer, seed)
    return folder


def _tokenizer(more: tuple[str, ...]) -> Any:
    from tokenizers import ByteLevelBPETokenizer
    from transformers import Qwen2Tokenizer

    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(CORPUS, vocab_size=600, min_frequency=1, show_progress=False)
    vocab = trained.get_vocab()
    merges = [tuple(merge) for merge in _merges(trained)]
    tokenizer = Qwen2Tokenizer(vocab=vocab, merges=merges, eos_token="<|im_end|>", model_max_length=CONTEXT)
    tokenizer.add_special_tokens({"additional_special_tokens": [*SPECIAL_TOKENS, *more]})
    return tokenizer


def _merges(trained: Any) -> list[list[str]]:
    merges: list[list[str]] = json.loads(trained._tokenizer.to_str())["model"]["merges"]
    return merges


def _write_processor(folder: Path, tokenizer: Any, pair: int, template: str) -> None:
    from transformers import Qwen2_5_VLProcessor, Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    pixels = {"shortest_edge": 4 * 28 * 28, "longest_edge": pair * 28 * 28}
    images = Qwen2VLImageProcessor(size=dict(pixels))
    videos = Qwen2VLVideoProcessor(size=dict(pixels))
    # The published checkpoints carry a file for each part; newer versions of transformers write only one.
    images.save_pretrained(folder)
    videos.save_pretrained(folder)
    Qwen2_5_VLProcessor(images, tokenizer, videos, chat_template=template).save_pretrained(folder)


def _write_model(folder: Path, tokenizer: Any, seed: int) -> None:
    import torch
    from transformers import GenerationConfig, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS}
    config = Qwen2_5_VLConfig(
        text_config=_text_config(len(tokenizer), ids),
        vision_config=_vision_config(),
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        initializer_range=0.1,
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2_5_VLForConditionalGeneration(config)
    _silence(model, tokenizer)
    _teach_to_end_thoughts(model, tokenizer)
    stops = {"eos_token_id": [ids["<|im_end|>"], ids["<|endoftext|>"]], "pad_token_id": ids["<|endoftext|>"]}
    # As in the published checkpoint, whose own settings must not leak into a run.
    model.generation_config = GenerationConfig(
        do_sample=True, temperature=1e-6, repetition_penalty=1.05, **stops
    )
    model.save_pretrained(folder)


def _text_config(vocab_size: int, ids: dict[str, int]) -> dict[str, Any]:
    return {
        "vocab_size": vocab_size,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
        "initializer_range": 0.1,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [4, 6, 6]},
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
    }


def _vision_config() -> dict[str, Any]:
    return {
        "depth": 2,
        "hidden_size": 64,
        "out_hidden_size": 64,
        "intermediate_size": 128,
        "num_heads": 2,
        "fullatt_block_indexes": [1],
        "tokens_per_second": 2,
        "initializer_range": 0.1,
    }


def _silence(model: Any, tokenizer: Any) -> None:
    """Give all tokens but printable ASCII the logit 0, so that greedy text is never empty or torn."""
    import torch

    texts = [tokenizer.decode([token]) for token in range(len(tokenizer))]
    spoken = [
        text.isascii() and text.isprintable() and text not in (*SPECIAL_TOKENS, *THOUGHT_TOKENS)
        for text in texts
    ]
    with torch.no_grad():
        model.lm_head.weight[~torch.tensor(spoken)] = 0.0


def _teach_to_end_thoughts(model: Any, tokenizer: Any) -> None:
    """Have the mark that ends a thought written wherever the letter "K" would be, if there is such a mark."""
    import torch

    if THOUGHT_TOKENS[1] in tokenizer.get_vocab():
        letter, mark = map(tokenizer.convert_tokens_to_ids, ("K", THOUGHT_TOKENS[1]))
        with torch.no_grad():
            model.lm_head.weight[mark] = 1.01 * model.lm_head.weight[letter]


if __name__ == "__main__":
    build_tiny_qwen(Path(sys.argv[1]))
