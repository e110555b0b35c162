"""What all submissions share: the names of their files, and the folder in which they are written."""

import hashlib
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from microg_bench.errors import RunError
from microg_bench.folders import whole_folder
from microg_bench.options import Options, about
from microg_bench.runs.record import JOURNAL_FILE, RUN_FILE, SCORECARD_FILE
from microg_bench.text import listed

PACKED_JOURNAL = f"{JOURNAL_FILE}.gz"
PACKED_DETECTIONS = "detections.csv.gz"
RUN_FILES = (SCORECARD_FILE, RUN_FILE, PACKED_JOURNAL)
ACTION_FILES = (SCORECARD_FILE, PACKED_DETECTIONS)
Tell = Callable[[str], object]  # what to do with a line for the user
# Options of the model, not of the machine.
PUBLIC_OPTIONS = frozenset(name for name in Options.model_fields if about(name).moves_answer)


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
