"""Tiny language models that read only text, built in seconds without a network; what they write is gibberish.

`python -m tests.helpers.tiny_text NAME DIR` writes one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from microg_bench.torchvision_repair import ensure_torchvision
from tests.helpers.tiny_parts import LLAMA_STOPS, QWEN_STOPS, QWEN_TOKENS, TEXT
from tests.helpers.tiny_tokenizer import generation, make_tokenizer, silence

# As in published language models the content of a turn is one text.
CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
THINKING = CHATML.replace("assistant\\n' }}{% endif", "assistant\\n<think>\\n' }}{% endif")
INST = (
    "{{ bos_token }}{% for message in messages %}{{ '[' + message.role + '] ' + message.content + ' ' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}"
)
NAMED: dict[str, tuple[dict[str, str], tuple[str, ...], str]] = {
    "qwen3": (QWEN_STOPS, QWEN_TOKENS, CHATML),
    "qwen2": (QWEN_STOPS, QWEN_TOKENS, CHATML),
    "llama": ({**LLAMA_STOPS, "pad_token": "<pad>"}, (), INST),
}


def build_tiny_text(name: str, folder: Path, seed: int = 0, template: str = "") -> Path:
    """Write a language model of the architecture `name` into `folder`, and return it."""
    ensure_torchvision()
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()
    named, others, own = NAMED[name]
    tokenizer = make_tokenizer(named, others)
    tokenizer.chat_template = template or own
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _model(name, tokenizer)
    silence(model, tokenizer)
    model.generation_config = generation(tokenizer)
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


def _model(name: str, tokenizer: Any) -> Any:
    import transformers as t

    stops = {f"{one}_token_id": getattr(tokenizer, f"{one}_token_id") for one in ("bos", "eos", "pad")}
    settings = {
        "vocab_size": len(tokenizer),
        "dtype": "float32",
        "tie_word_embeddings": False,
        **TEXT,
        **stops,
    }
    if name == "qwen2":
        return t.Qwen2ForCausalLM(t.Qwen2Config(**settings))
    if name == "qwen3":
        return t.Qwen3ForCausalLM(t.Qwen3Config(**settings))
    return t.LlamaForCausalLM(t.LlamaConfig(**settings))


if __name__ == "__main__":
    build_tiny_text(sys.argv[1], Path(sys.argv[2]))
