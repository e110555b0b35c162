"""GPT-6 Luna, which the paper does not test.

All settings are ours: the frames of the paper's GPT-4o, the harness's default prompts and uniform sampling.
"""

from microg_bench.adapters.base import Adapter
from microg_bench.records import Generation, Thinking


class Gpt6Luna(Adapter):
    """GPT-6 Luna behind its vendor's interface; each frame travels as a JPEG image."""

    name = "gpt-6-luna"
    title = "GPT-6 Luna"
    checkpoint = "gpt-6-luna"
    frames = 6
    engines = ("openai",)
    # What it thinks before it answers counts, too.
    generation = {"caption": Generation(max_tokens=4096), "vqa": Generation(max_tokens=4096)}
    thinking = Thinking(
        switches={
            "openai": {
                "off": {"reasoning_effort": "none"},
                "low": {"reasoning_effort": "low"},
                "medium": {"reasoning_effort": "medium"},
                "high": {"reasoning_effort": "high"},
            }
        }
    )
    licence = "proprietary; OpenAI's terms of use"
    memory = "none here"
    note = "asks whichever version its vendor serves under this name; its thoughts are billed as output"
