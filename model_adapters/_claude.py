"""What the models of Anthropic share."""

from microg_bench.adapters.base import Adapter
from microg_bench.records import Generation, Thinking


class Claude(Adapter):
    """Claude from Opus 4.7 on, which thinks as much as it finds right."""

    frames = 16
    engines = ("anthropic",)
    # What it thinks before it answers counts, too.
    generation = {"caption": Generation(max_tokens=4096), "vqa": Generation(max_tokens=4096)}
    thinking = Thinking(
        switches={
            "anthropic": {
                "off": {"thinking": "disabled"},
                "low": {"thinking": "adaptive", "display": "summarized", "effort": "low"},
                "medium": {"thinking": "adaptive", "display": "summarized", "effort": "medium"},
                "high": {"thinking": "adaptive", "display": "summarized", "effort": "high"},
            }
        }
    )
    licence = "proprietary; Anthropic's terms of use"
    memory = "none here"
    note = "its thoughts are billed as output; no price is listed: give one with --prices"
