"""Tiny random checkpoints of the architectures that the adapters name, built in seconds without a network.

Each has the real configuration class, processor, special tokens and chat template of its model, and a few
hundred thousand random weights; what it writes is gibberish. `python -m tests.helpers.tiny_models NAME DIR`
writes one.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from microg_bench.torchvision_repair import ensure_torchvision
from tests.helpers.tiny_newer import NEWER
from tests.helpers.tiny_own import OWN
from tests.helpers.tiny_parts import TINY, Tiny
from tests.helpers.tiny_tokenizer import generation, make_tokenizer, silence


def build_tiny(name: str, folder: Path, seed: int = 0) -> Path:
    """Write the checkpoint of the model that the adapter `name` names into `folder`, and return it."""
    ensure_torchvision()
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name in OWN:
            OWN[name](folder)
        else:
            _write({**TINY, **NEWER}[name], folder)
    return folder


def _write(tiny: Tiny, folder: Path) -> None:
    tokenizer = make_tokenizer(tiny.named, tiny.others)
    processor, model = tiny.parts(tokenizer, tiny.template)
    silence(model, tokenizer)
    model.generation_config = generation(tokenizer)
    processor.save_pretrained(folder)
    for part in ("image_processor", "video_processor"):
        # The published checkpoints carry a file for each part; newer versions of transformers write only one.
        if getattr(processor, part, None) is not None:
            getattr(processor, part).save_pretrained(folder)
    model.save_pretrained(folder)
    _publish(folder / "model.safetensors")


def _publish(weights: Path) -> None:
    """Name the weights of CLIP and SigLIP towers as published checkpoints do; newer transformers do not."""
    from safetensors.torch import load_file, save_file

    tower = re.compile(r"^((?:vision|video|image)_tower)\.(?=embeddings|encoder|post_layernorm|pre_layrnorm)")
    tensors = load_file(weights)
    if "vision_tower.embeddings.cls_token" not in tensors:  # InternVL's own tower
        tensors = {tower.sub(r"\1.vision_model.", name): tensor for name, tensor in tensors.items()}
    save_file(tensors, weights, metadata={"format": "pt"})


if __name__ == "__main__":
    build_tiny(sys.argv[1], Path(sys.argv[2]))
