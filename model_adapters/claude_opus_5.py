"""Claude Opus 5, which the paper does not test.

All settings are ours: the frames of the paper's Gemini 1.5 Pro, the harness's default prompts and uniform
sampling. The model takes no temperature.
"""

from microg_bench.adapters.base import Adapter
from microg_bench.records import Generation, Thinking


class ClaudeOpus5(Adapter):
    """Claude Opus 5 behind its vendor's interface; each frame travels as a JPEG image."""

    name = "claude-opus-5"
    title = "Claude Opus 5"
    checkpoint = "claude-opus-5"
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
