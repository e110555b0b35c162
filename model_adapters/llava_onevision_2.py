"""LLaVA-OneVision-2, which the paper does not test.

All settings are ours: 16 frames, the harness's default prompts and uniform sampling.

Its processor is code of the checkpoint, which could not be read here: that the frames reach it in order is
unproved.
"""

from microg_bench.adapters.base import Adapter


class LlavaOnevision2(Adapter):
    """LLaVA-OneVision-2-8B-Instruct, before a Qwen3."""

    name = "llava-onevision-2"
    title = "LLaVA-OneVision-2"
    checkpoint = "lmms-lab-encoder/LLaVA-OneVision-2-8B-Instruct"
    architecture = "LlavaOnevision2ForConditionalGeneration"
    frames = 16
    engines = ("vllm", "server")
    licence = "stated on its page"
    memory = "about 16 GB in bfloat16 for 8 billion parameters, plus the KV cache"
    note = (
        "unproved: no test has run its processor; it needs --trust-remote-code, and its commit is not pinned"
    )
