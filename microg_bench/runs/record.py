"""A run on disk: run.json, journal.jsonl and, once scored, scorecard.json, predictions.json, statistics.npz.

One run is one task of one model on one dataset. `RunRecord` is the one reader of such a folder, and its one
writer: each file is read when it is first needed, at most once, and what is written is kept in memory too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from filelock import FileLock, Timeout
from pydantic import ValidationError

from microg_bench.errors import DataError, RunError
from microg_bench.records import Answer, Failure, Generation, Record, Request, Response, TaskName, first_fault
from microg_bench.runs import migration
from microg_bench.scorecard import SCORECARD_SCHEMA, Scorecard
from microg_bench.settings import Settings
from microg_bench.storage import Journal, read_journal, read_json, write_json
from microg_bench.text import listed

if TYPE_CHECKING:
    from microg_bench.dataset.load import Dataset
    from microg_bench.runs.statistics import Statistics
    from microg_bench.tasks import Item

RUN_SCHEMA = "microg-bench/run/2"
RUN_FILE = "run.json"
JOURNAL_FILE = "journal.jsonl"
LOCK_FILE = ".lock"
SCORECARD_FILE = "scorecard.json"
STATISTICS_FILE = "statistics.npz"

Parsed = TypeVar("Parsed", bound=Record)
Lines = Callable[[Path], Iterable[tuple[int, dict[str, Any]]]]


class RunFile(Record):
    """The content of run.json: options as given, the settings they resolve to, provenance of each start."""

    options: dict[str, Any]
    settings: Settings
    starts: list[dict[str, Any]]


class RunRecord:
    """One run. `RunRecord.read` opens it for reading, `RunRecord.open` for writing too.

    Attributes:
        path: the run folder.
        settings: everything that moves an answer.
        options: the options as given.
        starts: provenance, engine and usage of each start; the last one may be added to by `note`.
        migrated: whether run.json is of schema 1; such a run is read and scored, but not resumed.
        repaired: whether the last line of the journal was torn and has been repaired.
    """

    def __init__(
        self, path: Path, content: RunFile, lines: Lines = read_journal, *, migrated: bool = False
    ) -> None:
        self.path = path
        self._lines = lines
        self.settings = content.settings
        self.options = content.options
        self.starts = content.starts
        self.migrated = migrated
        self.repaired = False
        self._lock: FileLock | None = None
        self._journal: Journal | None = None

    @classmethod
    def read(cls, path: Path, lines: Lines = read_journal) -> RunRecord:
        """The run at `path`, of this version's schema or of version 1's.

        Args:
            path: the run folder.
            lines: reads the lines of its journal, with their numbers, where they are not in a plain file.

        Raises:
            RunError: it is no run folder, or run.json is damaged or of a schema that this version does not
                know.
        """
        file = path / RUN_FILE
        if not file.is_file():
            raise RunError(f"not a run folder (there is no {RUN_FILE})", path=path)
        content, migrated = _read_schema(file, RUN_SCHEMA, migration.RUN_SCHEMA_1, migration.run_from_1)
        content.pop("schema", None)
        return cls(path, _parsed(file, RunFile, content), lines, migrated=migrated)

    @classmethod
    def open(
        cls, path: Path, settings: Settings, options: dict[str, Any], start: dict[str, Any]
    ) -> RunRecord:
        """Create or resume the run at `path`, and lock it until `close`.

        Args:
            path: the run folder.
            settings: those of this start; a run is resumed only under the very same ones.
            options: the options as given.
            start: the provenance of this start.

        Raises:
            RunError: another process writes to it, it was made with other settings (the first that differs is
                named), it was made by version 0.1, or its files are damaged or cannot be written. A folder
                that is refused is left as it is.
        """
        lock = _locked(path)
        try:
            record = cls._claimed(path, settings, options, start)
            record._state  # noqa: B018 - damage is found before anything is written
            record._write_run()
            record._journal = Journal(path / JOURNAL_FILE)
            record.repaired = record._journal.repaired
        except BaseException:
            lock.release()
            raise
        record._lock = lock
        return record

    @classmethod
    def _claimed(
        cls, path: Path, settings: Settings, options: dict[str, Any], start: dict[str, Any]
    ) -> RunRecord:
        """A new run, or the one that is there with this start added to it; nothing is written yet."""
        if (path / RUN_FILE).exists():
            record = cls.read(path)
            if record.migrated:
                raise RunError(
                    "was made by version 0.1 and cannot be resumed; give --run DIR for a new run", path=path
                )
            if changed := record.settings.difference(settings):
                raise RunError(
                    f"was started with other settings ({changed}); give the old setting to resume, "
                    "or --run DIR for a new run",
                    path=path,
                )
            record.starts.append(start)
            return record
        if (path / JOURNAL_FILE).exists():
            raise RunError(f"holds a {JOURNAL_FILE} but no {RUN_FILE}; it cannot be resumed", path=path)
        if runs := sorted(file.parent.name for file in path.glob(f"*/{RUN_FILE}")):
            raise RunError(
                f"holds other runs ({listed(runs)}): give one of them, or another folder", path=path
            )
        record = cls(path, RunFile(options=options, settings=settings, starts=[start]))
        record._state = {}, {}
        return record

    def _write_run(self) -> None:
        settings = self.settings.model_dump(mode="json")
        content = {"options": self.options, "settings": settings, "starts": self.starts}
        write_json(self.path / RUN_FILE, {"schema": RUN_SCHEMA, **content})

    # What is read.

    @cached_property
    def _state(self) -> tuple[dict[str, Answer], dict[str, Failure]]:
        answers: dict[str, Answer] = {}
        failures: dict[str, Failure] = {}
        file = self.path / JOURNAL_FILE
        for number, line in self._lines(file):
            _count(_parse_line(line, file, number, self.migrated), answers, failures)
        return answers, failures

    @property
    def answers(self) -> dict[str, Answer]:
        """The first answer to each request, by its id, in the order of the journal.

        Raises:
            RunError: a line of the journal is damaged; its number is named.
        """
        return self._state[0]

    @property
    def failures(self) -> dict[str, Failure]:
        """The last failure of each request that has no answer, by its id; see `answers`."""
        return self._state[1]

    @property
    def responses(self) -> tuple[Response, ...]:
        """All responses, those too in which no answer was found; see `answers`."""
        unread = (failure.response for failure in self.failures.values())
        return (*self.answers.values(), *filter(None, unread))

    @property
    def has_journal(self) -> bool:
        """Whether the folder holds answers."""
        return (self.path / JOURNAL_FILE).is_file()

    @property
    def is_scored(self) -> bool:
        """Whether the folder holds a scorecard."""
        return (self.path / SCORECARD_FILE).is_file()

    @cached_property
    def scorecard(self) -> Scorecard:
        """The scorecard.

        Raises:
            RunError: the run has not been scored, or the file is damaged or of an unknown schema.
        """
        return read_scorecard(self.path / SCORECARD_FILE)

    @cached_property
    def statistics(self) -> Statistics:
        """The statistics of each scored item.

        Raises:
            RunError: the run has not been scored, or the file is damaged.
        """
        from microg_bench.runs.statistics import read_statistics

        return read_statistics(self.path / STATISTICS_FILE)

    @property
    def rejected(self) -> tuple[str, ...]:
        """The generation settings that the model rejected, so that requests were sent without them."""
        named = {name for start in self.starts for name in start.get("rejected") or ()}
        return tuple(name for name in Generation.model_fields if name in named)

    # What belongs to it.

    def dataset(self, data: str | Path | Dataset | None = None) -> Dataset:
        """The dataset of the run: `data`, or what the run was started with.

        Raises:
            DataError: it cannot be read, or has other references than the run's.
        """
        from microg_bench.dataset.load import Dataset, load

        found = data if isinstance(data, Dataset) else load(data or self.options.get("data"))
        if found.fingerprint != self.settings.fingerprint:
            raise DataError(
                f"was made on {self.settings.dataset} with fingerprint {self.settings.fingerprint[:12]}, but "
                f"{found.name} has {found.fingerprint[:12]}; give the right dataset with --data",
                path=self.path,
            )
        return found

    def items(self, dataset: Dataset) -> tuple[Item, ...]:
        """Everything that the run asks, with references, in dataset order."""
        from microg_bench.dataset.load import select
        from microg_bench.tasks import TASKS, items_of

        chosen = self.settings.clips
        clips = dataset.clips if chosen is None else select(dataset, chosen)
        return items_of(TASKS[self.settings.task], clips, self.settings.requests)

    def requests(self) -> tuple[Request, ...]:
        """What can be told of the requests from the ids of answers and failures, without the dataset."""
        from microg_bench.dataset.annotations import source_of

        task = self.settings.task
        clips = {name: name.partition("#")[0] for name in (*self.answers, *self.failures)}
        return tuple(
            Request(id=name, task=task, video_id=clip, source=source_of(clip)) for name, clip in clips.items()
        )

    def item_scores(self) -> dict[str, dict[str, float]]:
        """The score of each item, ×100, by metric and request id; empty where there are no statistics."""
        if not (self.path / STATISTICS_FILE).is_file():
            return {}
        return self.statistics.item_scores()

    # What is written.

    def add(self, *found: Answer | Failure) -> None:
        """Record answers and failures; when this returns, they count.

        Raises:
            RunError: they could not be written.
        """
        if self._journal is None:
            raise RuntimeError(f"{self.path} is not open for writing")
        self._journal.append(*map(_journal_line, found))
        for one in found:
            _count(one, *self._state)

    def note(self, **content: Any) -> None:
        """Add something to the provenance of this start, such as what the engine tells of itself.

        Raises:
            RunError: run.json could not be written.
        """
        self.starts[-1].update(content)
        self._write_run()

    def close(self) -> None:
        """Flush the journal and release the folder; safe to call twice."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> RunRecord:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"RunRecord({str(self.path)!r}, {self.settings.title}, {self.settings.task})"


