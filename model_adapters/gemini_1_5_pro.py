"""Gemini 1.5 Pro, as in the paper's Tables 3 and 4 (16 frames).

Known from the paper: the model and the number of frames. Assumed: that the frames were sent as images, the
harness's default prompts (the paper publishes none) and uniform sampling. Its vendor has retired the model:
the adapter documents the setting, and runs newer ones with `--checkpoint`.
"""

from microg_bench.adapters.base import Adapter


class Gemini15Pro(Adapter):
    """Gemini 1.5 Pro behind its vendor's interface; each frame travels as a JPEG image."""

    name = "gemini-1.5-pro"
    title = "Gemini 1.5 Pro"
    checkpoint = "gemini-1.5-pro"
    frames = 16
    engines = ("gemini",)
    licence = "proprietary; Google's terms of use"
    memory = "none here"
    note = "retired by its vendor: it can no longer be asked; gemini-2.5-pro is shown the same frames"
