"""How the command line shows things: consoles, the progress bar, the preview of `--dry-run`."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from microg_bench.records import Failure, Image, Prompt, Video
from microg_bench.runs.prepare import Prepared
from microg_bench.video import decode

MAX_FAILURES_SHOWN = 10


def output() -> Console:
    """Where results go."""
    return Console(highlight=False, markup=False, soft_wrap=True)


def errors_console() -> Console:
    """Where progress, notes and errors go, so that results can be piped."""
    return Console(stderr=True, highlight=False)


def printable(text: str) -> str:
    """Text that cannot steer the terminal: every control character becomes a space."""
    return "".join(character if character.isprintable() else " " for character in text)


class ProgressWatcher:
    """Shows a run as a progress bar with its rate, the time left and the failures so far."""

    def __init__(self) -> None:
        """Nothing is shown before the first stage begins."""
        self._console = errors_console()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[failed]}", style="red"),
            console=self._console,
        )
        self._stage: TaskID | None = None
        self.failures = 0

    def __enter__(self) -> ProgressWatcher:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def begin(self, what: str, total: int, done: int) -> None:
        """Show a new stage; what an earlier start has done counts as done, but not for the rate."""
        if done:
            self.note(f"going on: {done} of {total} are answered already")
        self._stage = self._bar.add_task(what, total=total, completed=done, rate="", failed="")

    def step(self) -> None:
        """One more."""
        if self._stage is None:
            return
        self._bar.advance(self._stage)
        speed = self._bar.tasks[self._stage].speed
        self._bar.update(self._stage, rate=f"{speed:.1f}/s" if speed else "")

    def failure(self, failure: Failure) -> None:
        """Count a failure, and print the first ones with their reason."""
        self.failures += 1
        if self.failures <= MAX_FAILURES_SHOWN:
            self._console.print(
                printable(f"failed: {failure.id}: {failure.reason}"), style="red", markup=False
            )
        if self._stage is not None:
            self._bar.update(self._stage, failed=f"{self.failures} failed")

    def note(self, text: str) -> None:
        """A line above the bar."""
        self._console.print(text, markup=False)


def dry_run(prepared: Prepared) -> str:
    """What would be asked, with one prompt as the model would get it; loads no model."""
    items = {task: prepared.items(task) for task in prepared.tasks}
    spec = prepared.spec
    lines = [
        f"model       {prepared.adapter.name} ({prepared.adapter.title})",
        f"checkpoint  {prepared.engine_options.checkpoint or 'none'}",
        f"engine      {prepared.engine}",
        f"data        {prepared.dataset.name}, {len(prepared.clips)} of {len(prepared.dataset.clips)} clips",
        f"frames      {spec or 'none: this model sees no video'}",
        *(f"{task:<11} {len(found)} requests" for task, found in items.items()),
        "tokens      not known before the model's processor is loaded",
        "cost        none: nothing is paid for on this engine",
    ]
    for task, found in items.items():
        request = found[0].request
        clip = next(clip for clip in prepared.clips if clip.video_id == request.video_id)
        frames = decode(clip.video, spec) if spec and clip.video else None
        shown = ", ".join(map(str, frames.indices)) if frames else "none"
        prompt = prepared.adapter.prompt(request, prepared.templates[task].render(request), frames)
        lines += ["", f"first {task} request, {request.id}; frames {shown}", *_prompt_lines(prompt)]
    return "\n".join(lines)


def _prompt_lines(prompt: Prompt) -> list[str]:
    lines = []
    for message in prompt.messages:
        for part in message.parts:
            text = (
                "<video>"
                if isinstance(part, Video)
                else f"<frame {part.frame}>"
                if isinstance(part, Image)
                else part.text
            )
            lines += [f"  [{message.role}] {line}" for line in text.splitlines()]
    return lines
