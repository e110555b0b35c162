"""GPT-4o, as in the paper's Tables 3 and 4 (6 frames).

Known from the paper: the model and the number of frames. Assumed: that the frames were sent as images, the
harness's default prompts (the paper publishes none) and uniform sampling. The paper does not say which of
its vendor's dated versions it asked.
"""

from microg_bench.adapters.base import Adapter


class Gpt4o(Adapter):
    """GPT-4o behind its vendor's interface; each frame travels as a JPEG image."""

    name = "gpt-4o"
    title = "GPT-4o"
    checkpoint = "gpt-4o"
    frames = 6
    engines = ("openai",)
    licence = "proprietary; OpenAI's terms of use"
    memory = "none here"
    note = "asks whichever version its vendor serves under this name; --checkpoint names a dated one"
