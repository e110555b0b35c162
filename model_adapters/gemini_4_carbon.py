"""Gemini 4 Carbon, which the paper does not test.

All settings are ours: the frames of the paper's Gemini 1.5 Pro, the harness's default prompts and uniform
sampling.
"""

from microg_bench.adapters.base import Adapter
from microg_bench.records import Generation, Thinking


class Gemini4Carbon(Adapter):
    """Gemini 4 Carbon behind its vendor's interface; each frame travels as a JPEG image."""

    name = "gemini-4-carbon"
    title = "Gemini 4 Carbon"
    checkpoint = "gemini-4-carbon"
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
