"""What the models of Google share whose thinking is set by levels."""

from microg_bench.adapters.base import Adapter
from microg_bench.records import Generation, Thinking


class LevelGemini(Adapter):
    """Gemini that thinks at a level, and cannot be told not to think."""

    frames = 16
    engines = ("gemini",)
    # What it thinks before it answers counts, too.
    generation = {"caption": Generation(max_tokens=4096), "vqa": Generation(max_tokens=4096)}
    thinking = Thinking(
        switches={
            "gemini": {
                "low": {"thinking_level": "low", "include_thoughts": True},
                "medium": {"thinking_level": "medium", "include_thoughts": True},
                "high": {"thinking_level": "high", "include_thoughts": True},
            }
        }
    )
    licence = "proprietary; Google's terms of use"
    memory = "none here"
    note = "its thoughts are billed as output; no price is listed: give one with --prices"
