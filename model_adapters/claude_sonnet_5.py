"""Claude Sonnet 5, which the paper does not test.

All settings are ours: the frames of the paper's Gemini 1.5 Pro, the harness's default prompts and uniform
sampling. The model takes no temperature.
"""

from model_adapters._claude import Claude


class ClaudeSonnet5(Claude):
    """Claude Sonnet 5 behind its vendor's interface; each frame travels as a JPEG image."""

    name = "claude-sonnet-5"
    title = "Claude Sonnet 5"
    checkpoint = "claude-sonnet-5"
