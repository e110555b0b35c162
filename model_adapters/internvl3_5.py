"""InternVL3.5, which the paper does not test.

All settings are ours: 16 frames, the harness's default prompts and uniform sampling. The checkpoint is the
one with classes in transformers (`-HF`); it runs no code of its own.

The size of a frame is the one of which 256 tokens are made: 32 × 32 patches of 14 pixels, four to a token.
"""

from microg_bench.adapters.base import Adapter


class InternVL35(Adapter):
    """InternVL3.5-8B: a numbered line with 256 tokens for every frame, before a Qwen3."""

    name = "internvl3.5"
    title = "InternVL3.5"
    checkpoint = "OpenGVLab/InternVL3_5-8B-HF"
    revision = "741a7d03020411e666c6109218ab71e08151ef86"
    architecture = "InternVLForConditionalGeneration"
    frames = 16
    processor_args = {"videos.size": {"height": 448, "width": 448}}
    engines = ("vllm", "transformers", "server")
    licence = "Apache-2.0"
    memory = "8.53 billion parameters × 2 bytes = 17.1 GB in bfloat16, plus the KV cache"
