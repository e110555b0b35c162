"""The messages that a run sent, made again from its adapter, its prompt and what it showed.

A journal does not hold them: they follow from the adapter, whose source `Settings.adapter_sha256` identifies,
and from the template, whose words `Settings.prompt` does. Each start notes the SHA-256 of one of its prompts,
which must be that of the prompt that is made again.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from microg_bench.adapters.base import Adapter, Baseline, made_prompt, without_media
from microg_bench.adapters.registry import find_adapter, is_file, source_sha256
from microg_bench.errors import MicrogError, RunError
from microg_bench.privacy import outgoing
from microg_bench.prompts import Template, find_template, shipped_templates
from microg_bench.records import Prompt, Request
from microg_bench.runs.budget import CLIP_FPS
from microg_bench.runs.record import RunRecord
from microg_bench.runs.start import prompted
from microg_bench.text import first_line
from microg_bench.video.decode import Frames

ONE_VIDEO = "the clip, as one video"


@dataclass(frozen=True)
class Sent:
    """The prompt of each request by its id; where there are none, `why` says the reason in a sentence.

    `clips` says in words what went in the place of a clip in the prompt of a request.
    """

    prompts: Mapping[str, Prompt] = field(default_factory=dict)
    why: str = ""
    clips: Mapping[str, str] = field(default_factory=dict)

    @property
    def example(self) -> str:
        """The first request that has a prompt; "" where none has."""
        return next(iter(self.prompts), "")


def sent(run: RunRecord, requests: Iterable[Request]) -> Sent:
    """What `run` sent for `requests`, as the adapter makes it again.

    An adapter's file is not imported. A frame is told its index and, at the rate of the dataset's clips, its
    time; it has no pixels.
    """
    try:
        adapter = _adapter(run)
        if isinstance(adapter, Baseline):
            return Sent(why="A baseline asks no model, so it sends no messages.")
        asked = list(requests)
        clips = {one.id: _clip(run, one) for one in asked}
        return Sent(_made_again(run, adapter, asked), clips=clips)
    except MicrogError as error:
        return Sent(why=f"The messages cannot be made again: {outgoing(error.reason)}.")


def _adapter(run: RunRecord) -> Adapter:
    """The adapter of the run.

    Raises:
        RunError: it is a file, is not installed, or was edited.
    """
    adapter = None
    if not is_file(run.settings.model):
        with suppress(MicrogError):
            adapter = find_adapter(run.settings.model)
    if adapter is None or source_sha256(adapter) != run.settings.adapter_sha256:
        raise RunError("the adapter of this run is not installed here, or is another version")
    return adapter


def _made_again(run: RunRecord, adapter: Adapter, requests: list[Request]) -> dict[str, Prompt]:
    if any(one.task == "vqa" and one.question is None for one in requests):
        raise RunError("the questions are not at hand")
    template = _template(run)
    try:
        prompts = {one.id: _prompt(run, adapter, template, one) for one in requests}
    except Exception as error:  # an adapter is somebody else's code
        raise RunError(f"the adapter fails ({first_line(error)})") from error
    if any(_differs(start.get("prompted"), prompts, requests) for start in run.starts):
        raise RunError("the adapter now makes another prompt than the one that was sent")
    return prompts


def _template(run: RunRecord) -> Template:
    """The template of the run: a shipped one, or the file that it was started with.

    Raises:
        MicrogError: it is not at hand, or its words are others now.
    """
    settings = run.settings
    found = [one for one in shipped_templates().values() if one.identity == settings.prompt]
    file = run.options.get("prompt")
    if not found and run.has_journal and isinstance(file, str) and file.endswith(".toml"):
        found = [find_template(settings.task, file)]
    if not found or found[0].identity != settings.prompt:
        raise RunError("the prompt of this run is not at hand")
    return found[0]


def _prompt(run: RunRecord, adapter: Adapter, template: Template, request: Request) -> Prompt:
    prompt = made_prompt(adapter, request, template.render(request), _frames(run, request))
    return without_media(prompt) if "no-frames" in run.settings.transforms else prompt


def _clip(run: RunRecord, request: Request) -> str:
    """What was sent in the place of the clip: see `settings.Media`."""
    media, answer = run.settings.media, run.answers.get(request.id)
    count = f"{len(answer.frames)} frames" if answer and answer.frames else "frames"
    match media.kind if media else None:
        case "images":
            return f"{count} of the clip, each as an image of its own"
        case "video":
            return f"the clip, as one video of {count}, each a JPEG image"
        case "clip":
            return "the clip, as its own file"
    return ONE_VIDEO


def _frames(run: RunRecord, request: Request) -> Frames | None:
    """What was recorded of the frames of an answer; None where it tells none."""
    answer = run.answers.get(request.id)
    if answer is None or not answer.frames:
        return None
    times = tuple(index / CLIP_FPS for index in answer.frames)
    total = max(answer.frames) + 1
    pixels = np.empty((len(answer.frames), 0, 0, 3), np.uint8)
    return Frames(pixels, answer.frames, times, CLIP_FPS, total, total / CLIP_FPS)


def _differs(told: object, prompts: Mapping[str, Prompt], requests: list[Request]) -> bool:
    """Whether a start noted another prompt than the one that is made again; false where it noted none."""
    if not isinstance(told, dict):
        return False
    request = next((one for one in requests if one.id == told.get("id")), None)
    return request is not None and prompted(request, prompts[request.id])["sha256"] != told.get("sha256")
