"""Files: written whole or not at all, append-only journals, the cache folder, and the data that ships.

A journal line is written with one system call before it counts. A process that dies in the middle of a line
leaves a torn last line, which the next opening repairs; damage anywhere else is an error that names the line.
"""

from __future__ import annotations

import errno
import hashlib
import json
import mmap
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from microg_bench.errors import DataError, RunError

# A power cut may lose what was written since the last sync; a killed process loses nothing.
SYNC_SECONDS = 1.0

LOCK_FILE = ".lock"
_PACKAGE = Path(__file__).resolve().parent
_AGAIN = "run the same command again"
# Why a file cannot be written, and what helps, by the number of the error.
_CAUSES = {
    errno.ENOSPC: ("the disk is full", "free space"),
    errno.EDQUOT: ("the disk quota is used up", "free space"),
    errno.EFBIG: ("the limit on the size of a file is reached", "raise it"),
    errno.EROFS: ("the file system is read-only", "make it writable or give another folder"),
    errno.EACCES: ("no permission to write there", "change its permissions or give another folder"),
    errno.EPERM: ("no permission to write there", "change its permissions or give another folder"),
}


def shipped(name: str) -> Path:
    """The folder `name` ("prompts", "results/published"), in the wheel or at the root of the checkout."""
    installed = _PACKAGE / "_shipped" / name
    return installed if installed.exists() else _PACKAGE.parent / name


def cache_folder(name: str) -> Path:
    """The folder `name` in the user's cache of this program; it need not exist."""
    from platformdirs import user_cache_path

    return user_cache_path("microg-bench", appauthor=False) / name


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cause(error: OSError, then: str = _AGAIN) -> str:
    """Why something cannot be written, and what to do: ``the disk is full: free space, then …``."""
    reason, advice = _CAUSES.get(error.errno or 0, (error.strerror or type(error).__name__, ""))
    return f"{reason}: {advice}, then {then}" if advice else reason


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, replacing what was there in one step.

    Raises:
        RunError: the file cannot be written; what was there before is intact.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        raise RunError(f"cannot be written: {cause(error)}", path=path) from error
    finally:
        with suppress(OSError):
            partial.unlink()


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8; see `write_bytes`. A lone surrogate, which has no UTF-8 form, becomes "?"."""
    write_bytes(path, text.encode(errors="replace"))


def write_json(path: Path, content: Any) -> None:
    """Write `content` as JSON in a stable layout: two spaces, the order given, a line break at the end.

    Raises:
        RunError: see `write_bytes`.
    """
    write_bytes(path, json.dumps(content, indent=2, ensure_ascii=True).encode("ascii") + b"\n")


def read_json(path: Path, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """The content of a JSON file; `pairs` makes something else than a dictionary of the pairs of an object.

    Raises:
        DataError: the file is missing, not UTF-8 or not JSON; the line is named.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=pairs)
    except FileNotFoundError:
        raise DataError("no such file", path=path) from None
    except json.JSONDecodeError as error:
        raise DataError(f"not JSON: {error.msg} in line {error.lineno}", path=path) from error
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"cannot be read: {error}", path=path) from error


class FolderLock:
    """The lock of a folder, which is made where there is none: one process at a time writes into it."""

    def __init__(self, path: Path) -> None:
        """Make the folder and lock it.

        Raises:
            RunError: another process holds the lock, or the folder cannot be made or written to.
        """
        from filelock import FileLock, Timeout

        self.path = path
        self._made = [folder for folder in (path, *path.parents) if not folder.exists()]
        self._lock = FileLock(path / LOCK_FILE, timeout=0)
        failed = "cannot be created"
        try:
            path.mkdir(parents=True, exist_ok=True)
            failed = "cannot be written to"
            self._lock.acquire()
        except Timeout:
            reason = "another process is writing to this run; wait for it or stop it"
            raise RunError(reason, path=path) from None
        except OSError as error:
            if self._made:
                self._remove()
            raise RunError(f"{failed}: {cause(error)}", path=path) from error

    def release(self, remove: Iterable[str] = ()) -> None:
        """Release the lock; with the files to `remove` go the folders that were made for it and are empty."""
        if remove:
            self._remove(*remove)
        self._lock.release()

    def _remove(self, *names: str) -> None:
        with suppress(OSError):
            for name in (*names, LOCK_FILE):
                (self.path / name).unlink(missing_ok=True)
            for folder in self._made:
                folder.rmdir()


class Journal:
    """Append-only JSON lines at `path`, opened for writing (one writer at a time; the caller locks).

    `repaired` tells that the last line was torn when it was opened. A file in which nothing was written is
    removed when it is closed.
    """

    def __init__(self, path: Path) -> None:
        """Open `path`, creating it, and repair a torn last line.

        Raises:
            RunError: the file cannot be opened or repaired.
        """
        self.path = path
        self._descriptor = -1
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            self.repaired = self._repair()
        except OSError as error:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            raise RunError(f"cannot be opened for writing: {cause(error, _RESUME)}", path=path) from error
        self._synced = time.monotonic()

    def append(self, *records: dict[str, Any]) -> None:
        """Write records; when this returns, they count.

        Raises:
            RunError: the disk is full or the file cannot be written; what was there before is intact, and
                none of `records` counts.
        """
        lines = memoryview(b"".join(_line(record) for record in records))
        start = os.lseek(self._descriptor, 0, os.SEEK_END)
        failed = "cannot be written", "every answer before it is safe"
        try:
            while lines:
                lines = lines[os.write(self._descriptor, lines) :]
            if time.monotonic() - self._synced > SYNC_SECONDS:
                failed = _UNFLUSHED
                os.fsync(self._descriptor)
                self._synced = time.monotonic()
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._descriptor, start)
            raise RunError(f"{failed[0]}: {cause(error, _RESUME)}; {failed[1]}", path=self.path) from error

    def close(self) -> None:
        """Flush to the disk and close; safe to call twice.

        Raises:
            RunError: the last lines may not be on the disk.
        """
        if self._descriptor < 0:
            return
        descriptor, self._descriptor = self._descriptor, -1
        try:
            try:
                state = os.fstat(descriptor)
                if state.st_size:
                    os.fsync(descriptor)
                elif stat.S_ISREG(state.st_mode):
                    self.path.unlink(missing_ok=True)
            finally:
                os.close(descriptor)
        except OSError as error:
            reason = f"{_UNFLUSHED[0]}: {cause(error, _RESUME)}; {_UNFLUSHED[1]}"
            raise RunError(reason, path=self.path) from error

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _repair(self) -> bool:
        """Cut a torn last line off, or end it where only its line break is missing."""
        size = os.fstat(self._descriptor).st_size
        if not size:
            return False
        with mmap.mmap(self._descriptor, size, access=mmap.ACCESS_READ) as data:
            start = data.rfind(b"\n") + 1
            tail = data[start:]
        if not tail:
            return False
        if _record(tail) is not None:
            os.write(self._descriptor, b"\n")
        else:
            os.ftruncate(self._descriptor, start)
        return True


_RESUME = f"{_AGAIN} to resume"
_UNFLUSHED = "cannot be flushed to the disk", "the answers of the last second may be lost"


def read_journal(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records of a journal with the numbers of their lines, in order; a torn last line is skipped.

    Raises:
        RunError: a line that is not the last is damaged; its number is named.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            record = _record(line)
            if record is not None:
                yield number, record
            elif line.endswith(b"\n"):
                reason = "damaged; restore it from a copy or delete that line"
                raise RunError(reason, path=path, item=f"line {number}")


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
