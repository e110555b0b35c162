"""MyLab-VL: sees single images, reasons, and gives its answer after a marker."""

from microg_bench.adapters.base import Adapter
from microg_bench.prompts import Instruction
from microg_bench.records import Generation, Image, Message, Prompt, Request, Text
from microg_bench.video.decode import Frames


class MyLabVL(Adapter):
    """The 7B model of our paper, with its own settings."""

    name = "my-lab-vl"
    title = "MyLab-VL"
    checkpoint = "my-lab/MyLab-VL-7B"
    frames = 6
    generation = {"caption": Generation(max_tokens=512), "vqa": Generation(max_tokens=256)}
    licence = "Apache-2.0"
    memory = "about 17 GB of GPU memory in bfloat16"

    def prompt(self, request: Request, instruction: Instruction, frames: Frames | None) -> Prompt:
        """Each frame as an image, then the instruction."""
        shown = tuple(Image(frame=k) for k in range(len(frames.indices))) if frames else ()
        return Prompt(messages=(Message(role="user", parts=(*shown, Text(text=instruction.user))),))

    def parse(self, request: Request, text: str) -> str:
        """The text after the last marker; all of it where there is none."""
        return text.rpartition("ANSWER:")[2].strip()
