"""The nouns of the harness: frozen, typed and serialisable records that pass from package to package.

A `Clip` and its `Question`s come from a dataset, a task makes `Request`s of them, an adapter turns a
request into a `Prompt`, and an engine answers with a `Response` or a `Failure`. References never travel
with a request: no adapter can see the answer that it is scored on.
"""

import json
from collections.abc import Mapping
from operator import not_
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from microg_bench.text import well_formed

AnswerTask = Literal["caption", "vqa"]  # the answer is a text
BenchmarkTask = Literal[AnswerTask, "har"]
TaskName = Literal[BenchmarkTask, "text"]
Stage = Literal["decode", "prompt", "engine", "thinking", "parse"]
ThinkingLevel = Literal["on", "off", "low", "medium", "high"]
BoxForm = Literal["drawn", "crop"]
SHA256 = r"^[0-9a-f]{64}$"


class Record(BaseModel):
    """Base of all records: immutable, compared by value, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


AnyRecord = TypeVar("AnyRecord", bound=Record)


def validated(kind: type[AnyRecord], content: Any) -> AnyRecord:
    """JSON `content` as a record of this kind, each field of its very type; lone surrogates are replaced.

    Raises:
        ValidationError: it is none.
    """
    text = json.dumps(content, ensure_ascii=False)
    return kind.model_validate_json(well_formed(text), strict=True)


def first_fault(error: ValidationError) -> str:
    """The first field of a record that could not be read, and why: `scores.mAP.value: Field required`."""
    first = error.errors()[0]
    reason = first["msg"].removeprefix("Value error, ")
    return ": ".join(filter(None, [".".join(map(str, first["loc"])), reason]))


class Question(Record):
    """One question about a clip and its reference answer, both as published (stripped)."""

    text: str
    answer: str


class ShownPerson(Record):
    """A person whom a model is asked about, and how it is shown who that is.

    `corners` are x1, y1, x2, y2 of a box as shares of the frame's width and height, true of `frame`, the
    first being 1. `form`: the box is "drawn" on the frames, or is what the frames are cut to ("crop").
    """

    frame: int
    corners: tuple[float, float, float, float]
    form: BoxForm = "drawn"


class AnnotatedPerson(Record):
    """A person of a clip, and the names of the actions that the person performs."""

    shown: ShownPerson
    actions: tuple[str, ...]


class Clip(Record):
    """Three seconds of video with its references.

    `source` names the footage that the clip was cut from; clips of one source are not independent.
    `video` is None where no video is at hand, and `video_fault` tells why one that is there is not used.
    """

    video_id: str
    source: str
    caption: str | None = None
    questions: tuple[Question, ...] = ()
    persons: tuple[AnnotatedPerson, ...] = ()
    video: Path | None = None
    video_fault: str | None = None


class Request(Record):
    """What a task asks of one clip.

    `id` is the video id or, for a question, `video_id#k`, for a person `video_id#pk`, k from 1. The task
    "text" is none of the benchmark: a language model is asked what `question` says, as it stands.
    """

    id: str
    task: TaskName
    video_id: str
    source: str
    question: str | None = None
    person: ShownPerson | None = None


class Text(Record):
    """A piece of text in a message."""

    text: str


class Video(Record):
    """The place in a message where all frames of the clip go, as one video."""


class Image(Record):
    """The place in a message where a single frame goes; `frame` counts the delivered frames from 0."""

    frame: int


class Message(Record):
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[Text | Video | Image, ...]


class Prompt(Record):
    """What an engine is given: chat messages, to which the engine applies the model's own chat template."""

    messages: tuple[Message, ...]


class Generation(Record):
    """How the model writes. Temperature 0 is greedy decoding; `seed` matters only above it.

    `answer_schema` is the JSON schema that each answer must fit, as JSON, in which the order of properties
    counts: models write them in it. `engines.structured` says which schemas can be used. Where there is
    none, nothing is written of it: what was written before is still the same.
    """

    max_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    answer_schema: str | None = Field(default=None, exclude_if=not_)


# Settings that a model may reject, in the order in which they are named. Of the last three a server is sent
# the neutral values, so that those in a checkpoint do not count.
REJECTABLE = ("max_tokens", "temperature", "top_p", "seed", "top_k", "min_p", "repetition_penalty")

