"""Gemma 4, which the paper does not test.

All settings are ours: 16 frames, the harness's default prompts, uniform sampling, and no thoughts. The model
takes the frames as one video, each behind its time in minutes and seconds.

The number of tokens a frame is the one that transformers 5.24 takes by itself; the checkpoint's own files
could not be read here.
"""

from microg_bench.adapters.base import Adapter
from microg_bench.records import Thinking, template_switches


class Gemma4(Adapter):
    """Gemma-4-E4B-it: at most 70 tokens for each frame."""

    name = "gemma-4"
    title = "Gemma 4"
    checkpoint = "google/gemma-4-E4B-it"
    revision = "ee0ef6023621cff504d758262d4e04895a5af4a2"
    architecture = "Gemma4ForConditionalGeneration"
    frames = 16
    processor_args = {"videos.max_soft_tokens": 70, "images.max_soft_tokens": 280}
    engines = ("vllm", "transformers", "server")
    thinking = Thinking(default="off", switches=template_switches())
    licence = "Apache-2.0"
    memory = "about 16 GB in bfloat16 by the size of its files, plus the KV cache"
    note = "--checkpoint google/gemma-4-31B-it asks the largest of its family"
