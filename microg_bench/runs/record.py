"""A run on disk: run.json, journal.jsonl and, once scored, scorecard.json, predictions.json, statistics.npz.

One run is one task of one model on one dataset. `RunRecord` is the one reader of such a folder, and its one
writer: each file is read when it is first needed, at most once, and what is written is kept in memory too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from microg_bench.adapters.registry import is_file
from microg_bench.errors import DataError, RunError
from microg_bench.records import (
    REJECTABLE,
    Answer,
    BenchmarkTask,
    Failure,
    Record,
    Request,
    Response,
    TaskName,
    Withdrawal,
)
from microg_bench.runs import migration
from microg_bench.runs.batches import is_pending
from microg_bench.runs.migration import Entry
from microg_bench.scorecard import Scorecard
from microg_bench.settings import Settings
from microg_bench.storage import FolderLock, Journal, read_journal, write_json
from microg_bench.text import listed

if TYPE_CHECKING:
    from microg_bench.dataset.load import Dataset
    from microg_bench.runs.statistics import Statistics
    from microg_bench.tasks import Item

RUN_SCHEMA = "microg-bench/run/2"
RUN_FILE = "run.json"
JOURNAL_FILE = "journal.jsonl"
SCORECARD_FILE = "scorecard.json"
STATISTICS_FILE = "statistics.npz"

Lines = Callable[[Path], Iterable[tuple[int, dict[str, Any]]]]


class RunFile(Record):
    """The content of run.json: options as given, the settings they resolve to, provenance of each start."""

    options: dict[str, Any]
    settings: Settings
    starts: list[dict[str, Any]]


@dataclass
class _State:
    """What the journal comes to. `superseded` are responses that no longer count, but were paid for."""

    answers: dict[str, Answer] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    superseded: list[Response] = field(default_factory=list)

    def count(self, found: Entry) -> None:
        """The first answer to a request counts; a failure counts until there is one."""
        name = found.id
        if isinstance(found, Withdrawal):
            for old in (self.answers.pop(name, None), self.failures.pop(name, None)):
                if not found.parsed_again:
                    self._supersede(old)
        elif name in self.answers:
            self._supersede(found)
        elif isinstance(found, Answer):
            self._supersede(self.failures.pop(name, None))
            self.answers[name] = found
        else:
            self._supersede(self.failures.get(name))
            self.failures[name] = found

    def _supersede(self, old: Answer | Failure | None) -> None:
        said = old.response if isinstance(old, Failure) else old
        if said is not None:
            self.superseded.append(said)


class RunRecord:
    """One run. `RunRecord.read` opens it for reading, `RunRecord.open` and `reopen` for writing too.

    Attributes:
        path: the run folder.
        settings: everything that moves an answer.
        options: the options as given.
        starts: provenance, engine and usage of each start; the last one may be added to by `note`.
        migrated: whether run.json is of schema 1; such a run is read and scored, but not resumed.
        repaired: whether the last line of the journal was torn and has been repaired.
    """

    tasks: ClassVar[tuple[TaskName, ...]] = get_args(BenchmarkTask)

    def __init__(
        self,
        path: Path,
        content: RunFile,
        lines: Lines = read_journal,
        journal: str = JOURNAL_FILE,
        *,
        migrated: bool = False,
    ) -> None:
        self.path = path
        self._lines = lines
        self._file = path / journal
        self.settings = content.settings
        self.options = content.options
        self.starts = content.starts
        self.migrated = migrated
        self.repaired = False
        self._lock: FolderLock | None = None
        self._journal: Journal | None = None
        self._new = False

    @classmethod
    def read(cls, path: Path) -> RunRecord:
        """The run at `path`, of this version's schema or of version 1's.

        Raises:
            RunError: it is no run folder but, say, a submission, or run.json is damaged or of a schema that
                this version does not know.
        """
        file = path / RUN_FILE
        if not os.path.lexists(file):
            raise RunError(f"not a run folder (there is no {RUN_FILE})", path=path)
        if os.path.lexists(path / f"{JOURNAL_FILE}.gz") and not os.path.lexists(path / JOURNAL_FILE):
            raise RunError("is a submission, a packed run: use `microg-bench submit check`", path=path)
        return cls.of(path, migration.read_object(file))

    @classmethod
    def of(
        cls, path: Path, written: dict[str, Any], lines: Lines = read_journal, journal: str = JOURNAL_FILE
    ) -> RunRecord:
        """The run at `path` whose run.json has been read, and whose journal `lines` reads; see `read`."""
        file, first = path / RUN_FILE, migration.RUN_SCHEMA_1
        content, migrated = migration.of_schema(written, file, RUN_SCHEMA, first, migration.run_from_1)
        fields = {name: value for name, value in content.items() if name != "schema"}
        parsed = migration.parsed(file, RunFile, fields)
        if parsed.settings.task not in cls.tasks:
            reason = f"holds a run of the task {parsed.settings.task}, which cannot be used here"
            raise RunError(reason, path=path)
        return cls(path, parsed, lines, journal, migrated=migrated)

    @classmethod
    def open(
        cls, path: Path, settings: Settings, options: dict[str, Any], start: dict[str, Any]
    ) -> RunRecord:
        """Create or resume the run at `path`, and lock it until `close`.

        A new run in which nothing is recorded until then leaves no folder. A folder whose run has no answer
        is begun again where the settings are others.

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
        if (path / RUN_FILE).exists():
            cls.read(path)  # a submission gets no lock, which is no file of it
        content = RunFile(options=options, settings=settings, starts=[start])
        return cls._locked(path, lambda: cls._claimed(path, content))

    @classmethod
    def reopen(cls, path: Path) -> RunRecord:
        """Open the run at `path` for writing as it is, and lock it until `close`.

        Raises:
            RunError: as `open`.
        """
        cls.read(path)  # a folder that holds no run is left as it is
        return cls._locked(path, lambda: cls._resumed(path))

    @classmethod
    def _locked(cls, path: Path, claim: Callable[[], RunRecord]) -> RunRecord:
        """The run that `claim` gives under the lock of its folder, open for writing."""
        lock = FolderLock(path)
        record = None
        try:
            record = claim()
            record._state  # noqa: B018 - damage is found before anything is written
            record._write_run()
            record._journal = Journal(path / JOURNAL_FILE)
            record.repaired = record._journal.repaired
        except BaseException:
            lock.release(remove=(RUN_FILE,) if record and record._new else ())
            raise
        record._lock = lock
        return record

    @classmethod
    def _resumed(cls, path: Path) -> RunRecord:
        record = cls.read(path)
        if record.migrated:
            reason = "was made by version 0.1 and cannot be resumed; give --run DIR for a new run"
            raise RunError(reason, path=path)
        return record

    @classmethod
    def _claimed(cls, path: Path, content: RunFile) -> RunRecord:
        """A new run, or the one that is there with this start added to it; run.json is not written yet."""
        if (path / RUN_FILE).exists():
            record = cls._resumed(path)
            if record.settings.changed(content.settings):
                if record.answers or is_pending(path):
                    raise refusal(record, content.settings, str(content.options.get("model", "")))
                record._begin_again(content)
            else:
                record.starts += content.starts
            return record
        if (path / JOURNAL_FILE).exists():
            raise RunError(f"holds a {JOURNAL_FILE} but no {RUN_FILE}; it cannot be resumed", path=path)
        if runs := sorted(file.parent.name for file in path.glob(f"*/{RUN_FILE}")):
            reason = f"holds other runs ({listed(runs)}): give one of them, or another folder"
            raise RunError(reason, path=path)
        record = cls(path, content)
        record._state = _State()
        record._new = True
        return record

    def _begin_again(self, content: RunFile) -> None:
        """Withdraw the failures under other settings; what they cost is kept."""
        reason = "the run was begun again with other settings"
        found = [Withdrawal(id=name, reason=reason) for name in self.failures]
        with Journal(self.path / JOURNAL_FILE) as self._journal:
            self.add(*found)
        self.settings, self.options, self.starts = content.settings, content.options, content.starts
        for name in (SCORECARD_FILE, STATISTICS_FILE):
            (self.path / name).unlink(missing_ok=True)

    def _write_run(self) -> None:
        content = RunFile(options=self.options, settings=self.settings, starts=self.starts)
        write_json(self.path / RUN_FILE, {"schema": RUN_SCHEMA, **content.model_dump(mode="json")})

    # What is read.

    @cached_property
    def _state(self) -> _State:
        state = _State()
        for entry in self.entries():
            state.count(entry)
        return state

    def entries(self) -> Iterator[Entry]:
        """All that the journal holds, in its order; see `answers`."""
        for number, line in self._lines(self._file):
            yield migration.read_line(line, self._file, number, self.migrated)

    def forget(self) -> None:
        """Drop what the journal holds; it is read again when it is needed."""
        vars(self).pop("_state", None)

    @property
    def answers(self) -> dict[str, Answer]:
        """The first answer to each request that was not withdrawn, by its id, in the order of the journal.

        Raises:
            RunError: a line of the journal is damaged; its number is named.
        """
        return self._state.answers

    @property
    def failures(self) -> dict[str, Failure]:
        """The last failure of each request that has no answer, by its id; see `answers`."""
        return self._state.failures

    @property
    def responses(self) -> tuple[Response, ...]:
        """All that the model said, and was paid for: also what was withdrawn or has failed; see `answers`."""
        unread = (failure.response for failure in self.failures.values())
        return (*self.answers.values(), *filter(None, unread), *self._state.superseded)

    @property
    def has_lines(self) -> bool:
        """Whether anything has been recorded."""
        return self._state != _State()

    @property
    def has_journal(self) -> bool:
        """Whether the folder holds answers."""
        return (self.path / JOURNAL_FILE).is_file()

    @property
    def is_scored(self) -> bool:
        """Whether the folder holds a scorecard."""
        return (self.path / SCORECARD_FILE).is_file()

    @property
    def has_statistics(self) -> bool:
        """Whether the statistics of its items are at hand."""
        return "statistics" in vars(self) or (self.path / STATISTICS_FILE).is_file()

    @cached_property
    def scorecard(self) -> Scorecard:
        """The scorecard.

        Raises:
            RunError: the run has not been scored, or the file is damaged or of an unknown schema.
        """
        return migration.read_scorecard(self.path / SCORECARD_FILE)

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
        return tuple(name for name in REJECTABLE if name in named)

    # What belongs to it.

    def dataset(self, data: str | Path | Dataset | None = None) -> Dataset:
        """The dataset of the run: `data`, or what the run was started with.

        Raises:
            DataError: it cannot be read, or has other references than the run's.
        """
        from microg_bench.dataset.load import Dataset, load

        if self.settings.boxes and not isinstance(data, Dataset):
            from microg_bench.runs.persons import recorded_persons

            data = recorded_persons(self.options, data)
        found = data if isinstance(data, Dataset) else load(data or self.options.get("data"))
        fingerprint = found.fingerprints.get(self.settings.task, found.fingerprint)
        if fingerprint != self.settings.fingerprint:
            raise DataError(
                f"was made on {self.settings.dataset} with fingerprint {self.settings.fingerprint[:12]}, but "
                f"{found.name} has {fingerprint[:12]}; give the right dataset with --data",
                path=self.path,
            )
        return found

    def items(self, dataset: Dataset) -> tuple[Item, ...]:
        """Everything that the run asks, with references, in dataset order."""
        from microg_bench.dataset.load import select
        from microg_bench.tasks import TASKS, items_of

        chosen = self.settings.clips
        clips = dataset.clips if chosen is None else select(dataset, chosen)
        return items_of(TASKS[self.settings.task], clips, self.settings.requests, self.settings.paraphrases)

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
        return self.statistics.item_scores() if self.has_statistics else {}

    # What is written.

    def add(self, *found: Entry) -> None:
        """Record answers, failures and withdrawals; when this returns, they count.

        Raises:
            RunError: they could not be written; none of them counts.
        """
        if self._journal is None:
            raise RuntimeError(f"{self.path} is not open for writing")
        self._journal.append(*map(_journal_line, found))
        for one in found:
            self._state.count(one)

    def begin(self, start: dict[str, Any], settings: Settings) -> None:
        """Add a start under settings that this run now has.

        Raises:
            RunError: run.json could not be written.
        """
        self.starts.append(start)
        self.settings = settings
        self._write_run()

    def note(self, **content: Any) -> None:
        """Add something to the provenance of this start, such as what the engine tells of itself.

        Raises:
            RunError: run.json could not be written.
        """
        self.starts[-1].update(content)
        self._write_run()

    @property
    def engine(self) -> Mapping[str, str]:
        """What the engine that answered last told of itself, such as versions; empty where none has."""
        known = (start.get("engine") for start in reversed(self.starts))
        return next(filter(None, known), {})

    def close(self) -> None:
        """Flush the journal and release the folder; safe to call twice.

        Raises:
            RunError: the last lines of the journal may not be on the disk.
        """
        unused = self._new and not self.has_lines
        journal, self._journal = self._journal, None
        lock, self._lock = self._lock, None
        try:
            if journal is not None:
                journal.close()
        finally:
            if lock is not None:
                unused = unused and not self.has_journal and not is_pending(self.path)
                lock.release(remove=(RUN_FILE,) if unused else ())

    def __enter__(self) -> RunRecord:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(*([] if error is None else [RunError])):  # which says less than what ended the run
            self.close()

    def __repr__(self) -> str:
        return f"RunRecord({str(self.path)!r}, {self.settings.title}, {self.settings.task})"


