"""Gemma 3, which the paper does not test.

All settings are ours: 16 frames, the harness's default prompts and uniform sampling. The model knows no
videos: the frames are images in their order, which is how its authors show it one.

A picture is scaled to the size in the checkpoint's `preprocessor_config.json`. The file leaves pan and scan
open, which would show parts of it as well; transformers does not by default.
"""

from microg_bench.adapters.base import Adapter
from microg_bench.prompts import Instruction
from microg_bench.records import Image, Message, Prompt, Request, Text
from microg_bench.video.decode import Frames


class Gemma3(Adapter):
    """Gemma-3-12B-it: 256 tokens for each image."""

    name = "gemma-3"
    title = "Gemma 3"
    checkpoint = "google/gemma-3-12b-it"
    revision = "96b6f1eccf38110c56df3a15bffe176da04bfd80"
    architecture = "Gemma3ForConditionalGeneration"
    frames = 16
    processor_args = {"images.size": {"height": 896, "width": 896}, "images.do_pan_and_scan": False}
    engines = ("vllm", "transformers", "server")
    licence = "Gemma Terms of Use, to be accepted on the hub"
    memory = "12.19 billion parameters × 2 bytes = 24.4 GB in bfloat16, plus the KV cache"

    def prompt(self, request: Request, instruction: Instruction, frames: Frames | None) -> Prompt:
        """Every frame as an image, then the instruction."""
        count = self.frames if frames is None else len(frames.indices)
        stills = tuple(Image(frame=k) for k in range(count))
        user = Message(role="user", parts=(*stills, Text(text=instruction.user)))
        if not instruction.system:
            return Prompt(messages=(user,))
        return Prompt(messages=(Message(role="system", parts=(Text(text=instruction.system),)), user))
