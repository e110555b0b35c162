"""Video-LLaVA, as in the paper's Tables 3 and 4 (8 frames, the number that the model was trained with).

Known from the paper: the model and the number of frames. Assumed: the 7B checkpoint for transformers, the
harness's default prompts (the paper publishes none) and uniform sampling.

The size of a frame is that of `preprocessor_config.json` in copies of the checkpoint, which its vision tower
takes.
"""

from microg_bench.adapters.base import Adapter


class VideoLlava(Adapter):
    """Video-LLaVA-7B: LanguageBind features of each frame before a Vicuna; vLLM has no class for it."""

    name = "video-llava"
    title = "Video-LLaVA"
    checkpoint = "LanguageBind/Video-LLaVA-7B-hf"
    revision = "4cf9d8cfc76a54f46a4cb43be5368b46b7f0d736"
    architecture = "VideoLlavaForConditionalGeneration"
    frames = 8
    processor_args = {
        "videos.size": {"shortest_edge": 224},
        "videos.crop_size": {"height": 224, "width": 224},
        "videos.do_center_crop": True,
    }
    engines = ("transformers",)
    licence = "Apache-2.0; its language model under the Llama 2 Community License"
    memory = "7.37 billion parameters × 2 bytes = 14.7 GB in bfloat16, plus the KV cache"
    note = "trained with 8 frames; more are untested by its authors"
