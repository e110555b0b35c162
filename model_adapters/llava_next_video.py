"""LLaVA-NeXT-Video, as in the paper's Tables 3 and 4 under the name LLaVA-NeXT (8 frames).

Known from the paper: the family and the number of frames. Assumed: the 7B checkpoint for transformers, the
harness's default prompts (the paper publishes none) and uniform sampling.

The size of a frame is that of the checkpoint's `preprocessor_config.json`, which its vision tower takes.
"""

from microg_bench.adapters.base import Adapter


class LlavaNextVideo(Adapter):
    """LLaVA-NeXT-Video-7B: CLIP features of each frame, pooled by two, before a Vicuna."""

    name = "llava-next-video"
    title = "LLaVA-NeXT-Video"
    checkpoint = "llava-hf/LLaVA-NeXT-Video-7B-hf"
    revision = "e8502659e3d5a90124a1294331de3b1bc8a9d5d4"
    architecture = "LlavaNextVideoForConditionalGeneration"
    frames = 8
    processor_args = {
        "videos.size": {"shortest_edge": 336},
        "videos.crop_size": {"height": 336, "width": 336},
        "videos.do_center_crop": True,
    }
    engines = ("vllm", "transformers", "server")
    licence = "Llama 2 Community License"
    memory = "7.06 billion parameters × 2 bytes = 14.1 GB in bfloat16, plus the KV cache"
