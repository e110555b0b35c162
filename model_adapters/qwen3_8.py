"""Qwen3.8, which the paper does not test.

All settings are ours: 16 frames, the harness's default prompts, uniform sampling, and no thoughts. The model
is told the time of every pair of frames, which comes from the true frame rate of the clip.

The pixels are those that transformers 5.24 takes by itself; the checkpoint's own files could not be read
here.
"""

from model_adapters._qwen3_5 import LinearQwen


class Qwen38(LinearQwen):
    """Qwen3.8-27B; it takes the frames as one video, each pair behind its time."""

    name = "qwen3.8"
    title = "Qwen3.8"
    checkpoint = "Qwen/Qwen3.8-27B"
    revision = "1d4bf0f2ff6012fd82039f2fa52739d0dd7c60c0"
    architecture = "Qwen3_5ForConditionalGeneration"
    memory = "27.36 billion parameters × 2 bytes = 54.7 GB in bfloat16, plus the KV cache"
