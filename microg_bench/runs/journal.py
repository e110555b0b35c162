"""An append-only file of JSON lines that survives whatever happens to its writer.

Every line is written with one system call before it counts. A process that dies in the middle of a line
leaves a torn tail, which the next opening repairs; damage anywhere else is an error that names the line.
"""

from __future__ import annotations

import json
import mmap
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from microg_bench.errors import RunError

# A power cut may lose what was written since the last sync; a killed process loses nothing.
SYNC_SECONDS = 1.0


class Journal:
    """Append-only JSON lines at `path`, opened for writing (one writer at a time; the caller locks)."""

    def __init__(self, path: Path) -> None:
        """Open `path`, creating it, and repair a torn last line.

        Raises:
            RunError: the file cannot be opened.
        """
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise RunError(f"{path}: cannot be opened for writing: {error.strerror}") from error
        self.repaired = self._repair()
        self._synced = time.monotonic()

    def append(self, record: dict[str, Any]) -> None:
        """Write one record; when this returns, the record counts.

        Raises:
            RunError: the disk is full or the file cannot be written; what was there before is intact.
        """
        line = json.dumps(record, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
        start = os.lseek(self._descriptor, 0, os.SEEK_END)
        try:
            written = os.write(self._descriptor, line)
            if written < len(line):
                os.ftruncate(self._descriptor, start)
                raise RunError(f"{self.path}: the disk is full; {self._advice()}")
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written: {error.strerror}; {self._advice()}") from error
        if time.monotonic() - self._synced > SYNC_SECONDS:
            os.fsync(self._descriptor)
            self._synced = time.monotonic()

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

    @staticmethod
    def _advice() -> str:
        return "every answer before it is safe: make room and start the same command again"

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


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a journal in the order of writing; a torn last line is passed over.

    Raises:
        RunError: a line that is not the last is damaged; its number is named.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            record = _record(line)
            if record is not None:
                yield record
            elif line.endswith(b"\n"):
                raise RunError(
                    f"{path}: line {number} is damaged; restore it from a copy or delete that line"
                )


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
