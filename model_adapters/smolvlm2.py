"""SmolVLM2, which the paper does not test.

All settings are ours: 16 frames, the harness's default prompts and uniform sampling. The model is told the
length of the clip and the second of every frame.

A frame is scaled to the square of which 81 tokens are made: 27 × 27 patches of 14 pixels, nine to a token.
To which size it is scaled before that (`videos.size`) is left to the checkpoint's files.
"""

from microg_bench.adapters.base import Adapter


class SmolVLM2(Adapter):
    """SmolVLM2-2.2B-Instruct; vLLM has its class, but shows it still images only, not videos."""

    name = "smolvlm2"
    title = "SmolVLM2"
    checkpoint = "HuggingFaceTB/SmolVLM2-2.2B-Instruct"
    revision = "482adb537c021c86670beed01cd58990d01e72e4"
    architecture = "SmolVLMForConditionalGeneration"
    frames = 16
    processor_args = {"videos.max_image_size": {"longest_edge": 384}}
    engines = ("transformers",)
    licence = "Apache-2.0"
    memory = "2.25 billion parameters × 2 bytes = 4.5 GB in bfloat16, plus the KV cache"
    note = "its processor needs the package num2words"
