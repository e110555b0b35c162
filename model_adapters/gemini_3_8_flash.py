"""Gemini 3.8 Flash, which the paper does not test.

All settings are ours: the frames of the paper's Gemini 1.5 Pro, the harness's default prompts and uniform
sampling.
"""

from model_adapters._gemini_levels import LevelGemini


class Gemini38Flash(LevelGemini):
    """Gemini 3.8 Flash behind its vendor's interface; each frame travels as a JPEG image."""

    name = "gemini-3.8-flash"
    title = "Gemini 3.8 Flash"
    checkpoint = "gemini-3.8-flash"
