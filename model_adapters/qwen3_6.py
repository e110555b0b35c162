"""Qwen3.6, which the paper does not test.

All settings are ours: 16 frames, the harness's default prompts, uniform sampling, and no thoughts. The model
is told the time of every pair of frames, which comes from the true frame rate of the clip.

The pixels are those that transformers 5.24 takes by itself; the checkpoint's own files could not be read
here.
"""

from model_adapters._qwen3_5 import LinearQwen


class Qwen36(LinearQwen):
    """Qwen3.6-35B-A3B, a mixture of experts; it takes the frames as one video, each pair behind its time."""

    name = "qwen3.6"
    title = "Qwen3.6"
    checkpoint = "Qwen/Qwen3.6-35B-A3B"
    revision = "995ad96eacd98c81ed38be0c5b274b04031597b0"
    architecture = "Qwen3_5MoeForConditionalGeneration"
    memory = "35.11 billion parameters × 2 bytes = 70.2 GB in bfloat16, plus the KV cache"
