"""Which runs there are, how far each is, and removing one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from microg_bench.errors import MicrogError, RunError
from microg_bench.folders import remove_folder
from microg_bench.records import Record, TaskName
from microg_bench.runs.agreement import disagreement, told_starts
from microg_bench.runs.batches import is_pending
from microg_bench.runs.execute import DESCRIPTORS_FILE
from microg_bench.runs.record import RunRecord, find_runs
from microg_bench.runs.start import PAGE_FILE
from microg_bench.storage import LOCK_FILE, FolderLock
from microg_bench.text import first_line

State = Literal["running", "pending", "complete", "incomplete", "outdated", "not scored"]


class RunSummary(Record):
    """One run in short.

    `state`: a process writes to it ("running"), requests are in a vendor's batch API ("pending"), every
    request was answered and scored ("complete"), a scored run lacks answers ("incomplete"), its
    scorecard is of other answers than its journal ("outdated"), or there is no scorecard ("not scored").
    `requests` are those of the scorecard, None without one. `started` and
    `last_started` are the times of the first and the last start, in ISO 8601; `scores` are ×100, by metric,
    None where one could not be computed.
    """

    folder: str
    task: TaskName
    title: str
    dataset: str
    engine: str
    state: State
    answered: int
    failed: int
    requests: int | None
    started: str | None
    last_started: str | None
    scores: dict[str, float | None]


class AnyRecord(RunRecord):
    """A run of the benchmark, or of texts that a language model was asked about."""

    tasks = get_args(TaskName)


def list_runs(folder: Path) -> tuple[list[RunSummary], list[MicrogError]]:
    """The runs in `folder`, at any depth, by path; and the error of each that cannot be read.

    Raises:
        RunError: there is no such folder, or no run in it.
    """
    found: list[RunSummary] = []
    errors: list[MicrogError] = []
    for path in find_runs(folder):
        try:
            found.append(summary(AnyRecord.read(path)))
        except MicrogError as error:
            errors.append(error)
        except Exception as error:  # the run may be a stranger's
            errors.append(RunError(f"cannot be read: {first_line(repr(error))}", path=path))
    return found, errors


def summary(record: RunRecord) -> RunSummary:
    """A run in short.

    Raises:
        RunError: its journal or scorecard is damaged.
    """
    card = record.scorecard if record.is_scored else None
    state = _state(record)
    counted = card.counts if card and state != "outdated" else None
    times = [str(start["started"]) for start in record.starts if start.get("started")]
    return RunSummary(
        folder=str(record.path),
        task=record.settings.task,
        title=record.settings.title,
        dataset=record.settings.dataset,
        engine=record.settings.engine,
        state=state,
        answered=counted.answered if counted else len(record.answers),
        failed=counted.failed if counted else len(record.failures),
        requests=card.counts.requests if card else _asked(record) if state == "running" else None,
        started=min(times, default=None),
        last_started=max(times, default=None),
        scores=dict(card.values()) if card else {},
    )


def _asked(record: RunRecord) -> int | None:
    """How many requests a run without a scorecard asks; None where its dataset is not at hand."""
    try:
        return len(record.items(record.dataset()))
    except MicrogError:
        return None


def _state(record: RunRecord) -> State:
    if _is_locked(record.path):
        return "running"
    if is_pending(record.path):
        return "pending"
    if not record.is_scored:
        return "not scored"
    if disagreement(record):
        return "outdated"
    return "complete" if record.scorecard.complete else "incomplete"


def _is_locked(path: Path) -> bool:
    """Whether a process writes into a folder now."""
    from filelock import FileLock, Timeout

    file = path / LOCK_FILE
    if not file.is_file():
        return False
    try:
        with FileLock(file, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # of a folder that this user cannot write to
        return False


def details(record: RunRecord) -> dict[str, Any]:
    """All that is known of a run but its answers, as JSON: summary, settings, starts, scorecard."""
    return {
        **summary(record).model_dump(mode="json"),
        "settings": record.settings.model_dump(mode="json"),
        "starts": told_starts(record),
        "scorecard": record.scorecard.to_json() if record.is_scored else None,
    }


def remove_run(path: Path) -> None:
    """Remove the folder of a run, which may be damaged, with all in it, and that above where no run is left.

    Raises:
        RunError: a process writes to it, requests are pending in a batch, or it cannot be removed.
    """
    if is_pending(path):
        raise RunError("has requests in a batch, which are paid for: collect them first", path=path)
    lock = FolderLock(path)
    try:
        remove_folder(path)
    finally:
        lock.release()
    above = path.absolute().parent
    if {one.name for one in above.iterdir()} <= {DESCRIPTORS_FILE, PAGE_FILE}:
        remove_folder(above)
