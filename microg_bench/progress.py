"""Progress of long work: the callback, and the bar in a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import NoneType, TracebackType
from typing import TYPE_CHECKING, Any, Literal

from microg_bench.errors import UsageError
from microg_bench.text import printable

if TYPE_CHECKING:
    from microg_bench.records import Failure

MAX_FAILURES_SHOWN = 10
ASKING = "asking"  # the stage in which requests are sent


class Progress:
    """A progress callback. This one shows nothing and refuses to spend money; override what you need."""

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """A stage of `total` steps begins, `done` of which an earlier start has taken."""

    def advance(self) -> None:
        """One step was taken."""

    def failure(self, failure: Failure) -> None:
        """One request failed."""

    def note(self, text: str) -> None:
        """Something that the user should know."""

    def confirm(self, question: str) -> None:
        """Money is about to be spent; raise `UsageError` to refuse."""
        raise UsageError(f"{question}: give --yes (yes=True) or --max-cost (max_cost=…) to spend it")


class Periodic(Progress):
    """Passes everything on to another callback, and acts now and then while the steps of a stage are taken.

    `act` is called in the stage called `during`, after a step, with the seconds since the stage began and the
    steps taken in it: every `EVERY_S` seconds, or less often where it would use more than `MOST_SHARE` of the
    time; where it acts `always`, first after the first step.

    Attributes:
        act: what is done; None for nothing.
        acted: whether it was done, or is to be done in any case.
    """

    EVERY_S = 10.0
    MOST_SHARE = 0.01

    def __init__(self, shown: Progress, during: str, always: bool = False) -> None:
        self._shown, self._during, self._first = shown, during, 0.0 if always else self.EVERY_S
        self.act: Callable[[float, int], None] | None = None
        self.acted = always
        self._begun: float | None = None
        self._steps, self._due = 0, 0.0

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """See `Progress.stage`."""
        now = time.monotonic()
        self._begun, self._steps, self._due = (now if name == self._during else None), 0, now + self._first
        self._shown.stage(name, total, done)

    def advance(self) -> None:
        """See `Progress.advance`."""
        self._shown.advance()
        self._step()

    def failure(self, failure: Failure) -> None:
        """See `Progress.failure`."""
        self._shown.failure(failure)
        self._step()

    def note(self, text: str) -> None:
        """See `Progress.note`."""
        self._shown.note(text)

    def confirm(self, question: str) -> None:
        """See `Progress.confirm`."""
        self._shown.confirm(question)

    def _step(self) -> None:
        self._steps += 1
        now = time.monotonic()
        if self.act and self._begun is not None and now >= self._due:
            self.acted = True
            self.act(now - self._begun, self._steps)
            spent = time.monotonic() - now
            self._due = now + spent + max(self.EVERY_S, spent / self.MOST_SHARE)


class RichProgress(Progress):
    """A bar on standard error with its rate, the time left and the failures so far; a context manager.

    Where standard error is no terminal, notes and failures alone are printed.
    """

    def __init__(self) -> None:
        """Nothing is shown before the first stage begins."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self.console = Console(stderr=True, highlight=False)
        self._bar: Any = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[failed]}", style="red"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._stage: Any = None
        self.failures = 0

    def __enter__(self) -> RichProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """Show a new stage; what an earlier start has done counts as done, but not for the rate."""
        if done:
            self.note(f"resuming: {done} of {total} are done")
        self._stage = self._bar.add_task(name, total=total, completed=done, failed="", rate="")

    def advance(self) -> None:
        """One more."""
        if self._stage is None:
            return
        self._bar.advance(self._stage)
        task = self._bar.tasks[self._stage]
        if speed := task.finished_speed or task.speed:
            self._bar.update(self._stage, rate=f"{speed:.1f}/s")

    def failure(self, failure: Failure) -> None:
        """Count a failure, and print the first ones with their reason."""
        self.failures += 1
        if self.failures <= MAX_FAILURES_SHOWN:
            line = printable(f"failed: {failure.id}: {failure.reason}")
            self.console.print(line, style="red", markup=False, soft_wrap=True)
        if self._stage is not None:
            self._bar.update(self._stage, failed=f"{self.failures} failed")

    def note(self, text: str) -> None:
        """A line above the bar."""
        self.console.print(printable(text), markup=False, soft_wrap=True)

    def confirm(self, question: str) -> None:
        """Ask in the terminal; without one, refuse."""
        if not self.console.is_terminal or not sys.stdin.isatty():
            super().confirm(question)
        self._bar.stop()
        if self.console.input(f"{question}. Continue? [y/N] ").strip().lower() not in ("y", "yes"):
            raise UsageError("nothing was asked, nothing was spent")
        self._bar.start()


Show = Progress | Literal["rich"] | None


@contextmanager
def shown(progress: Show, page: bool | None = False) -> Iterator[Progress]:
    """The progress callback that a caller asked for; a bar is removed in the end.

    Args:
        progress: as the caller gives it.
        page: whether the runs have a page as they are asked, None where that takes long; the callback is
            `Periodic` then.

    Raises:
        UsageError: it is none.
    """
    if progress == "rich":
        with RichProgress() as bar:
            yield _periodic(bar, page)
    elif not isinstance(progress, (Progress, NoneType)):
        raise UsageError(f'progress: give "rich", None or a Progress, not {progress!r}')
    else:
        yield _periodic(progress or Progress(), page)


def _periodic(progress: Progress, page: bool | None) -> Progress:
    return progress if page is False else Periodic(progress, ASKING, always=bool(page))
