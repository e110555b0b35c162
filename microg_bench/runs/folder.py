"""A run on disk: a folder with run.json, journal.jsonl and, once scored, scorecard.json and its tables.

One run is one task of one model on one dataset. The folder belongs to one writer at a time, and goes on
only under the settings that it was made with.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from microg_bench.errors import RunError
from microg_bench.files import write_json
from microg_bench.records import Failure, Generation, Response
from microg_bench.runs.journal import Journal, read_journal
from microg_bench.runs.settings import RUN_SCHEMA, Options, Settings, difference

RUN_FILE = "run.json"
JOURNAL_FILE = "journal.jsonl"
LOCK_FILE = ".lock"


@dataclass(frozen=True)
class Answer:
    """One answered request as the journal holds it. `frames` are the indices of the frames shown."""

    id: str
    answer: str
    text: str
    stop: str
    frames: tuple[int, ...]


@dataclass
class State:
    """What a journal amounts to: the first answer of each request, and what still stands as failed."""

    answers: dict[str, Answer] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)


class RunFolder:
    """A run that is being written. Use as a context manager; it holds the folder's lock until closed.

    `done` are the ids of the requests that had an answer when the folder was opened, `noted` is what `note`
    has added to the provenance since.
    """

    def __init__(self, path: Path, settings: Settings, options: Options, provenance: dict[str, Any]) -> None:
        """Open or create the run at `path`.

        Raises:
            RunError: another process writes to it, it was made with other settings (the first that differs
                is named), or its files are damaged or cannot be written.
        """
        self.path = path
        self.settings = settings
        self.noted: dict[str, Any] = {}
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{path}: cannot be created: {error.strerror}") from error
        self._lock = FileLock(path / LOCK_FILE, timeout=0)
        try:
            self._lock.acquire()
        except (Timeout, OSError):
            raise RunError(
                f"{path}: another process is writing to this run; wait for it or stop it"
            ) from None
        try:
            self._claim(options, provenance)
            self._journal = Journal(path / JOURNAL_FILE)
            self.repaired = self._journal.repaired
            self.done = set(read_state(path).answers)
        except BaseException:
            self._lock.release()
            raise

    def _claim(self, options: Options, provenance: dict[str, Any]) -> None:
        """Write run.json, or check the one that is there and add this start to its provenance."""
        settings = self.settings.model_dump(mode="json")
        if (self.path / RUN_FILE).exists():
            content = read_run(self.path)
            if changed := difference(content["settings"], settings):
                raise RunError(
                    f"{self.path}: was started with other settings ({changed}); "
                    "give the old setting to go on, or --run DIR for a new run"
                )
            content["starts"].append(provenance)
            write_json(self.path / RUN_FILE, content)
            return
        if (self.path / JOURNAL_FILE).exists():
            raise RunError(f"{self.path}: holds a {JOURNAL_FILE} but no {RUN_FILE}; it cannot be continued")
        content = {
            "schema": RUN_SCHEMA,
            "options": options.model_dump(mode="json", exclude_defaults=True),
            "settings": settings,
            "starts": [provenance],
        }
        write_json(self.path / RUN_FILE, content)

    def note(self, what: str, content: dict[str, Any] | list[str]) -> None:
        """Add something to the provenance of this start: what the engine tells of itself, what it took.

        Raises:
            RunError: run.json could not be written.
        """
        run = read_run(self.path)
        run["starts"][-1][what] = content
        write_json(self.path / RUN_FILE, run)
        self.noted[what] = content

    def answered(self, response: Response, answer: str, frames: tuple[int, ...]) -> None:
        """Record an answer; when this returns, it counts.

        Raises:
            RunError: it could not be written.
        """
        record = {"type": "response", "answer": answer, "frames": list(frames), **response.model_dump()}
        self._journal.append(record)

    def failed(self, failure: Failure) -> None:
        """Record a failure.

        Raises:
            RunError: it could not be written.
        """
        self._journal.append({"type": "failure", **failure.model_dump()})

    def close(self) -> None:
        """Flush the journal and let the folder go."""
        self._journal.close()
        self._lock.release()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_run(path: Path) -> dict[str, Any]:
    """The content of a run's run.json: `options`, `settings`, `starts`.

    Raises:
        RunError: there is none, it is damaged, or it is of another version.
    """
    file = path / RUN_FILE
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path}: not a run folder (there is no {RUN_FILE})") from None
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{file}: damaged: {error}") from error
    if not isinstance(content, dict) or content.get("schema") != RUN_SCHEMA:
        raise RunError(f"{file}: not of this version (schema {RUN_SCHEMA})")
    if not all(key in content for key in ("options", "settings", "starts")):
        raise RunError(f"{file}: damaged: lacks options, settings or starts")
    return content


def dropped_settings(run: Mapping[str, Any]) -> tuple[str, ...]:
    """The settings of generation that the model rejected, so that answers were asked for without them.

    Args:
        run: the content of a run.json.
    """
    starts = run["starts"] if isinstance(run["starts"], list) else []
    told = [start.get("dropped") for start in starts if isinstance(start, dict)]
    named = [name for names in told if isinstance(names, list) for name in names]
    return tuple(name for name in Generation.model_fields if name in named)


def read_state(path: Path) -> State:
    """Everything that the journal of the run at `path` holds.

    Raises:
        RunError: a line is damaged or lacks a field; its id is named where it has one.
    """
    state = State()
    for record in read_journal(path / JOURNAL_FILE):
        try:
            _take(state, record)
        except (KeyError, TypeError, ValueError) as error:
            name = record.get("id", "?")
            raise RunError(f"{path / JOURNAL_FILE}: the record of {name} is damaged: {error}") from error
    return state


def read_responses(path: Path) -> Iterator[Response]:
    """The first response to each request that has one, from the journal of the run at `path`.

    Raises:
        RunError: a line is damaged.
    """
    seen = set()
    for record in read_journal(path / JOURNAL_FILE):
        if record["type"] == "response" and record["id"] not in seen:
            seen.add(record["id"])
            yield Response(**{key: record[key] for key in Response.model_fields if key in record})


def _take(state: State, record: dict[str, Any]) -> None:
    request = record["id"]
    if record["type"] == "failure":
        failure = Failure(**{key: record[key] for key in Failure.model_fields})
        if request not in state.answers:
            state.failures[request] = failure
        return
    answer = Answer(request, record["answer"], record["text"], record["stop"], tuple(record["frames"]))
    state.answers.setdefault(request, answer)
    state.failures.pop(request, None)
