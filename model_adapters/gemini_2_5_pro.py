"""Gemini 2.5 Pro, which the paper does not test.

All settings are ours: the frames of the paper's Gemini 1.5 Pro, the harness's default prompts and uniform
sampling.
"""

from microg_bench.adapters.base import Adapter
from microg_bench.records import Generation, Thinking


class Gemini25Pro(Adapter):
    """Gemini 2.5 Pro behind its vendor's interface; each frame travels as a JPEG image."""

    name = "gemini-2.5-pro"
    title = "Gemini 2.5 Pro"
    checkpoint = "gemini-2.5-pro"
    frames = 16
    engines = ("gemini",)
    # What it thinks before it answers counts, too.
    generation = {"caption": Generation(max_tokens=4096), "vqa": Generation(max_tokens=4096)}
    # It cannot be told not to think. Levels are budgets in tokens, those by which its vendor reads OpenAI's;
    # an answer must have room beside the largest.
    thinking = Thinking(
        max_tokens=32_768,
        switches={
            "gemini": {
                "on": {"thinking_budget": -1, "include_thoughts": True},
                "low": {"thinking_budget": 1_024, "include_thoughts": True},
                "medium": {"thinking_budget": 8_192, "include_thoughts": True},
                "high": {"thinking_budget": 24_576, "include_thoughts": True},
            }
        },
    )
    licence = "proprietary; Google's terms of use"
    memory = "none here"
    note = "its thoughts are billed as output"