def find_runs(path: Path) -> list[Path]:
    """The run at `path`, or the runs at any depth below it, in the order of their paths.

    Raises:
        RunError: there is no such folder, or no run in it.
    """
    if (path / RUN_FILE).is_file():
        return [path]
    if not path.is_dir():
        raise RunError("no such folder", path=path)
    found = sorted(file.parent for file in path.rglob(RUN_FILE))
    if not found:
        raise RunError(f"not a run folder (there is no {RUN_FILE} in it or below)", path=path)
    return found


def runs_by_task(records: Iterable[RunRecord]) -> dict[TaskName, RunRecord]:
    """The run of each task; beside a run, one that asks a sample of its requests again does not count.

    Raises:
        RunError: there are several of one task.
    """
    found: dict[TaskName, RunRecord] = {}
    for one in sorted(records, key=lambda one: one.settings.requests is not None):
        other = found.setdefault(one.settings.task, one)
        if other is not one and (other.settings.requests is None) == (one.settings.requests is None):
            reason = f"holds a run of the task {one.settings.task}, and so does {one.path}: give one of them"
            raise RunError(reason, path=other.path)
    return found


def read_scorecard(file: Path) -> Scorecard:
    """A scorecard file, of this version's schema or of version 1's.

    Raises:
        RunError: it is missing, damaged, or of a schema that this version does not know.
    """
    again = f"run `microg-bench score {file.parent}`"
    if not file.is_file():
        raise RunError(f"has not been scored: {again} first", path=file.parent)
    first = migration.SCORECARD_SCHEMA_1
    content, _ = _read_schema(file, SCORECARD_SCHEMA, first, migration.scorecard_from_1)
    return _parsed(file, Scorecard, content)


