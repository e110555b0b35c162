"""MiniCPM-V 4.6, which the paper does not test.

All settings are ours: 16 frames, the harness's default prompts and uniform sampling. Each frame is shown
whole: it is not cut into slices, and no frames are stacked on one picture.
"""

from microg_bench.adapters.base import Adapter


class MiniCpmV46(Adapter):
    """MiniCPM-V-4.6: at most 64 tokens for each frame, before the language model of Qwen3.5-0.8B."""

    name = "minicpm-v-4.6"
    title = "MiniCPM-V 4.6"
    checkpoint = "openbmb/MiniCPM-V-4.6"
    revision = "8169864629825dc1d755a5aa1cd8b5935dcbc83f"
    architecture = "MiniCPMV4_6ForConditionalGeneration"
    frames = 16
    processor_args = {
        "videos.max_slice_nums": 1,
        "videos.stack_frames": 1,
        "videos.scale_resolution": 448,
        "videos.downsample_mode": "16x",
    }
    engines = ("vllm", "transformers", "server")
    licence = "Apache-2.0"
    memory = (
        "about 2.6 GB in bfloat16 for 1.3 billion parameters, as its publisher counts them, plus the KV cache"
    )
    note = "its variant that thinks is a checkpoint of its own, MiniCPM-V-4.6-Thinking"
