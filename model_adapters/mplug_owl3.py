"""mPLUG-Owl3, as in the paper's Table 3 (3 frames).

Known from the paper: the model and the number of frames. Assumed: the 7B checkpoint of July 2024, the
harness's default prompts (the paper publishes none) and uniform sampling.

Neither vLLM nor transformers has a class for it, and the code that comes with the checkpoint was written for
an old transformers; the architecture is therefore the harness's own.
"""

from microg_bench.adapters.base import Adapter


class MPlugOwl3(Adapter):
    """mPLUG-Owl3-7B: a Qwen2 of which four layers also look at the features of the frames."""

    name = "mplug-owl3"
    title = "mPLUG-Owl3"
    checkpoint = "mPLUG/mPLUG-Owl3-7B-240728"
    revision = "eff25bcdc02ff1b513c25f376d761ec1ab6dfa1b"
    loader = "model_adapters._mplug_owl3:load"
    frames = 3
    engines = ("transformers",)
    licence = "Apache-2.0"
    memory = "8.05 billion parameters × 2 bytes = 16.1 GB in bfloat16, plus the KV cache"