def _count(found: Answer | Failure, answers: dict[str, Answer], failures: dict[str, Failure]) -> None:
    """The first answer to a request counts; a failure counts until there is one."""
    if isinstance(found, Answer):
        answers.setdefault(found.id, found)
        failures.pop(found.id, None)
    elif found.id not in answers:
        failures[found.id] = found


def _journal_line(found: Answer | Failure) -> dict[str, Any]:
    if isinstance(found, Failure):
        return {"type": "failure", **found.model_dump(mode="json", exclude_none=True)}
    return {"type": "response", **found.model_dump(mode="json", exclude_none=True)}


def _parse_line(line: dict[str, Any], file: Path, number: int, migrated: bool) -> Answer | Failure:
    """One line of a journal of this version's schema, or of version 1's; a journal of both is refused."""
    if ("finish_reason" if migrated else "stop") in line:
        reason = f"half migrated: the line is of schema {1 + migrated}, {RUN_FILE} of schema {2 - migrated}"
        raise RunError(reason, path=file, item=f"line {number}")
    kind = line.get("type")
    fields = migration.line_from_1(line) if migrated else dict(line)
    fields.pop("type", None)
    try:
        return (Failure if kind == "failure" else Answer).model_validate(fields)
    except ValidationError as error:
        raise RunError(f"damaged: {first_fault(error)}", path=file, item=f"line {number}") from error


def _locked(path: Path) -> FileLock:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot be created: {error.strerror}", path=path) from error
    lock = FileLock(path / LOCK_FILE, timeout=0)
    try:
        lock.acquire()
    except (Timeout, OSError):
        raise RunError("another process is writing to this run; wait for it or stop it", path=path) from None
    return lock


def _read_object(file: Path) -> dict[str, Any]:
    try:
        content = read_json(file)
    except DataError as error:
        raise RunError(f"damaged: {error.reason}", path=file) from error
    if not isinstance(content, dict):
        raise RunError("damaged: it holds no JSON object", path=file)
    return content


def _read_schema(
    file: Path, schema: str, first: str, migrate: Callable[[dict[str, Any]], dict[str, Any]]
) -> tuple[dict[str, Any], bool]:
    """The content of a file in this version's `schema`, and whether it was of the `first`."""
    content = _read_object(file)
    found = content.get("schema")
    if found == schema:
        return content, False
    if found != first:
        raise RunError(f"schema {found!r} is not known to this version, which reads {schema}", path=file)
    try:
        return migrate(content), True
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"damaged: {type(error).__name__}: {error}", path=file) from error


def _parsed(file: Path, kind: type[Parsed], content: dict[str, Any]) -> Parsed:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise RunError(f"damaged: {first_fault(error)}", path=file) from error
