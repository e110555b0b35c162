"""Video-ChatGPT, as in the paper's Table 3 (3 frames).

Known from the paper: the model and the number of frames (its authors show it up to 100). Assumed: the
harness's default prompts (the paper publishes none), uniform sampling, and the model's own system text.

Its weights are published in three parts: the projector and the tokens of a video, the language model
`mmaaz60/LLaVA-7B-Lightening-v1-1`, and the vision tower `openai/clip-vit-large-patch14`. A local checkpoint
is a folder with `video_chatgpt-7B.bin` and the other two in folders of these names.
"""

from microg_bench.adapters.base import Adapter


class VideoChatGpt(Adapter):
    """Video-ChatGPT-7B: the means of CLIP's features over space and over time, before a LLaMA."""

    name = "video-chatgpt"
    title = "Video-ChatGPT"
    checkpoint = "MBZUAI/Video-ChatGPT-7B"
    revision = None
    loader = "model_adapters._video_chatgpt:load"
    frames = 3
    engines = ("transformers",)
    licence = "non-commercial research; it is made of LLaMA weights"
    memory = "about 15 GB of GPU memory in bfloat16"
    note = "no commit is pinned: the one of the first download is kept in run.json; takes 1 to 100 frames"
