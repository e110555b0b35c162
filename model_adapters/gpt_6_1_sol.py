"""GPT-6.1 Sol, which the paper does not test.

All settings are ours: the frames of the paper's GPT-4o, the harness's default prompts and uniform sampling.
"""

from model_adapters._gpt_6 import Gpt6


class Gpt61Sol(Gpt6):
    """GPT-6.1 Sol behind its vendor's interface; each frame travels as a JPEG image."""

    name = "gpt-6.1-sol"
    title = "GPT-6.1 Sol"
    checkpoint = "gpt-6.1-sol"
