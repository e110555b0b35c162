"""What the models of OpenAI from GPT-6 on share."""

from microg_bench.adapters.base import Adapter
from microg_bench.records import Generation, Thinking


class Gpt6(Adapter):
    """GPT-6, whose effort of thinking can be set."""

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
