"""LLaVA-OneVision-2, which the paper does not test.

All settings are ours: 16 frames, the harness's default prompts and uniform sampling.

Its processor is code of the checkpoint, which could not be read here, so that no test has run it.
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
    note = "it needs --trust-remote-code; its commit is not pinned, since none could be found"
    unproved = "the order of its frames: its processor could not be built"
