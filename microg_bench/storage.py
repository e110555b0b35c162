"""Files: written whole or not at all, append-only journals, the cache folder, and the data that ships.

A journal line is written with one system call before it counts. A process that dies in the middle of a line
leaves a torn last line, which the next opening repairs; damage anywhere else is an error that names the line.
"""

from __future__ import annotations

import json
import mmap
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from microg_bench.errors import DataError, RunError

# A power cut may lose what was written since the last sync; a killed process loses nothing.
SYNC_SECONDS = 1.0

_PACKAGE = Path(__file__).resolve().parent


def shipped(name: str) -> Path:
    """The folder `name` ("prompts", "results/published"), in the wheel or at the root of the checkout."""
    installed = _PACKAGE / "_shipped" / name
    return installed if installed.exists() else _PACKAGE.parent / name


def cache_folder(name: str) -> Path:
    """The folder `name` in the user's cache of this program; it need not exist."""
    from platformdirs import user_cache_path

    return user_cache_path("microg-bench", appauthor=False) / name


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
        raise RunError(f"cannot be written: {error.strerror}", path=path) from error
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


class Journal:
    """Append-only JSON lines at `path`, opened for writing (one writer at a time; the caller locks).

    `repaired` tells that the last line was torn when it was opened.
    """

    def __init__(self, path: Path) -> None:
        """Open `path`, creating it, and repair a torn last line.

        Raises:
            RunError: the file cannot be opened.
        """
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise RunError(f"cannot be opened for writing: {error.strerror}", path=path) from error
        self.repaired = self._repair()
        self._synced = time.monotonic()

    def append(self, *records: dict[str, Any]) -> None:
        """Write records; when this returns, they count.

        Raises:
            RunError: the disk is full or the file cannot be written; what was there before is intact.
        """
        lines = b"".join(_line(record) for record in records)
        start = os.lseek(self._descriptor, 0, os.SEEK_END)
        try:
            if os.write(self._descriptor, lines) < len(lines):
                os.ftruncate(self._descriptor, start)
                raise RunError(f"the disk is full; {_ADVICE}", path=self.path)
            if time.monotonic() - self._synced > SYNC_SECONDS:
                os.fsync(self._descriptor)
                self._synced = time.monotonic()
        except OSError as error:
            raise RunError(f"cannot be written: {error.strerror}; {_ADVICE}", path=self.path) from error

    def close(self) -> None:
        """Flush to the disk and close; safe to call twice."""
        if self._descriptor >= 0:
            if os.fstat(self._descriptor).st_size:
                os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

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


_ADVICE = "every answer before it is safe: free some space and run the same command again"


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
