"""LLaVA-OneVision, which the paper does not test.

All settings are ours: 16 frames, the harness's default prompts and uniform sampling.

The size of a frame is that of the checkpoint's file for videos, which its vision tower takes.
"""

from microg_bench.adapters.base import Adapter


class LlavaOnevision(Adapter):
    """LLaVA-OneVision-Qwen2-7B: SigLIP features of each frame, scaled down, before a Qwen2."""

    name = "llava-onevision"
    title = "LLaVA-OneVision"
    checkpoint = "llava-hf/llava-onevision-qwen2-7b-ov-hf"
    revision = "0d50680527681998e456c7b78950205bedd8a068"
    architecture = "LlavaOnevisionForConditionalGeneration"
    frames = 16
    processor_args = {"videos.size": {"height": 384, "width": 384}}
    engines = ("vllm", "transformers", "server")
    licence = "Apache-2.0"
    memory = "8.03 billion parameters × 2 bytes = 16.1 GB in bfloat16, plus the KV cache"
