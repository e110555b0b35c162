"""Qwen2.5-VL, as in the paper's Tables 3 and 4 (9 frames).

The paper names the model and the number of frames; it publishes neither prompts nor the way frames were
sampled, so the harness's default prompts and uniform sampling are assumptions of ours.

The pixels of a picture are those of the checkpoint's `preprocessor_config.json`, which holds for videos, too.
No cap is put on the pixels of a whole video, which is what transformers did up to 5.24.
"""

from microg_bench.adapters.base import Adapter


class Qwen25VL(Adapter):
    """Qwen2.5-VL-7B-Instruct; its processor takes the frames as one video with their true frame rate."""

    name = "qwen2.5-vl"
    title = "Qwen2.5-VL"
    checkpoint = "Qwen/Qwen2.5-VL-7B-Instruct"
    revision = "cc594898137f460bfe9f0759e9844b3ce807cfb5"
    architecture = "Qwen2_5_VLForConditionalGeneration"
    frames = 9
    processor_args = {
        "images.size": {"shortest_edge": 3136, "longest_edge": 12845056},
        "videos.size": {"shortest_edge": 3136, "longest_edge": 12845056},  # of a frame
        "videos.cap_pixels_per_frame": False,
    }
    engines = ("vllm", "transformers", "server")
    licence = "Apache-2.0"
    memory = "8.29 billion parameters × 2 bytes = 16.6 GB in bfloat16, plus the KV cache"
