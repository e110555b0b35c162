"""GLM-4.6V-Flash, which the paper does not test.

All settings are ours: 16 frames, the harness's default prompts, uniform sampling, and no thoughts. The model
takes the frames in pairs, each pair before its time.

The pixels are those that transformers 5.24 takes by itself; the checkpoint's own files could not be read
here.
"""

import re

from microg_bench.adapters.base import Adapter
from microg_bench.records import Request, Thinking, template_switches

_BOX = re.compile(r"<\|(?:begin|end)_of_box\|>")


class Glm46VFlash(Adapter):
    """GLM-4.6V-Flash, of 9 billion parameters; it may write its answer in a box."""

    name = "glm-4.6v-flash"
    title = "GLM-4.6V-Flash"
    checkpoint = "zai-org/GLM-4.6V-Flash"
    revision = "411bb4d77144a3f03accbf4b780f5acb8b7cde4e"
    architecture = "Glm4vForConditionalGeneration"
    frames = 16
    processor_args = {
        "images.size": {"shortest_edge": 12544, "longest_edge": 9633792},
        "videos.size": {"shortest_edge": 12544, "longest_edge": 47040000},  # of all frames together
    }
    engines = ("vllm", "transformers", "server")
    thinking = Thinking(default="off", switches=template_switches())
    licence = "MIT"
    memory = "10.29 billion parameters × 2 bytes = 20.6 GB in bfloat16, plus the KV cache"

    def parse(self, request: Request, text: str) -> str:
        """The answer without the marks of its box."""
        return _BOX.sub("", text).strip()
