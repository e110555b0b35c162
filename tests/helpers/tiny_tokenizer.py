"""The tokenizers of the tiny models, and what makes their greedy text readable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.helpers.tiny_parts import CONTEXT
from tests.helpers.tiny_qwen import CORPUS


def make_tokenizer(named: dict[str, str], others: Sequence[str] = ()) -> Any:
    """A byte-level BPE with `named` tokens (``bos_token`` then begins every text) and `others`."""
    from tokenizers import ByteLevelBPETokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    trained = ByteLevelBPETokenizer()
    special = list(dict.fromkeys([*named.values(), *others]))
    trained.train_from_iterator(
        CORPUS, vocab_size=600, min_frequency=1, show_progress=False, special_tokens=special
    )
    if "bos_token" in named:
        bos = named["bos_token"]
        trained._tokenizer.post_processor = TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, trained.token_to_id(bos))]
        )
    common = ("bos_token", "eos_token", "unk_token", "pad_token")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=trained._tokenizer,
        model_max_length=CONTEXT,
        extra_special_tokens={key: token for key, token in named.items() if key not in common},
        **{key: token for key, token in named.items() if key in common},
    )
    tokenizer.add_special_tokens({"additional_special_tokens": special}, replace_extra_special_tokens=False)
    return tokenizer


def silence(model: Any, tokenizer: Any) -> None:
    """Give all tokens but printable ASCII the logit 0, so that greedy text is never empty or torn."""
    import torch

    special = set(tokenizer.all_special_ids)
    texts = [tokenizer.decode([token]) for token in range(len(tokenizer))]
    spoken = [
        text.isascii() and text.isprintable() and bool(text) and token not in special
        for token, text in enumerate(texts)
    ]
    with torch.no_grad():
        model.get_output_embeddings().weight[: len(texts)][~torch.tensor(spoken)] = 0.0


def generation(tokenizer: Any) -> Any:
    from transformers import GenerationConfig

    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    # As in published checkpoints, whose own settings must not leak into a run.
    return GenerationConfig(
        do_sample=True,
        temperature=0.7,
        repetition_penalty=1.05,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=pad,
    )
