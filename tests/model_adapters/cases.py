"""What is known of each open-weight model, to check its adapter against; and how a job for one is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microg_bench.adapters.base import Adapter
from microg_bench.adapters.registry import find_adapter
from microg_bench.engines.base import Job
from microg_bench.prompts import find_template
from microg_bench.records import Generation, Request, ThinkingLevel
from tests.engines.conftest import grey_frames

ADAPTERS = Path(__file__).resolve().parents[2] / "model_adapters"
QUESTION = "Who is fixing the cable?"
LEVELS = [5 + 2 * (37 * k % 101) for k in range(90)]  # of grey, all different, in no order

CHATML = r"<\|im_start\|>user\n{video}{user}<\|im_end\|>\n<\|im_start\|>assistant\n"
QWEN3 = CHATML.replace(
    "{video}",
    # From 5.10 on transformers keeps the outer pair of tokens.
    r"(<\|vision_start\|>)?"
    r"(<\d\.\d seconds><\|vision_start\|><\|video_pad\|><\|vision_end\|>)+"
    r"(<\|vision_end\|>)?",
)
NO_THOUGHT = (r"assistant\n", r"assistant\n<think>\n\n</think>\n\n")  # as the templates prevent it
VICUNA = r"<s>USER: <video>\n{user} ASSISTANT:"


@dataclass(frozen=True)
class Case:
    """One adapter: its file, where its vision tower is, and the text that the model must be given.

    `vllm_tower` is where vLLM has the tower, if elsewhere.

    `prompt` is a pattern with `{user}` for the instruction; a run of one placeholder token is written once.
    """

    file: str
    tower: str
    prompt: str
    vllm: bool = True
    vllm_tower: str = ""

    def adapter(self) -> Adapter:
        return find_adapter(str(ADAPTERS / self.file))


CASES = {
    "llava-next-video": Case("llava_next_video.py", "vision_tower", VICUNA),
    "video-llava": Case("video_llava.py", "video_tower", VICUNA, vllm=False),
    "video-chatgpt": Case(
        "video_chatgpt.py",
        "vision_tower",
        r"<s>You are Video-ChatGPT, .* USER: <vid_start><vid_patch><vid_end>\n{user} ASSISTANT:",
        vllm=False,
    ),
    "mplug-owl3": Case(
        "mplug_owl3.py",
        "vision_model",
        r"<\|im_start\|>system\n<\|im_end\|>\n<\|im_start\|>user\n<\|image\|>\n{user}<\|im_end\|>"
        r"\n<\|im_start\|>assistant\n",
        vllm=False,
    ),
    "internvideo2.5": Case(
        "internvideo2_5.py",
        "vision_model",
        r"<s><\|im_start\|>system\n你是书生.*<\|im_end\|>\n"
        + CHATML.replace("{video}", r"(Frame\d+: <img><IMG_CONTEXT></img>\n)+"),
        vllm=False,
    ),
    "llava-onevision": Case(
        "llava_onevision.py",
        "vision_tower",
        r"<\|im_start\|>user <video>\n{user}<\|im_end\|><\|im_start\|>assistant\n",
    ),
    "qwen3-vl": Case(
        "qwen3_vl.py",
        "visual",
        QWEN3,
    ),
    "smolvlm2": Case(
        "smolvlm2.py",
        "vision_model",
        r"<\|im_start\|>User: You are provided the following series of sixteen frames"
        r" from a 0:00:03 \[H:MM:SS\] video\.\n"
        r"(\nFrame from 00:0\d:<fake_token_around_image><global-img><image><fake_token_around_image>)+"
        r"\n\n{user}<end_of_utterance>\nAssistant:",
        vllm=False,
    ),
    "gemma-3": Case(
        "gemma_3.py",
        "vision_tower",
        r"<bos><start_of_turn>user\n(\n\n<start_of_image><image_soft_token><end_of_image>\n\n)+"
        r"{user}<end_of_turn>\n<start_of_turn>model\n",
    ),
    "qwen3.5": Case("qwen3_5.py", "visual", QWEN3.replace(*NO_THOUGHT)),
    "qwen3.6": Case("qwen3_6.py", "visual", QWEN3.replace(*NO_THOUGHT)),
    "qwen3.8": Case("qwen3_8.py", "visual", QWEN3.replace(*NO_THOUGHT)),
    "cosmos3": Case("cosmos3.py", "visual", QWEN3, vllm=False),
    "gemma-4": Case(
        "gemma_4.py",
        "patch_embedder",
        r"<bos><\|turn>user\n(00:0\d <\|image><\|video\|><image\|> ?)+{user}<turn\|>\n"
        r"<\|turn>model\n<\|channel>thought\n<channel\|>",
    ),
    "glm-4.6v-flash": Case(
        "glm_4_6v_flash.py",
        "visual",
        r"\[gMASK\]<sop><\|user\|>\n<\|begin_of_video\|>"
        r"(<\|begin_of_image\|><\|image\|><\|end_of_image\|>\d\.\d seconds)+<\|end_of_video\|>"
        r"{user}/nothink<\|assistant\|>\n<think></think>\n",
    ),
    "minicpm-v-4.6": Case(
        "minicpm_v_4_6.py",
        "vision_tower",
        CHATML.replace("{video}", r"<image_id>0</image_id>(<image><\|video_pad\|></image>)+"),
        vllm_tower="embeddings",
    ),
    "molmo2": Case(
        "molmo2.py",
        "vision_tower",
        r"<\|im_end\|>" + CHATML.replace("{video}", r"( ?\d\.\d <frame_start><im_patch><frame_end>)+"),
        vllm=False,  # the transformers that is pinned beside it has no processor
    ),
    "internvl3.5": Case(
        "internvl3_5.py",
        "vision_tower",
        CHATML.replace("{video}", r"(Frame\d+: <img><IMG_CONTEXT></img>\n)+"),
    ),
}


def job_for(
    adapter: Adapter, question: str = QUESTION, max_tokens: int = 16, frames: int | None = None
) -> Job:
    """A question about as many grey frames as the adapter asks for, the way that a run would ask it."""
    request = Request(id=f"clip#{question}", task="vqa", video_id="clip", source="s", question=question)
    shown = grey_frames(LEVELS[: frames or adapter.frames])
    instruction = find_template("vqa", "default").render(request)
    prompt = adapter.prompt(request, instruction, shown)
    return Job(request, prompt, shown, Generation(max_tokens=max_tokens))


def switches(name: str, level: ThinkingLevel | None = None) -> Mapping[str, Any]:
    """The variables of the chat template that ask for `level`, or for the adapter's default level."""
    thinking = CASES[name].adapter().thinking
    asked = level or (thinking and thinking.default)
    return thinking.switches["transformers"][asked] if thinking and asked else {}


def instruction_of(job: Job) -> str:
    return find_template("vqa", "default").render(job.request).user


def levels_of(pixels: Any, frames: int) -> list[float]:
    """The mean of the first channel of every frame that entered a vision tower.

    Args:
        pixels: shape (frames, 3, height, width); (patches, 3 · 2 · side²), two frames a patch;
            (frames, patches, pixels of one); or (1, 3, side, frames · pixels of a row of patches).
        frames: how many are expected.
    """
    if pixels.ndim == 2:
        side = round((pixels.shape[1] / 6) ** 0.5)
        pairs = pixels.float().reshape((frames + 1) // 2, -1, 3, 2, side, side)
        levels: list[float] = pairs[:, :, 0].mean(dim=(1, 3, 4)).flatten().tolist()
        return levels
    if pixels.ndim == 3:
        levels = pixels.float()[:, 0].mean(dim=1).tolist()
        return levels
    if pixels.ndim == 4 and len(pixels) == 1 < frames:
        levels = pixels.float()[0, 0].reshape(pixels.shape[2], frames, -1).mean(dim=(0, 2)).tolist()
        return levels
    levels = pixels.float().reshape(-1, *pixels.shape[-3:])[:, 0].mean(dim=(1, 2)).tolist()
    return levels
