"""The page of a run in progress: what is done, what is left, the latest answers. It claims no scores."""

from asyncio import CancelledError
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any

from microg_bench.errors import RunError
from microg_bench.pages.run_page import run_page
from microg_bench.pages.shell import GENERATOR, render, visible
from microg_bench.privacy import outgoing
from microg_bench.progress import Progress
from microg_bench.records import Answer, Failure, TaskName
from microg_bench.runs.configure import Configuration
from microg_bench.runs.public import public
from microg_bench.runs.record import RunRecord
from microg_bench.runs.start import Outcomes
from microg_bench.storage import write_bytes
from microg_bench.tasks import TASKS, Item
from microg_bench.text import first_line, many

LATEST = 50  # answers of a task that a page shows, and as many failures
MAX_TEXT = 2000  # characters of each of their texts
HEAD_BYTES = 4096  # in which a page names what wrote it


@dataclass
class LivePage:
    """The page `file` of the runs of a start, by task, which is written while they are asked.

    A page that cannot be written is told of once, as a note, and stops nothing.
    """

    file: Path
    runs: Mapping[TaskName, RunRecord]
    configuration: Configuration
    progress: Progress
    _given_up: bool = field(default=False, init=False)

    def write(self, seconds: float, steps: int) -> None:
        """Write what is done and what is left; `steps` were taken in the last `seconds` of asking."""
        left = sum(one.left for one in self._states)
        self._write(partial(self._state, words(left * seconds / steps) if steps and left else ""))

    def stop(self, error: BaseException) -> None:
        """Write what is done, and what has stopped this start."""
        if any(run.has_lines for run in self.runs.values()):
            interrupted = isinstance(error, KeyboardInterrupt | CancelledError)
            what = "Interrupted" if interrupted else f"This start was stopped ({first_line(error)})"
            self._end(f"{what}; run the same command again to resume.")

    def finish(self, outcomes: Outcomes) -> None:
        """Write the page of the runs, see `run_page`, or why they are not scored."""
        shard = self.configuration.options.shard
        if outcomes.pending:
            self._end(f"{many(outcomes.pending, 'request')} pending in the batch interface.")
        elif shard:
            self._end(f"Shard {shard} has ended; it is not scored by itself.")
        elif outcomes.recorded:
            self._write(partial(self._whole, outcomes.recorded))

    def _end(self, why: str) -> None:
        self._write(partial(self._state, ended=why))

    def _write(self, made: Callable[[], bytes]) -> None:
        if self._given_up:
            return
        try:
            check_own(self.file)
            write_bytes(self.file, made())
        except Exception as error:  # whatever is wrong with a page: the run is worth more
            self._given_up = True
            self.progress.note(f"the page of the run is not written: {first_line(error)}")

    def _whole(self, recorded: Sequence[RunRecord]) -> bytes:
        runs = list(map(public, recorded))
        return run_page(
            runs, self.configuration.dataset, [run.item_scores() for run in runs], {}, self._no_pictures
        )

    @property
    def _no_pictures(self) -> str:
        folder = self.file.parent
        told = folder.name if folder.is_absolute() else folder  # which names no place of this machine
        return f"Pictures of the frames are on the page that this command writes: microg-bench report {told}"

    def _state(self, left: str = "", ended: str = "") -> bytes:
        settings = next(iter(self.runs.values())).settings
        return render(
            "live",
            ("help",),
            None,
            title=f"{outgoing(settings.title)}, in progress",
            model=outgoing(settings.title),
            dataset=outgoing(settings.dataset),
            states=self._states,
            left=left,
            ended=outgoing(ended),
            now=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        )

    @property
    def _states(self) -> list["TaskState"]:
        return [TaskState(TASKS[task].title, run, self._by_id[task]) for task, run in self.runs.items()]

    @cached_property
    def _by_id(self) -> dict[TaskName, dict[str, Item]]:
        asked = self.configuration.items
        return {task: {item.request.id: item for item in items} for task, items in asked.items()}


@dataclass(frozen=True)
class TaskState:
    """How far the run of a task is; `items` are all that it asks, by their ids."""

    title: str
    run: RunRecord
    items: Mapping[str, Item]

    @property
    def answered(self) -> int:
        """Requests with an answer."""
        return len(self.run.answers)

    @property
    def failed(self) -> int:
        """Requests that have failed; the next start asks them again."""
        return len(self.run.failures)

    @property
    def left(self) -> int:
        """Requests that have neither."""
        return max(0, len(self.items) - self.answered - self.failed)

    def latest(self) -> list[dict[str, Any]]:
        """The latest answers, the last first."""
        return self._latest(reversed(self.run.answers.values()))

    def latest_failures(self) -> list[dict[str, Any]]:
        """The latest failures, the last first."""
        return self._latest(reversed(self.run.failures.values()))

    def _latest(self, found: Iterable[Answer | Failure]) -> list[dict[str, Any]]:
        return [_shown(one, self.items.get(one.id)) for one in islice(found, LATEST)]


def _shown(one: Answer | Failure, item: Item | None) -> dict[str, Any]:
    texts = {
        "id": one.id,
        "question": item.request.question if item else None,
        "reference": item.reference if item else None,
        "answer": one.answer if isinstance(one, Answer) else None,
        "failure": f"{one.stage}: {outgoing(one.reason)}" if isinstance(one, Failure) else None,
    }
    return {name: text and visible(_cut(text)) for name, text in texts.items()}


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def check_own(file: Path) -> None:
    """Accept a place where nothing is, or a page that was written here.

    Raises:
        RunError: something else is there, or it cannot be read.
    """
    if not file.is_symlink() and not file.exists():
        return
    reason = "is no page that was written here, and is left as it is"
    if file.is_symlink() or not file.is_file():
        raise RunError(reason, path=file)
    try:
        with file.open("rb") as content:
            head = content.read(HEAD_BYTES)
    except OSError as error:
        raise RunError(f"cannot be read: {error.strerror}", path=file) from error
    if GENERATOR.encode() not in head:
        raise RunError(reason, path=file)


def words(seconds: float) -> str:
    """A time in words, as exact as an estimate is: ``40 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
