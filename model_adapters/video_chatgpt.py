"""Video-ChatGPT, as in the paper's Table 3 (3 frames).

Known from the paper: the model and the number of frames (its authors show it up to 100). Assumed: the
harness's default prompts (the paper publishes none), uniform sampling, and the model's own system text.

Its weights are published in three parts: the projector and the tokens of a video, the language model
`mmaaz60/LLaVA-7B-Lightening-v1-1`, and the vision tower `openai/clip-vit-large-patch14`. A local checkpoint
is a folder with `video_chatgpt-7B.bin` and the other two in folders of these names. The commits of
the other two are pinned in the loader.
"""

from microg_bench.adapters.base import Adapter


class VideoChatGpt(Adapter):
    """Video-ChatGPT-7B: the means of CLIP's features over space and over time, before a LLaMA."""

    name = "video-chatgpt"
    title = "Video-ChatGPT"
    checkpoint = "MBZUAI/Video-ChatGPT-7B"
    revision = "095de7afdecce81061e0227cc82ef8285a08d0db"
    loader = "model_adapters._video_chatgpt:load"
    frames = 3
    engines = ("transformers",)
    licence = "CC-BY-4.0 by its hub page; made of LLaMA weights, which are for non-commercial research"
    memory = "7.05 billion parameters × 2 bytes = 14.1 GB in bfloat16, plus the KV cache"
    note = "takes 1 to 100 frames"
