"""Qwen3-VL, which the paper does not test.

All settings are ours: 16 frames, the harness's default prompts and uniform sampling. The model is told the
time of every pair of frames, which comes from the true frame rate of the clip.

The pixels are those of the checkpoint's `preprocessor_config.json` and `video_preprocessor_config.json`. No
cap is put on those of a single frame, which is what transformers did up to 5.24.
"""

from microg_bench.adapters.base import Adapter


class Qwen3VL(Adapter):
    """Qwen3-VL-8B-Instruct; it takes the frames as one video, each pair behind its time."""

    name = "qwen3-vl"
    title = "Qwen3-VL"
    checkpoint = "Qwen/Qwen3-VL-8B-Instruct"
    revision = "0c351dd01ed87e9c1b53cbc748cba10e6187ff3b"
    architecture = "Qwen3VLForConditionalGeneration"
    frames = 16
    processor_args = {
        "images.size": {"shortest_edge": 65536, "longest_edge": 16777216},
        "videos.size": {"shortest_edge": 4096, "longest_edge": 25165824},  # of all frames together
        "videos.cap_pixels_per_frame": False,
    }
    engines = ("vllm", "transformers", "server")
    licence = "Apache-2.0"
    memory = "8.77 billion parameters × 2 bytes = 17.5 GB in bfloat16, plus the KV cache"
