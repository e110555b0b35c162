"""Turns jobs into what a transformers model reads: chat text by the model's own template, and its frames.

And turns the tokens that it writes into text.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from microg_bench.adapters.base import marks_pattern
from microg_bench.engines.base import Job
from microg_bench.errors import EngineError
from microg_bench.options import flag
from microg_bench.records import Image, Marks, Message, Prompt, Text, Video
from microg_bench.video.decode import Frames


class PromptError(ValueError):
    """A prompt that this model cannot be given; the message says why."""


def model_inputs(
    processor: Any,
    jobs: Sequence[Job],
    variables: Mapping[str, Any] | None = None,
    stated: Mapping[str, Mapping[str, Any]] | None = None,
) -> Any:
    """The padded tensors of one batch, on the CPU, as the processor makes them.

    A clip goes in as one video with exactly the delivered frames: the processor is told not to sample again,
    and the true frame rate and indices, from which models such as Qwen2.5-VL derive temporal positions. Where
    the vision tower takes frames in groups (Qwen2.5-VL: two), the processor fills the last group by repeating
    the last frame, as the published code does; an odd number of frames therefore needs no care here.

    `stated` are arguments of the processor; see `Options.processor_kwargs`. They are passed with each prompt
    although its parts have them: the processor has defaults of its own that count more than its parts.

    Raises:
        PromptError: a prompt asks for frames that its job does not have, or the processor takes no video.
    """
    stated = stated or {}
    texts = [render(processor, job.prompt, variables) for job in jobs]
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
        videos_kwargs={
            **stated.get("videos_kwargs", {}),
            "do_sample_frames": False,
            "video_metadata": [_metadata(frames) for frames in videos],
        },
        **({"images_kwargs": stated["images_kwargs"]} if any(images) and "images_kwargs" in stated else {}),
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


def render(processor: Any, prompt: Prompt, variables: Mapping[str, Any] | None = None) -> str:
    """The prompt in the model's own chat template, up to where its answer begins; its texts are marked.

    `variables` are those of the template, such as ``enable_thinking``.
    """
    chat = [
        {"role": turn.role, "content": [_content(processor.tokenizer, part) for part in turn.parts]}
        for turn in prompt.messages
    ]
    text: str = processor.apply_chat_template(
        chat, tokenize=False, add_generation_prompt=True, **(variables or {})
    )
    return text


def opened_thought(processor: Any, variables: Mapping[str, Any], marks: Marks) -> str:
    """The mark that the chat template writes at the end of a prompt to open a thought; "" where it does not.

    Raises:
        EngineError: the template does not know one of `variables`.
    """
    for name in variables:
        if name not in str(processor.chat_template):
            raise EngineError(f"the chat template has no {name}: leave {flag('thinking')} out")
    prompt = Prompt(messages=(Message(role="user", parts=(Text(text="?"),)),))
    end = render(processor, prompt, variables).rstrip()
    found = (mark for pair in marks for mark in marks_pattern(*pair).finditer(end) if not mark.lastindex)
    return next((mark[0] for mark in found if mark.end() == len(end)), "")


def read_tokens(tokenizer: Any, tokens: Sequence[int], marks: Marks) -> str:
    """The text of what a model wrote, without control tokens, but with those that mark its thoughts."""
    known = control_tokens(tokenizer)
    written = [mark.casefold() for mark in sum(marks, ())]
    dropped = {
        number for word, number in known.items() if not any(word.casefold() in mark for mark in written)
    }
    kept = [token for token in tokens if token not in dropped]
    marked = not set(known.values()).isdisjoint(kept)
    text: str = tokenizer.decode(kept, skip_special_tokens=not marked, clean_up_tokenization_spaces=False)
    return text


def _content(tokenizer: Any, part: Text | Video | Image) -> dict[str, str]:
    if isinstance(part, Text):
        return {"type": "text", "text": mark(part.text, tokenizer)}
    return {"type": "video" if isinstance(part, Video) else "image"}


def parts(prompt: Prompt) -> list[Text | Video | Image]:
    """The parts of all messages, in order."""
    return [part for message in prompt.messages for part in message.parts]


def system_text(prompt: Prompt) -> str:
    """The text of the turns of the system; "" where there are none."""
    turns = (turn for turn in prompt.messages if turn.role == "system")
    return "".join(part.text for turn in turns for part in turn.parts if isinstance(part, Text))


def delivered(job: Job) -> Frames:
    """The frames of the job.

    Raises:
        PromptError: it has none.
    """
    if job.frames is None:
        raise PromptError("the prompt shows frames, but none were delivered with it")
    return job.frames


def check_context(job: Job, prompt_tokens: int, context: int) -> None:
    """Refuse a prompt that does not fit the model's context together with the longest answer.

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


# A question that holds `<|im_end|>` must not end the turn, nor one that holds `<|video_pad|>` ask for frames.
# Such words are marked before the chat template is filled in, and then tokenised as the characters that they
# are made of. A control token parts the text before it from the text after it in any case, so nothing else of
# the prompt is tokenised otherwise than usual.
# Code points that no text has: they are reserved, and no character will ever be one of them.
_MARKED = re.compile("\ufdd0([0-9]+)\ufdd1")


def control_tokens(tokenizer: Any) -> dict[str, int]:
    """What the tokenizer reads as one token with a meaning of its own, and its id."""
    return {
        token.content: number for number, token in tokenizer.added_tokens_decoder.items() if token.special
    }


def mark(text: str, tokenizer: Any) -> str:
    """`text` with its control tokens marked."""
    known = control_tokens(tokenizer)
    if not any(token in text for token in known):
        return text
    longest_first = "|".join(map(re.escape, sorted(known, key=len, reverse=True)))
    return re.sub(longest_first, lambda found: f"\ufdd0{known[found[0]]}\ufdd1", text)


def read_marks(tokenizer: Any) -> None:
    """Make `tokenizer` tokenise what is marked as plain characters, also when a processor calls it."""
    kind = type(tokenizer)
    tokenizer.__class__ = type(kind.__name__, (_Marked, kind), {})


class _Marked:
    """What `read_marks` puts before a tokenizer's own class."""

    def __call__(self, text: Any, **settings: Any) -> Any:
        texts = [text] if isinstance(text, str) else text
        own: Any = super()
        if not any(_MARKED.search(one) for one in texts):
            return own.__call__(text, **settings)
        shape = {name: settings.pop(name) for name in ("padding", "return_tensors") if name in settings}
        return own.pad({"input_ids": [self._row(one, **settings) for one in texts]}, **shape)

    def _row(self, text: str, add_special_tokens: bool = True, **_: Any) -> list[int]:
        own: Any = super()
        row: list[int] = []
        # At odd places stand the ids of what was marked, between what was not.
        for place, piece in enumerate(_MARKED.split(text)):
            if place % 2:
                row += self._characters(int(piece))
            elif piece or not place:
                row += own.__call__(piece, add_special_tokens=add_special_tokens and not place)["input_ids"]
        return row

    def _characters(self, control: int) -> list[int]:
        own: Any = super()
        word = own.convert_ids_to_tokens(control)
        row: list[int] = own.__call__(word, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        if control in row:
            raise ValueError(f"the prompt holds {word}, which this model's tokenizer cannot read as text")
        return row
