"""Qwen3.5, which the paper does not test.

All settings are ours: 16 frames, the harness's default prompts, uniform sampling, and no thoughts. The model
is told the time of every pair of frames, which comes from the true frame rate of the clip.

The pixels are those that transformers 5.24 takes by itself; the checkpoint's own files could not be read
here.
"""

from model_adapters._qwen3_5 import LinearQwen


class Qwen35(LinearQwen):
    """Qwen3.5-9B: it takes the frames as one video, each pair behind its time."""

    name = "qwen3.5"
    title = "Qwen3.5"
    checkpoint = "Qwen/Qwen3.5-9B"
    revision = "c202236235762e1c871ad0ccb60c8ee5ba337b9a"
    architecture = "Qwen3_5ForConditionalGeneration"
    memory = "9.41 billion parameters × 2 bytes = 18.8 GB in bfloat16, plus the KV cache"
