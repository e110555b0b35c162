"""Packs a scored run into a folder for others: complete, small, and with nothing private in it.

Holds what all submissions share, too: their files, and where they are written.
"""

import gzip
import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from microg_bench.errors import RunError
from microg_bench.folders import whole_folder
from microg_bench.options import Options, about
from microg_bench.privacy import outgoing
from microg_bench.runs.public import public
from microg_bench.runs.record import JOURNAL_FILE, RUN_FILE, RUN_SCHEMA, SCORECARD_FILE, RunRecord
from microg_bench.scorecard import REFERENCES, Scorecard
from microg_bench.settings import Settings
from microg_bench.storage import write_bytes, write_json
from microg_bench.tasks import HAR
from microg_bench.text import listed

PACKED_JOURNAL = f"{JOURNAL_FILE}.gz"
PACKED_DETECTIONS = "detections.csv.gz"
RUN_FILES = (SCORECARD_FILE, RUN_FILE, PACKED_JOURNAL)
ACTION_FILES = (SCORECARD_FILE, PACKED_DETECTIONS)
Tell = Callable[[str], object]  # what to do with a line for the user
# Options of the model, not of the machine.
PUBLIC_OPTIONS = frozenset(name for name in Options.model_fields if about(name).moves_answer)


def pack(record: RunRecord, into: Path, tell: Tell | None = None) -> Path:
    """Write the submission of a run as a folder below `into`, and return it.

    The same run packs to the same bytes. `tell` is called where another submission of it is replaced.

    Raises:
        RunError: it has not been scored, is not complete, asks only some of the clips, shows changed frames,
            is about persons, has answers in a schema, or cannot be written; or its folder holds other files.
    """
    if not record.scorecard.complete:
        raise RunError(record.scorecard.status, path=record.path)
    if record.settings.part:
        raise RunError(f"asks {record.settings.part}, not the whole dataset", path=record.path)
    if record.settings.task == HAR:
        file = record.scorecard.har.detections if record.scorecard.har else ""
        reason = f"is about persons: give {SCORECARD_FILE} in it, and --detections with {file} beside it"
        raise RunError(reason, path=record.path)
    if record.settings.transforms:
        raise RunError("shows changed frames, which is another benchmark", path=record.path)
    if record.settings.generation.answer_schema:
        raise RunError("has answers in a schema, which submissions do not have", path=record.path)
    record = public(record)
    card, settings = _named(record)
    journal = packed_answers(record)
    content = {
        "schema": RUN_SCHEMA,
        "options": outgoing(
            {name: record.options[name] for name in sorted(PUBLIC_OPTIONS & record.options.keys())}
        ),
        "settings": settings.model_dump(mode="json"),
        "starts": record.starts,
    }
    evidence = journal + json.dumps(content["settings"], sort_keys=True).encode()
    folder = place(into, settings.model, card.task, evidence)
    with new_submission(folder, RUN_FILES, tell) as new:
        write_bytes(new / PACKED_JOURNAL, gzip.compress(journal, mtime=0))
        write_json(new / RUN_FILE, content)
        write_json(new / SCORECARD_FILE, card.to_json())
    return folder


def place(into: Path, name: str, task: str, evidence: bytes) -> Path:
    """Where the submission of a model goes: a folder named by the model, the task and the `evidence`."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name)
    return into / f"{plain}-{task}-{hashlib.sha256(evidence).hexdigest()[:8]}"


@contextmanager
def new_submission(folder: Path, files: Collection[str], tell: Tell | None) -> Iterator[Path]:
    """Give a folder to fill with these `files`, and tell what it replaces; see `whole_folder`.

    Raises:
        RunError: at `folder` is something else than such a submission, or it cannot be written.
    """
    with whole_folder(folder, lambda there: _check_free(there, files)) as new:
        yield new
        old = _contents(folder)
        changed = [name for name, content in _contents(new).items() if old.get(name, content) != content]
    if changed and tell:
        tell(f"{folder}: replaced, {listed(changed)} was another")


def _contents(folder: Path) -> dict[str, bytes]:
    """The contents of the files in a folder, none where it is missing."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*"))}


def _check_free(folder: Path, files: Collection[str]) -> None:
    """Accept a place where nothing is, or the `files` of a submission, which may be replaced.

    Raises:
        RunError: anything else.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise RunError("is a link or a file, not the folder of a submission", path=folder)
    names = [path.name for path in folder.iterdir()] if folder.exists() else []
    if others := sorted(set(names) - set(files)):
        raise RunError(f"holds files that are not of a submission ({others[0]})", path=folder)


def _named(record: RunRecord) -> tuple[Scorecard, Settings]:
    """Scorecard and settings with the name of the dataset that belongs to its references."""
    card, settings = record.scorecard, record.settings
    named = {"dataset": REFERENCES.get(settings.fingerprint, settings.dataset)}
    scored = card.settings and card.settings.model_copy(update=named)
    return card.model_copy(update={**named, "settings": scored}), settings.model_copy(update=named)


def packed_answers(record: RunRecord) -> bytes:
    """The first answer to each request, one a line."""
    answers = (answer.model_dump(mode="json", exclude_none=True) for answer in record.answers.values())
    lines = ({"type": "response", **answer} for answer in answers)
    return b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
