"""What a run would ask, and what it would cost, before a model is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from datetime import date
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microg_bench.adapters.base import blamed, made_prompt
from microg_bench.engines.registry import CLOSED
from microg_bench.errors import UsageError
from microg_bench.records import Clip, Image, Prompt, Request, ShownPerson, TaskName, Text
from microg_bench.runs.budget import Estimate, estimate, expected_frames, price_day, unshown_prompts
from microg_bench.runs.configure import Configuration
from microg_bench.runs.record import RUN_FILE, RunRecord, refusal
from microg_bench.text import many

if TYPE_CHECKING:
    from microg_bench.video.decode import Frames


@dataclass(frozen=True)
class Example:
    """The first request of a task, with its prompt and the indices of the frames that it shows."""

    request: Request
    prompt: Prompt
    frames: tuple[int, ...]

    def lines(self) -> Iterator[str]:
        """The prompt as the model would get it."""
        shown = ", ".join(map(str, self.frames)) or "none"
        yield f"first {self.request.task} request, {self.request.id}; frames {shown}"
        for message in self.prompt.messages:
            for part in message.parts:
                video = f"<frame {part.frame}>" if isinstance(part, Image) else "<video>"
                text = part.text if isinstance(part, Text) else video
                yield from (f"  [{message.role}] {line}" for line in text.splitlines())


@dataclass(frozen=True)
class Preview:
    """What would be asked; `str()` shows it. `estimate` is None where no price is known.

    `answered` are the requests of each task that its run has answered already: they are not asked again, and
    `estimate` is without them. `warnings` are what the user must know first, a line each; `today` is the day
    from which a price's age is seen.
    """

    configuration: Configuration
    examples: tuple[Example, ...]
    estimate: Estimate | None
    answered: Mapping[TaskName, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    today: date = field(default_factory=date.today)

    def __str__(self) -> str:
        one = self.configuration
        whole = "the whole clip, as its file" if one.sends_clips else "none: this model sees no video"
        clips = "" if one.texts else f", {len(one.clips)} of {many(len(one.dataset.clips), 'clip')}"
        rows: dict[str, str] = {
            "model": f"{one.adapter.name} ({one.title})",
            "checkpoint": one.engine_options.checkpoint or "none",
            "engine": one.engine.name,
            "data": f"{one.dataset.name}{clips}",
            "frames": " ".join([str(one.frames or whole), *map(str, one.transforms)]),
            **{
                task: _with_answered(len(items), self.answered.get(task, 0))
                for task, items in one.items.items()
            },
            "cost": self.cost,
        }
        lines = [*self.warnings, *(f"{name:<11} {value}" for name, value in rows.items())]
        for example in self.examples:
            lines += ["", *example.lines()]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """What would be asked, as JSON; `dollars` is None where no price is known."""
        one = self.configuration
        return {
            "model": one.adapter.name,
            "title": one.title,
            "checkpoint": one.engine_options.checkpoint,
            "engine": one.engine.name,
            "dataset": one.dataset.name,
            "clips": len(one.clips),
            "requests": {task: len(items) for task, items in one.items.items()},
            "answered": {task: self.answered.get(task, 0) for task in one.items},
            "dollars": self.estimate.dollars if self.estimate else None,
            "warnings": list(self.warnings),
            "prompts": [
                {"id": one.request.id, "frames": one.frames, **one.prompt.model_dump(mode="json")}
                for one in self.examples
            ],
        }

    @property
    def requests(self) -> int:
        """How many requests there are, of all tasks."""
        return sum(map(len, self.configuration.items.values()))

    @property
    def cost(self) -> str:
        """The cost in words."""
        one, price = self.configuration, self.configuration.price
        if self.estimate is None or price is None:
            return "unknown (no price listed)" if one.engine.name in CLOSED else "none"
        return f"{self.estimate}; {price_day(price, self.today)}"


@dataclass(frozen=True)
class Previews:
    """What several runs of a model would ask, and what they would cost: each, and all together.

    `runs` are by name; the first is shown in full.
    """

    runs: Mapping[str, Preview]

    def __str__(self) -> str:
        counts = {name: (one.requests, sum(one.answered.values())) for name, one in self.runs.items()}
        requests, answered = (sum(one) for one in zip(*counts.values(), strict=True))
        rows = {name: (_with_answered(*counts[name]), one.cost) for name, one in self.runs.items()}
        rows["together"] = _with_answered(requests, answered), self.cost
        width = max(11, *map(len, rows))
        lines = [f"{name:<{width}} {told}, cost: {cost}" for name, (told, cost) in rows.items()]
        return "\n".join([str(next(iter(self.runs.values()))), "", *lines])

    @property
    def cost(self) -> str:
        """The cost of all together, in words."""
        known = [one.estimate for one in self.runs.values() if one.estimate]
        return str(reduce(add, known)) if known else next(iter(self.runs.values())).cost


def _with_answered(requests: int, answered: int) -> str:
    of = f", {answered:,} of them answered already" if answered else ""
    return f"{many(requests, 'request')}{of}"


def preview(
    one: Configuration, paths: Mapping[TaskName, Path] | None = None, today: date | None = None
) -> Preview:
    """Decode the first clip of each task, render its prompt and estimate the cost.

    Args:
        one: what is to be asked.
        paths: the runs that would be made or resumed, by task.
        today: the day from which ends of models and ages of prices are seen, by default the current one.

    Raises:
        DecodeError: a clip cannot be decoded.
        RunError: a run at one of the paths has answers under other settings, or is damaged.
        UsageError: the adapter makes no prompt.
    """
    answered = {task: _answered(one, task, path) for task, path in (paths or {}).items()}
    examples = tuple(_example(one, items[0].request) for items in one.items.values())
    today = today or date.today()
    counts = {task: len(ids) for task, ids in answered.items()}
    return Preview(one, examples, _estimate(one, answered), counts, tuple(one.warnings(today)), today)


def _answered(one: Configuration, task: TaskName, path: Path) -> Set[str]:
    """The ids of the requests that the run at `path`, if there is one, has answered."""
    if not (path / RUN_FILE).exists():
        return frozenset()
    record = RunRecord.read(path)
    if record.answers and record.settings.changed(now := one.settings(task)):
        raise refusal(record, now, one.options.model or "")
    return record.answers.keys() & {item.request.id for item in one.items[task]}


def _example(one: Configuration, request: Request) -> Example:
    clip = next(clip for clip in one.clips if clip.video_id == request.video_id)
    frames, order = shown_frames(one, clip, request.person)
    try:
        prompt = made_prompt(one.adapter, request, one.templates[request.task].render(request), frames)
    except Exception as error:  # an adapter is somebody else's code
        raise UsageError(blamed(one.adapter, request, "prompt", error).reason, item=request.id) from error
    return Example(request, one.asked(prompt), order)


def shown_frames(
    one: Configuration, clip: Clip, person: ShownPerson | None
) -> tuple[Frames | None, tuple[int, ...]]:
    """The frames of a clip as they are shown, with their indices in order.

    Raises:
        DecodeError: it cannot be decoded.
    """
    from microg_bench.video.decode import decode
    from microg_bench.video.transforms import transformed

    source = one.donors.get(clip.video_id, clip)
    if one.decoded is None or source.video is None:
        return None, ()
    frames = decode(source.video, one.decoded)
    if person:
        from microg_bench.video.persons import with_person

        frames = with_person(frames, person)
    return transformed(frames, one.transforms, clip.video_id, one.options.seed)


def _estimate(one: Configuration, answered: Mapping[TaskName, Set[str]]) -> Estimate | None:
    if one.price is None:
        return None
    requests = (
        item.request
        for task, items in one.items.items()
        for item in items
        if item.request.id not in answered.get(task, ())
    )
    asked = ((prompt, one.generation(request.task)) for request, prompt in unshown_prompts(one, requests))
    return estimate(asked, one.price, expected_frames(one.decoded), one.options.batch)
