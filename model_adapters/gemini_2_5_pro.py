"""Gemini 2.5 Pro, which the paper does not test.

All settings are ours: the frames of the paper's Gemini 1.5 Pro, the harness's default prompts and uniform
sampling.
"""

from microg_bench.adapters.base import Adapter
from microg_bench.records import Generation


class Gemini25Pro(Adapter):
    """Gemini 2.5 Pro behind its vendor's interface; each frame travels as a JPEG image."""

    name = "gemini-2.5-pro"
    title = "Gemini 2.5 Pro"
    checkpoint = "gemini-2.5-pro"
    frames = 16
    engines = ("gemini",)
    # What it thinks before it answers counts, too.
    generation = {"caption": Generation(max_tokens=4096), "vqa": Generation(max_tokens=4096)}
    licence = "proprietary; Google's terms of use"
    memory = "none here"
    note = "its thoughts are billed as output"