class TextRecord(RunRecord):
    """What a language model was asked about texts, and what it said."""

    tasks = ("text",)


def find_runs(path: Path) -> list[Path]:
    """The run at `path`, or the runs at any depth below it, in the order of their paths.

    What lies in the folder of a run, such as its judgements, is part of that run.

    Raises:
        RunError: there is no such folder, or no run in it.
    """
    if (path / RUN_FILE).is_file():
        return [path]
    if not path.is_dir():
        file = path.is_file()
        raise RunError("is a file, not the folder of a run" if file else "no such folder", path=path)
    found = sorted(file.parent for file in path.rglob(RUN_FILE))
    runs = set(found)
    found = [one for one in found if runs.isdisjoint(one.parents)]
    if not found:
        raise RunError(f"not a run folder (there is no {RUN_FILE} in it or below)", path=path)
    return found


def _journal_line(found: Entry) -> dict[str, Any]:
    if isinstance(found, Withdrawal):
        return {"type": "withdrawn", **found.model_dump(mode="json", exclude_defaults=True)}
    kind = "failure" if isinstance(found, Failure) else "response"
    return {"type": kind, **found.model_dump(mode="json", exclude_none=True)}


def refusal(record: RunRecord, now: Settings, model: str) -> RunError:
    """Why a run is not resumed under the settings `now` of `model`, and what to do."""
    path, before, anew = record.path, record.settings, "--run DIR for a new run"
    changed = before.difference(now)
    match before.changed(now):
        case "adapter_sha256":
            named = f" --model {model}" if is_file(model) else ""
            parsed = f"`microg-bench score {path} --reparse{named}` parses the kept texts again with it"
            reason = f"{changed} since the run was started: {parsed}, --run DIR asks anew"
        case "checkpoint_sha256":
            reason = f"{changed} since the run was started; put the old ones back to resume, or give {anew}"
        case _:
            reason = f"was started with other settings ({changed}); give the old setting to resume, or {anew}"
    return RunError(reason, path=path)
