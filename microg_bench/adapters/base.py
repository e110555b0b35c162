"""What an adapter is: a short declaration of how one model is asked and how its words are read.

An adapter never opens a file, calls a network, loops over clips, retries or batches: the harness does.
A subclass of `Adapter` states its class attributes and, where the model wants another order of frames
and text or writes around its answer, overrides `prompt` or `parse`.
"""

from __future__ import annotations

import html
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from microg_bench.options import flag
from microg_bench.records import (
    THOUGHT_MARKS,
    Answer,
    Failure,
    FinishReason,
    Generation,
    Message,
    Prompt,
    Request,
    Response,
    Stage,
    TaskName,
    Text,
    Thinking,
    Video,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from microg_bench.adapters.references import OtherSources
    from microg_bench.prompts import Instruction
    from microg_bench.video.decode import Frames

# How models begin that think aloud, without marks: "Okay, so I need to", "Got it, let's", "The user wants".
_READY = r"okay|ok|alright|all right|got it|hmm+"
_LEAD = rf"({_READY}|so|well|now|first|wait)[\s,.:;!…–-]+"
_PLAN = r"(let's|let us|let me) (see|think|try|figure|look|tackle|analy[sz]e|consider|check|recall|start)\b"
_DUTY = r"((i|we) (need to|have to|should|must)|(i'm|i am|we're|we are) (asked|given|supposed))\b"
_USER = r"(the )?user('s|\s+(wants|asks|asked|provided|is asking|is requesting|has asked|has provided))\b"
_FACED = r"((i'm|i am|we're|we are) (looking at|trying to)|(i've|i have|we've|we have) (got )?(this|these))\b"
# Special tokens of gpt-oss that a decoder has left out: "analysisThe user wants … .assistantfinalA man".
_CHANNELS = r"(?s:analysis.*assistantfinal)"
_THINKING = re.compile(
    rf"[\s*#>_]*(({_LEAD})+({_PLAN}|{_DUTY}|{_USER}|the (question|task)\b)|{_PLAN}|{_USER}|got it, let's\b"
    rf"|(?={_READY})({_LEAD})+{_FACED}|{_CHANNELS}"
    r"|hmm+[,.…]|(i|we) need to (answer|describe|figure out|work out)\b"
    r"|(here's (a|my) )?thinking process\b|thought\n)",
    re.IGNORECASE,
)
# What stands around an answer behind thoughts, of OpenThinker and gpt-oss.
_FRAME = re.compile(r"<\|(begin_of_solution|end_of_solution|return)\|>")
_TAG = re.compile(r"<(/?)([\w:]+)>")
_CODE = re.compile(r"&#[0-9]{9,}")  # of no character, and too long for a number
_FINISH_FLAGS = {"length": "truncated", "content_filter": "filtered", "refusal": "declined"}


class Adapter(ABC):
    """One model.

    Class attributes:
        name: what the user types after `--model`; lower case, digits, dots and hyphens.
        title: what tables print.
        checkpoint, revision: hub id and commit of the weights; None where there are none.
        architecture: the class of the model in vLLM and transformers; "" where it is not known.
        loader: `module:function` that loads weights which no library has a class for. It is called with the
            checkpoint (a hub id or a folder) and two sets of arguments as `from_pretrained` takes them: where
            from (`revision`, `local_files_only`, …) and how (`dtype`, `device_map`, `attn_implementation`).
            It returns a processor and a model for the engine `transformers`. A model of several checkpoints
            names the commits of the others in `model.commits`, by hub id, so that the run can record them.
        frames, sampling: how many frames are shown and how they are chosen (see `FrameSpec`).
        processor_args: arguments of the checkpoint's processor that move the size of the input, with the
            values that it has today: ``{"videos.size": …, "images.do_pan_and_scan": False}``. They are passed
            with every prompt, so that another version of a library changes nothing. Those whose name holds
            "size" are left out with other weights than the checkpoint, whose own count.
        engines: names of engines that can run it, the preferred one first.
        generation: how it writes, by task.
        thinking: how the model thinks before it answers; None where it does not.
        licence, memory, note: what a user must know before downloading it.
        unproved: what no test has shown of it, such as "the order of its frames".
    """

    name: ClassVar[str]
    title: ClassVar[str]
    checkpoint: ClassVar[str | None] = None
    revision: ClassVar[str | None] = None
    architecture: ClassVar[str] = ""
    loader: ClassVar[str | None] = None
    frames: ClassVar[int] = 8
    sampling: ClassVar[str] = "uniform"
    sees_video: ClassVar[bool] = True
    processor_args: ClassVar[Mapping[str, Any]] = {}
    engines: ClassVar[tuple[str, ...]] = ("vllm", "transformers", "server")
    generation: ClassVar[dict[TaskName, Generation]] = {
        "caption": Generation(max_tokens=256),
        "vqa": Generation(max_tokens=64),
    }
    thinking: ClassVar[Thinking | None] = None
    licence: ClassVar[str] = ""
    memory: ClassVar[str] = ""
    note: ClassVar[str] = ""
    unproved: ClassVar[str] = ""

    def prompt(self, request: Request, instruction: Instruction, frames: Frames | None) -> Prompt:
        """What the model is given: by default the system text, then the video before the instruction."""
        user = Message(role="user", parts=(Video(), Text(text=instruction.user)))
        if not instruction.system:
            return Prompt(messages=(user,))
        system = Message(role="system", parts=(Text(text=instruction.system),))
        return Prompt(messages=(system, user))

    def parse(self, request: Request, text: str) -> str:
        """The answer in what the model wrote: by default all of it, without surrounding white space.

        Thoughts are no part of `text`: they have been taken out.
        """
        return text.strip()


class Baseline(Adapter):
    """A baseline that answers from the references of other source videos, without any model.

    It runs on the `function` engine. A baseline that looks at the video overrides `describe`; the harness
    then describes every clip of the dataset once, before the first answer. `tasks` are those that it answers.
    """

    engines = ("function",)
    sees_video = False
    tasks: ClassVar[tuple[TaskName, ...]] = ("caption", "vqa")

    def prompt(self, request: Request, instruction: Instruction, frames: Frames | None) -> Prompt:
        """The bare question; there is no model to instruct."""
        return Prompt(messages=(Message(role="user", parts=(Text(text=request.question or ""),)),))

    def describe(self, frames: Frames) -> NDArray[np.float64]:
        """A vector of fixed length for a clip; called only where `sees_video` is set."""
        raise TypeError(f"{self.name} sees video but does not describe it")

    @abstractmethod
    def answer(self, request: Request, descriptor: NDArray[np.float64] | None, others: OtherSources) -> str:
        """The answer to `request`, from the clip's own `descriptor` and the references of `others`."""


def generation_of(adapter: Adapter, task: TaskName) -> Generation:
    """How the model of `adapter` writes in `task`; actions are named in the schema of `persons.answers`."""
    if task != "har":
        return adapter.generation[task]
    own = adapter.generation.get(task, Generation())
    if isinstance(adapter, Baseline):
        return own
    from microg_bench.persons.answers import answer_schema

    return own.model_copy(update={"answer_schema": answer_schema()})


def made_prompt(
    adapter: Adapter, request: Request, instruction: Instruction, frames: Frames | None
) -> Prompt:
    """What `adapter` asks; see `Adapter.prompt`.

    Raises:
        TypeError: it gives something else than a prompt.
        Exception: whatever the adapter raises.
    """
    prompt: object = adapter.prompt(request, instruction, frames)
    if not isinstance(prompt, Prompt):
        raise TypeError(f"prompt() returns {type(prompt).__name__}, not a Prompt")
    return prompt


def without_media(prompt: Prompt) -> Prompt:
    """A prompt without its frames; a message that has nothing else is left out."""
    texts = [
        Message(role=message.role, parts=tuple(part for part in message.parts if isinstance(part, Text)))
        for message in prompt.messages
    ]
    return Prompt(messages=tuple(message for message in texts if message.parts))


def read_answer(
    adapter: Adapter,
    request: Request,
    said: Response,
    frames: tuple[int, ...] | None = None,
    clip_sha256: str | None = None,
    shown_clip: str | None = None,
) -> Answer | Failure:
    """The answer that `adapter` finds in a response without thoughts, or the failure where it finds none.

    One that does not fit the schema of the task's generation settings holds none.
    """
    shown: dict[str, Any] = {"clip_sha256": clip_sha256, "shown_clip": shown_clip}
    if schema := generation_of(adapter, request.task).answer_schema:
        from microg_bench.structured import unfit

        if failure := unfit(said, schema):
            return failure.model_copy(update={"frames": frames, **shown})
    try:
        answer: object = said.text.strip() if request.task == "har" else adapter.parse(request, said.text)
        if not isinstance(answer, str):
            raise TypeError(f"parse() returns {type(answer).__name__}, not a text")
    except Exception as error:  # an adapter is somebody else's code
        update = {"response": said, "frames": frames, **shown}
        return blamed(adapter, request, "parse", error).model_copy(update=update)
    return Answer(**dict(said), answer=answer, frames=frames or (), **shown)


def blamed(adapter: Adapter, request: Request, stage: Stage, error: Exception) -> Failure:
    """The failure of a request at which `adapter` raised."""
    reason = f"adapter {adapter.name}: {type(error).__name__}: {error}"
    return Failure(id=request.id, stage=stage, reason=reason)


def only_thoughts(said: Response, max_tokens: int) -> Failure:
    """The failure of a model that thought and did not answer; `max_tokens` is what it might have said."""
    reason = "the model thought and gave no answer"
    if said.finish_reason == "length":
        reason = f"the model was still thinking at the limit of {max_tokens:,} tokens"
        reason += f": raise {flag('max_tokens')}, or lower {flag('thinking')}"
    return Failure(id=said.id, stage="thinking", reason=reason, response=said)


def split_thoughts(
    text: str, thinking: Thinking | None = None, schema: str | None = None
) -> tuple[str | None, str | None]:
    """The thoughts in what a model wrote, and its answer.

    What stands before a closing mark without an opening one is a thought: the chat template may have written
    the opening mark. A text that fits `schema` as a whole has no thoughts: its marks are quoted.

    Returns:
        The thoughts without their marks, None where there are none; and the rest of the text, None where the
        last thought does not end.
    """
    if schema:
        from microg_bench.structured import misfit

        if misfit(text, schema) is None:
            return None, text
    thoughts: list[str] = []
    for opening, closing in thinking.marks if thinking else THOUGHT_MARKS:
        found, answer = _taken_out(text, opening, closing)
        thoughts += found
        if answer is None:
            return _joined(thoughts), None
        text = answer
    return (_joined(thoughts), _FRAME.sub("", text)) if thoughts else (None, text)


def _taken_out(text: str, opening: str, closing: str) -> tuple[list[str], str | None]:
    """The thoughts between two marks, and the text around them; None where the last thought does not end."""
    thoughts: list[str] = []
    answer: list[str] = []
    place, opened = 0, None
    for mark in marks_pattern(opening, closing).finditer(text):
        if mark.lastindex:
            own = text[place : mark.start()] if opened is None else text[opened : mark.start()]
            if opened is None:  # all before it was thought
                own, answer = "".join([*answer, own]), []
            thoughts.append(own)
            place, opened = mark.end(), None
        elif opened is None:
            answer.append(text[place : mark.start()])
            opened = mark.end()
    if opened is not None:
        return [*thoughts, *answer, text[opened:]], None
    return thoughts, "".join([*answer, text[place:]])


@cache
def marks_pattern(opening: str, closing: str) -> re.Pattern[str]:
    """What finds both marks in a text; the `lastindex` of a match is None where the mark opens a thought.

    The case of letters does not count, and a tag may have attributes and blanks inside.
    """
    closes = (f"{spelling}()" for spelling in _spellings(closing))
    return re.compile("|".join((*_spellings(opening), *closes)), re.IGNORECASE)


def _spellings(mark: str) -> tuple[str, ...]:
    """Patterns of a mark. All begin with its first character, which makes the search fast."""
    if tag := _TAG.fullmatch(mark):
        slash = r"/\s*" if tag[1] else ""
        return (rf"<\s*{slash}{tag[2]}(?:\s[^<>]*)?>",)
    literal = re.escape(mark)
    if not mark.startswith("<|channel|>"):
        return (literal,)
    start = r"<\|start\|>assistant" + literal  # of a message, behind the end of the one before it
    return (r"<\|end\|>" + start, start, literal)


def _joined(thoughts: list[str]) -> str:
    return "\n\n".join(filter(None, map(str.strip, thoughts)))


def flags(answer: str, finish_reason: FinishReason = "stop") -> tuple[str, ...]:
    """What an answer is that is none, or hardly one: names of fields of `scorecard.Counts`.

    It looks like `thoughts` where it has a mark of a thought, unclosed or closing alone too, or begins as
    models do that think aloud ("Okay, let's see", "The user wants", "Hmm,", "First, I need to"). Marks count
    where they are escaped as in HTML, too.
    """
    plain = answer.replace("’", "'")
    found = {
        "empty": not answer.strip(),
        _FINISH_FLAGS.get(finish_reason, ""): finish_reason in _FINISH_FLAGS,
        "thoughts": split_thoughts(html.unescape(_CODE.sub("", answer)))[0] is not None
        or _THINKING.match(plain) is not None,
    }
    return tuple(name for name, true in found.items() if true)
