"""InternVideo2.5, as in the paper's Table 3 under the name InternVideo (90 frames: all of a clip).

Known from the paper: the family and the number of frames. Assumed: the 8B chat checkpoint, the harness's
default prompts (the paper publishes none), and the model's own system text. It merges the tokens of four
frames at a time; where the frames do not divide by four, as 90 do not, the last group is smaller here, with
as many tokens a frame as the others.

vLLM has a class for checkpoints of this form (`InternVLChatModel`), but it does not merge tokens: it would
run another model than the published one. The architecture is therefore the harness's own.
"""

from microg_bench.adapters.base import Adapter


class InternVideo25(Adapter):
    """InternVideo2.5-Chat-8B: 16 tokens a frame, merged from four frames, before an InternLM 2.5."""

    name = "internvideo2.5"
    title = "InternVideo2.5"
    checkpoint = "OpenGVLab/InternVideo2_5_Chat_8B"
    revision = "6dd8f382d8bc69bd812194b93470754c279b6d3b"
    loader = "model_adapters._internvideo2_5:load"
    frames = 90
    engines = ("transformers",)
    licence = "Apache-2.0"
    memory = "8.08 billion parameters × 2 bytes = 16.2 GB in bfloat16, plus the KV cache"
