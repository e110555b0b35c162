"""What was sent for the items of a run, how its responses ended, and what tokens they took."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from microg_bench.records import FinishReason, Image, Request, Response, Text, Video
from microg_bench.runs.messages import ONE_VIDEO, Sent
from microg_bench.runs.record import RunRecord

ENDINGS: dict[FinishReason, str] = {
    "stop": "ended by itself",
    "length": "hit the token limit",
    "content_filter": "stopped by the content filter",
    "refusal": "declined by the model",
}
TOKENS = ("prompt", "answer", "thoughts")
MOST_TOKENS = 10**9  # of a response; more cannot be


def shapes(
    messages: Iterable[Sent], asked: Iterable[Iterable[tuple[Request, str | None]]]
) -> tuple[list[list[Any]], dict[str, int]]:
    """The different prompts of runs, each once, and the place of each request's among them, by its id.

    A prompt is a list of ``[role, parts]``. A part is a list of texts between which the question of the
    request stands, the place of a frame (a number, from 0), or what was sent of the clip, in words.
    """
    found: dict[str, int] = {}
    places = {}
    for told, own in zip(messages, asked, strict=True):
        for one, _ in own:
            if one.id in told.prompts:
                shape = _shape(told, one)
                places[one.id] = found.setdefault(json.dumps(shape), len(found))
    return [json.loads(text) for text in found], places


def _shape(told: Sent, request: Request) -> list[Any]:
    clip = told.clips.get(request.id, ONE_VIDEO)
    messages = told.prompts[request.id].messages
    return [[one.role, [_part(part, request.question, clip) for part in one.parts]] for one in messages]


def _part(part: Text | Video | Image, question: str | None, clip: str) -> list[str] | int | str:
    if isinstance(part, Text):
        return part.text.split(question) if question else [part.text]
    return part.frame if isinstance(part, Image) else clip


def tokens(said: Response) -> list[int | None]:
    """The tokens of prompt, answer and thoughts; None where the engine tells none, or none that can be."""
    counts = (said.prompt_tokens, said.output_tokens, said.reasoning_tokens)
    prompt, output, thoughts = (
        one if one is not None and 0 <= one <= MOST_TOKENS else None for one in counts
    )
    answer = output if output is None or thoughts is None else max(0, output - thoughts)
    return [prompt, answer, thoughts]


@dataclass(frozen=True)
class TokenSum:
    """Tokens of one kind, over the requests of which they are told; `total` is None where there are none."""

    name: str
    told: int
    total: int | None

    @property
    def mean(self) -> float | None:
        """Tokens of a request."""
        return None if self.total is None else self.total / self.told


@dataclass(frozen=True)
class Exchange:
    """What came back: how often responses ended in which way, in words, and the sums of their tokens."""

    task: str
    responses: int
    endings: Mapping[str, int]
    sums: Sequence[TokenSum]


def exchange(run: RunRecord, task: str) -> Exchange:
    """The responses that count: of answers, and of failures in which the model said something."""
    said = [*run.answers.values(), *filter(None, (one.response for one in run.failures.values()))]
    reasons = Counter(one.finish_reason for one in said)
    endings = {ENDINGS[reason]: reasons[reason] for reason in get_args(FinishReason) if reasons[reason]}
    columns = zip(*map(tokens, said), strict=True) if said else ((),) * len(TOKENS)
    return Exchange(task, len(said), endings, [_sum(*one) for one in zip(TOKENS, columns, strict=True)])


def _sum(name: str, counts: Sequence[int | None]) -> TokenSum:
    told = [count for count in counts if count is not None]
    return TokenSum(name, len(told), sum(told) if told else None)