Marks = tuple[tuple[str, str], ...]
# What models write around their thoughts: most the first pair; then Gemma, Mistral, Kimi, Seed and gpt-oss.
THOUGHT_MARKS: Marks = (
    ("<think>", "</think>"),
    ("<|channel>thought", "<channel|>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<seed:think>", "</seed:think>"),
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<analysis>", "</analysis>"),
    ("<scratchpad>", "</scratchpad>"),
)


class Thinking(Record):
    """How a model thinks before it answers.

    `default` is the level where the user gives none; None leaves it to the engine. `marks` are the pairs of
    texts that the model writes around its thoughts. `switches` tells for each engine how each level that it
    knows is asked for: by variables of the chat template (`vllm`, `transformers`), fields of the request's
    body (`server`, `openai`) or of the thinking configuration (`gemini`, `anthropic`). `max_tokens` is the
    least limit of an answer, in tokens, where thinking is on and the user gives none.
    """

    default: ThinkingLevel | None = None
    marks: Marks = THOUGHT_MARKS
    switches: Mapping[str, Mapping[ThinkingLevel, Mapping[str, Any]]] = {}
    max_tokens: int = 4096


ENABLE_THINKING: Mapping[ThinkingLevel, Mapping[str, Any]] = {
    "on": {"enable_thinking": True},
    "off": {"enable_thinking": False},
}


def template_switches(
    levels: Mapping[ThinkingLevel, Mapping[str, Any]] = ENABLE_THINKING,
) -> dict[str, Mapping[ThinkingLevel, Mapping[str, Any]]]:
    """`Thinking.switches` of a model whose levels are set by variables of its chat template.

    Most models have one variable for it, `enable_thinking`.
    """
    asked = {level: {"chat_template_kwargs": variables} for level, variables in levels.items()}
    return {"vllm": levels, "transformers": levels, "server": asked}


def _is_none(value: object) -> bool:
    return value is None


FinishReason = Literal["stop", "length", "content_filter", "refusal"]


class Response(Record):
    """What an engine said to one request, word for word, and what it took.

    `finish_reason` is why generation ended: by itself, at the token limit, by the vendor's content filter, or
    because the model declined; token counts are None where the engine does not tell; `seconds` is the
    engine's time for this request (its share of the batch, where it answers in batches). `from_cache` marks
    an answer that an earlier run was given to the very same question. `reasoning` are thoughts that are no
    part of the answer, and `reasoning_tokens` those of `output_tokens` that were spent on them.
    `served_model` is the model that the server says it asked, `served_version` its version or fingerprint.
    `logprob` is the sum of the natural logarithms of the probabilities of the tokens that were written, where
    it was asked for and there were no thoughts; nothing is written of it where there is none. They are None
    where there is no such thing or it is not told.
    """

    id: str
    text: str
    finish_reason: FinishReason = "stop"
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    seconds: float = 0.0
    from_cache: bool = False
    reasoning: str | None = None
    served_model: str | None = None
    served_version: str | None = None
    logprob: float | None = Field(default=None, le=0, exclude_if=_is_none)


class Answer(Response):
    """A response as the journal holds it: with the `answer` that the adapter found in its text.

    `frames` are the indices of the frames that were shown, in this order. `clip_sha256` are the first 16 hex
    digits of the SHA-256 of the file that they come from; None where no file was shown. `shown_clip` is the
    clip that was shown in place of the one that the request is about; None where none was.
    """

    answer: str
    frames: tuple[int, ...] = ()
    clip_sha256: str | None = None
    shown_clip: str | None = None

    def shows_another_file(self, other: "Answer") -> bool:
        """Whether another file of the clip was shown than for `other`; false where one of them tells none."""
        return None not in (self.clip_sha256, other.clip_sha256) and self.clip_sha256 != other.clip_sha256


class Failure(Record):
    """Why a request has no answer. It is never scored as one; the next start asks again.

    `response` is what the engine said, where it said something in which no answer was found. Where the
    adapter found none, `frames`, `clip_sha256` and `shown_clip` tell what was shown, as in `Answer`.
    """

    id: str
    stage: Stage
    reason: str
    retryable: bool = False
    response: Response | None = None
    frames: tuple[int, ...] | None = None
    clip_sha256: str | None = None
    shown_clip: str | None = None


class Withdrawal(Record):
    """What was recorded for a request before no longer counts, for `reason`; the request is asked again.

    `parsed_again` tells that its response still does: the next line holds it, with what the adapter finds in
    it now.
    """

    id: str
    reason: str
    parsed_again: bool = False
