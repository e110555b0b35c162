"""GPT-6 Luna, which the paper does not test.

All settings are ours: the frames of the paper's GPT-4o, the harness's default prompts and uniform sampling.
"""

from model_adapters._gpt_6 import Gpt6


class Gpt6Luna(Gpt6):
    """GPT-6 Luna behind its vendor's interface; each frame travels as a JPEG image."""

    name = "gpt-6-luna"
    title = "GPT-6 Luna"
    checkpoint = "gpt-6-luna"
