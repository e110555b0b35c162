"""Turns jobs into what a transformers model reads: chat text by the model's own template, and its frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from microg_bench.engines._plain import mark
from microg_bench.engines.base import Job
from microg_bench.records import Image, Message, Prompt, Text, Video
from microg_bench.video import Frames


class PromptError(ValueError):
    """A prompt that this model cannot be given; the message says why."""


def model_inputs(processor: Any, jobs: Sequence[Job]) -> Any:
    """The padded tensors of one batch, on the CPU, as the processor makes them.

    A clip goes in as one video with exactly the delivered frames: the processor is told not to sample again,
    and the true frame rate and indices, from which models such as Qwen2.5-VL derive temporal positions. Where
    the vision tower takes frames in groups (Qwen2.5-VL: two), the processor fills the last group by repeating
    the last frame, as the published code does; an odd number of frames therefore needs no care here.

    Raises:
        PromptError: a prompt asks for frames that its job does not have, or the processor takes no video.
    """
    texts = [render(processor, job.prompt) for job in jobs]
    shown = [[delivered(job) for part in parts(job.prompt) if isinstance(part, Video)] for job in jobs]
    videos = [frames for own in shown for frames in own]
    if videos and getattr(processor, "video_processor", None) is None:
        raise PromptError("the checkpoint's processor takes no video")
    images = [pictures(job) for job in jobs]
    _check_alike(processor, videos)
    bos = processor.tokenizer.bos_token
    return processor(
        text=texts,
        images=images if any(images) else None,
        videos=[[frames.pixels for frames in own] for own in shown if own] or None,
        videos_kwargs={"do_sample_frames": False, "video_metadata": [_metadata(frames) for frames in videos]},
        # A template that writes the first token itself must not get it twice.
        text_kwargs={"padding": True, "add_special_tokens": not (bos and texts[0].startswith(bos))},
        return_tensors="pt",
    )


def _check_alike(processor: Any, videos: Sequence[Frames]) -> None:
    """Refuse a batch of clips with different numbers of frames where the processor would fill up the shorter.

    SmolVLM's does, and tells the model that both have as many. What is refused is asked in smaller batches.
    """
    fills_up = getattr(getattr(processor, "video_processor", None), "do_pad", None)
    if fills_up and len({len(frames.pixels) for frames in videos}) > 1:
        raise ValueError("the checkpoint's processor takes only videos of equally many frames at once")


def render(processor: Any, prompt: Prompt) -> str:
    """The prompt in the model's own chat template, up to where its answer begins; its texts are marked."""
    chat = [_turn(processor.tokenizer, message) for message in prompt.messages]
    text: str = processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    return text


def _turn(tokenizer: Any, message: Message) -> dict[str, Any]:
    return {"role": message.role, "content": [_content(tokenizer, part) for part in message.parts]}


def _content(tokenizer: Any, part: Text | Video | Image) -> dict[str, str]:
    if isinstance(part, Text):
        return {"type": "text", "text": mark(part.text, tokenizer)}
    return {"type": "video" if isinstance(part, Video) else "image"}


def parts(prompt: Prompt) -> list[Text | Video | Image]:
    """The parts of all messages, in order."""
    return [part for message in prompt.messages for part in message.parts]


def delivered(job: Job) -> Frames:
    """The frames of the job.

    Raises:
        PromptError: it has none.
    """
    if job.frames is None:
        raise PromptError("the prompt shows frames, but none were delivered with it")
    return job.frames


def check_room(job: Job, prompt_tokens: int, context: int) -> None:
    """Refuse a prompt that leaves no room in the model's context for the longest answer.

    Raises:
        PromptError: it does; the clip and the tokens that are too many are named.
    """
    answer = job.generation.max_tokens
    if answer >= context:
        raise PromptError(
            f"{job.request.video_id}: up to {answer} new tokens leave no room for a prompt"
            f" in the model's context of {context}"
        )
    if (beyond := prompt_tokens + answer - context) > 0:
        raise PromptError(
            f"{job.request.video_id}: {prompt_tokens} prompt tokens and up to {answer} new ones"
            f" exceed the model's context of {context} by {beyond}"
        )


def pictures(job: Job) -> list[Any]:
    """The single frames that the prompt shows, as PIL images.

    Raises:
        PromptError: it shows a frame that was not delivered.
    """
    import PIL.Image

    wanted = [part.frame for part in parts(job.prompt) if isinstance(part, Image)]
    if not wanted:
        return []
    pixels = delivered(job).pixels
    if not all(0 <= frame < len(pixels) for frame in wanted):
        raise PromptError(f"the prompt shows frame {max(wanted)}, but {len(pixels)} frames were delivered")
    return [PIL.Image.fromarray(pixels[frame]) for frame in wanted]


def _metadata(frames: Frames) -> Any:
    from transformers.video_utils import VideoMetadata

    height, width = frames.pixels.shape[1:3]
    return VideoMetadata(
        total_num_frames=frames.total,
        fps=frames.fps,
        width=width,
        height=height,
        duration=frames.duration,
        frames_indices=list(frames.indices),
    )
