"""Cosmos3, which the paper does not test. Of this model of the physical world only the reader is used.

All settings are ours: 16 frames, the harness's default prompts and uniform sampling. The model is told the
time of every pair of frames, which comes from the true frame rate of the clip.

The pixels are those that transformers 5.24 takes by itself; the checkpoint's own files could not be read
here. vLLM calls the class by another name, so that it is asked through `--serve` or a server.
"""

from microg_bench.adapters.base import Adapter


class Cosmos3(Adapter):
    """Cosmos3-Nano; its reader is a Qwen3-VL."""

    name = "cosmos3"
    title = "Cosmos3"
    checkpoint = "nvidia/Cosmos3-Nano"
    revision = "411f42a8fdfb8c5b2583cb8786e0938f49796eaa"
    architecture = "Cosmos3OmniForConditionalGeneration"
    frames = 16
    processor_args = {
        "images.size": {"shortest_edge": 65536, "longest_edge": 16777216},
        "videos.size": {"shortest_edge": 4096, "longest_edge": 25165824},  # of all frames together
        "videos.cap_pixels_per_frame": False,
    }
    engines = ("transformers", "server")
    licence = "OpenMDW-1.1"
    memory = "8.77 billion parameters × 2 bytes = 17.5 GB in bfloat16, plus the KV cache"
    note = "the files of its generator come with the checkpoint"
