"""Qwen3.6, which the paper does not test.

All settings are ours: 16 frames, the harness's default prompts, uniform sampling, and no thoughts. The model
is told the time of every pair of frames, which comes from the true frame rate of the clip.

The pixels are those that transformers 5.24 takes by itself; the checkpoint's own files could not be read
here.
"""

from microg_bench.adapters.base import Adapter
from microg_bench.records import Thinking, template_switches


class Qwen36(Adapter):
    """Qwen3.6-35B-A3B, a mixture of experts; it takes the frames as one video, each pair behind its time."""

    name = "qwen3.6"
    title = "Qwen3.6"
    checkpoint = "Qwen/Qwen3.6-35B-A3B"
    revision = "995ad96eacd98c81ed38be0c5b274b04031597b0"
    architecture = "Qwen3_5MoeForConditionalGeneration"
    frames = 16
    processor_args = {
        "images.size": {"shortest_edge": 65536, "longest_edge": 16777216},
        "videos.size": {"shortest_edge": 4096, "longest_edge": 25165824},  # of all frames together
        "videos.cap_pixels_per_frame": False,
    }
    engines = ("vllm", "transformers", "server")
    thinking = Thinking(default="off", switches=template_switches())
    licence = "Apache-2.0"
    memory = "35.11 billion parameters × 2 bytes = 70.2 GB in bfloat16, plus the KV cache"
