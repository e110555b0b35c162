"""Gemini 4 Carbon, which the paper does not test.

All settings are ours: the frames of the paper's Gemini 1.5 Pro, the harness's default prompts and uniform
sampling.
"""

from model_adapters._gemini_levels import LevelGemini


class Gemini4Carbon(LevelGemini):
    """Gemini 4 Carbon behind its vendor's interface; each frame travels as a JPEG image."""

    name = "gemini-4-carbon"
    title = "Gemini 4 Carbon"
    checkpoint = "gemini-4-carbon"
