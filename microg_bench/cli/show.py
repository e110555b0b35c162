"""How the command line shows things: consoles, the progress bar, the preview of `--dry-run`."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from microg_bench.errors import UsageError
from microg_bench.records import Failure, Image, Prompt, Video
from microg_bench.runs.cost import Estimate
from microg_bench.runs.plan import plan
from microg_bench.runs.prepare import Prepared
from microg_bench.runs.session import Outcome
from microg_bench.video import decode

MAX_FAILURES_SHOWN = 10
ASK_ABOVE = 1.0  # US dollars


def output() -> Console:
    """Where results go."""
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=True)


def errors_console() -> Console:
    """Where progress, notes and errors go, so that results can be piped."""
    return Console(stderr=True, highlight=False)


def printable(text: str) -> str:
    """Text that cannot steer the terminal: every control character becomes a space."""
    return "".join(character if character.isprintable() else " " for character in text)


class ProgressWatcher:
    """Shows a run as a progress bar with its rate, the time left and the failures so far.

    Money is spent only after a question, unless the run costs little or `yes` was said before.
    """

    def __init__(self, yes: bool = False) -> None:
        """Nothing is shown before the first stage begins."""
        self._yes = yes
        self._console = errors_console()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _RateColumn(),
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
        self._stage = self._bar.add_task(what, total=total, completed=done, failed="")

    def step(self) -> None:
        """One more."""
        if self._stage is not None:
            self._bar.advance(self._stage)

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

    def confirm(self, estimate: Estimate) -> None:
        """Ask before more than a little is spent; without a terminal, `--yes` must have been said."""
        self.note(f"cost: {cost_words(estimate)}")
        if self._yes or estimate.dollars <= ASK_ABOVE:
            return
        if not self._console.is_terminal or not sys.stdin.isatty():
            raise UsageError(f"this may cost {dollars(estimate.dollars)}: add --yes to spend it")
        self._bar.stop()
        if not typer.confirm("Go on?", err=True):
            raise UsageError("nothing was asked, nothing was spent")
        self._bar.start()


class _RateColumn(ProgressColumn):
    """Steps a second, computed only when the bar is drawn."""

    def render(self, task: Task) -> Text:
        """The rate, empty at first."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed else "")


def dollars(amount: float) -> str:
    """`$12.34`, with more digits for small change."""
    return f"${amount:,.2f}" if amount >= 0.1 else f"${amount:.4f}"


def cost_words(estimate: Estimate) -> str:
    """An estimate in a line."""
    return (
        f"about {dollars(estimate.dollars)} at most for {estimate.requests:,} requests"
        f" (about {estimate.prompt_tokens:,} prompt tokens, at most {estimate.output_tokens:,} generated)"
    )


def usage_lines(outcome: Outcome) -> list[str]:
    """What a start took, in words; nothing where it asked nothing."""
    lines = [line for usage in outcome.usages for line in _usage(usage)]
    if outcome.usages and outcome.dollars is not None:
        lines.append(f"cost: {dollars(outcome.dollars)} so far")
    return lines


def _usage(usage: dict[str, Any]) -> list[str]:
    asked = usage["answers"] - usage["shared"]
    lines = [f"{usage['answers']} answered, {usage['failures']} failed"]
    if usage["shared"]:
        lines[0] += f"; {usage['shared']} answers were shared with an earlier run"
    if asked and usage["prompt_tokens"]:
        share = usage["cached_tokens"] / usage["prompt_tokens"]
        lines.append(
            f"tokens: {usage['prompt_tokens']:,} in prompts ({share:.0%} served by a cache), "
            f"{usage['output_tokens']:,} generated"
        )
    seconds = usage["seconds"]
    lines.append(
        f"time: {seconds['generating']:.1f} s generating, {seconds['waiting']:.1f} s waiting for clips; "
        f"{seconds['decoding']:.1f} s of decoding beside it; {usage['clips_per_second'] or 0:.2f} clips/s"
    )
    return lines


def dry_run(prepared: Prepared) -> str:
    """What would be asked, with one prompt as the model would get it; loads no model."""
    items = {task: prepared.items(task) for task in prepared.tasks}
    spec = prepared.spec
    lines = [
        f"model       {prepared.adapter.name} ({prepared.adapter.title})",
        f"checkpoint  {prepared.engine_options.checkpoint or 'none'}",
        f"engine      {prepared.engine}",
        f"data        {prepared.dataset.name}, {len(prepared.clips)} of {len(prepared.dataset.clips)} clips",
        f"frames      {_frames(prepared)}",
        *(f"{task:<11} {len(found)} requests" for task, found in items.items()),
        f"cost        {_cost(prepared)}",
    ]
    for task, found in items.items():
        request = found[0].request
        clip = next(clip for clip in prepared.clips if clip.video_id == request.video_id)
        frames = decode(clip.video, spec) if spec and clip.video else None
        shown = ", ".join(map(str, frames.indices)) if frames else "none"
        prompt = prepared.adapter.prompt(request, prepared.templates[task].render(request), frames)
        lines += ["", f"first {task} request, {request.id}; frames {shown}", *_prompt_lines(prompt)]
    return "\n".join(lines)


def _frames(prepared: Prepared) -> str:
    if prepared.whole:
        return "the whole clip, as its file"
    return str(prepared.spec or "none: this model sees no video")


def _cost(prepared: Prepared) -> str:
    if prepared.price is None:
        return "none, or not known: no price is listed for this engine and model"
    estimate = prepared.estimate(plan(prepared.clips, prepared.tasks, {}), prepared.price)
    return f"{cost_words(estimate)}; prices of {prepared.price.date}"


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
