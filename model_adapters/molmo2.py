"""Molmo2, which the paper does not test.

All settings are ours: 16 frames, the harness's default prompts and uniform sampling. The model is told the
time of every frame, which comes from the true frame rate of the clip.

The size of a frame is that of transformers 5.24, which is what the vision tower of the checkpoint takes.
"""

from microg_bench.adapters.base import Adapter


class Molmo2(Adapter):
    """Molmo2-4B: 81 tokens for each frame, behind its time, before a Qwen3."""

    name = "molmo2"
    title = "Molmo2"
    checkpoint = "allenai/Molmo2-4B"
    revision = "042abfa7a38879a376cec03d949eff0aefaa0600"
    architecture = "Molmo2ForConditionalGeneration"
    frames = 16
    processor_args = {"videos.size": {"height": 378, "width": 378}, "videos.pooling_size": [3, 3]}
    engines = ("vllm", "transformers", "server")
    licence = "Apache-2.0"
    memory = "about 8 GB in bfloat16 for 4 billion parameters, as its name counts them, plus the KV cache"
    unproved = "the order of its frames with vllm"
