"""Files: written whole or not at all, read within bounds, append-only journals, the cache, what ships.

What a file that is read is follows from its content, not from its name, and its size is measured unpacked.

A journal line is written with one system call before it counts. A process that dies in the middle of a line
leaves a torn last line, which the next opening repairs; damage anywhere else is an error that names the line.
"""

from __future__ import annotations

import codecs
import errno
import hashlib
import json
import lzma
import mmap
import os
import stat
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from microg_bench.errors import DataError, RunError
from microg_bench.text import first_line, strict_json

# A power cut may lose what was written since the last sync; a killed process loses nothing.
SYNC_SECONDS = 1.0

LOCK_FILE = ".lock"
# Sixty times the largest published table; also bounds what a dictionary of xz may take.
MAX_BYTES = 256 * 1024**2
MAX_JSON_BYTES = 64 * 1024**2  # twenty times the largest published file
MAX_JSON_VALUES = 1_500_000  # of up to 650 bytes in `data check`; the largest published file has 36,000
MAX_LINE_BYTES = 8 * 1024**2  # of a journal; an answer with all its thoughts has at most half of it
# A chunk of xz may unpack to some thousand times its size.
CHUNK_BYTES = 8 * 1024
# gzip of 256 MiB in blocks, as bgzip writes it, has 4,096 parts.
MAX_PARTS = 10_000
_PACKED: dict[bytes, tuple[str, Callable[[], Any]]] = {
    b"\x1f\x8b": ("gzip", lambda: zlib.decompressobj(wbits=31)),
    b"\xfd7zXZ\0": ("xz", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, MAX_BYTES)),
}
ZIP = b"PK\x03\x04"
_REFUSED = {b"\x28\xb5\x2f\xfd": "zstd", ZIP: "zip, or an Excel workbook"}
# The mark of UTF-32 begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
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
        DataError: see `read_text`; or the file is not JSON; the line is named.
    """
    return parse_json(read_text(path, MAX_JSON_BYTES), path, pairs)


def parse_json(
    text: bytes,
    path: Path,
    pairs: Callable[[list[tuple[str, Any]]], Any] | None = None,
    item: str | None = None,
) -> Any:
    """The content of JSON text in UTF-8, read from `path`; `item` is its place there, if it is not the whole.

    Raises:
        DataError: it is not JSON, where the line is named, or could hold too many values.
    """
    _check_values(text, path, item)
    try:
        return json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        reason = error.msg if item else f"{error.msg} in line {error.lineno}"
    except RecursionError:
        reason = "nested too deeply"
    except ValueError as error:  # a number of too many digits, behind which Python gives advice
        reason = first_line(error).partition(";")[0]
    raise DataError(f"not JSON: {reason}", path=path, item=item)


def _check_values(text: bytes, path: Path, item: str | None = None) -> None:
    if sum(map(text.count, (b",", b"[", b"{"))) > MAX_JSON_VALUES:
        raise DataError(f"holds more than {MAX_JSON_VALUES:,} values", path=path, item=item)


def open_plain(path: Path) -> BinaryIO:
    """A regular file, opened for reading; what a link or a pipe leads to is not opened.

    Raises:
        DataError: it is missing, cannot be read, or is a link, a folder, a pipe or a device.
    """
    try:
        # A pipe without a writer would be waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise DataError("no such file", path=path) from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link; a socket
            raise DataError(_NOT_PLAIN, path=path) from None
        raise DataError(f"cannot be read: {error.strerror}", path=path) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DataError(_NOT_PLAIN, path=path)
    return os.fdopen(descriptor, "rb")


_NOT_PLAIN = "is not a plain file"


def read_strict_json(path: Path, limit: int = MAX_JSON_BYTES) -> Any:
    """The content of a plain file that holds JSON as this program writes it; see `strict_json`.

    Raises:
        DataError: see `open_plain`; or it holds more than `limit` bytes, or other JSON.
    """
    with open_plain(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise DataError(f"is larger than {limit:,} bytes", path=path)
    _check_values(content, path)
    try:
        return strict_json(content)
    except ValueError as error:
        raise DataError(f"damaged: not JSON: {first_line(error)}", path=path) from error


def read_text(path: Path, limit: int = MAX_BYTES) -> bytes:
    """The text of a file in UTF-8, without a byte-order mark.

    The file may be packed by gzip or xz. Text with a byte-order mark may be UTF-8, UTF-16 or UTF-32; other
    text must be UTF-8, for an older encoding does not tell which one it is.

    Args:
        path: the file.
        limit: the most bytes that it may hold, unpacked.

    Raises:
        DataError: the file is missing, cannot be read, is broken, holds more than `limit` bytes, or is no
            text; the line is named.
    """
    return as_text(read_bytes(path, limit), path)


def as_text(content: bytes, path: Path) -> bytes:
    """The content of a file, already read from `path`, as text; see `read_text`."""
    mark, encoding = next((one for one in _MARKS.items() if content.startswith(one[0])), (b"", "utf-8"))
    content = content[len(mark) :]
    try:
        plain = encoding == "utf-8" and content.isascii()
        text = content if plain else content.decode(encoding).encode()
    except UnicodeDecodeError as error:
        reason = f"is not {encoding.upper()} text" + ("" if mark else "; save it as UTF-8")
        item = None if "16" in encoding or "32" in encoding else _place(content, error.start)
        raise DataError(reason, path=path, item=item) from error
    if b"\0" in text:
        reason = "holds a NUL character: it is no text, or UTF-16 without a byte-order mark"
        raise DataError(reason, path=path, item=_place(text, text.index(b"\0")))
    return text


def _place(content: bytes, at: int) -> str:
    """The line that holds the byte `at`, as the item of an error: ``line 3``."""
    line_break = b"\n"
    return f"line {content.count(line_break, 0, at) + 1}"


def read_bytes(path: Path, limit: int = MAX_BYTES, *, zipped: bool = False, plain: bool = False) -> bytes:
    """The content of a file, unpacked if gzip or xz packed it, in memory for little more than `limit`.

    Args:
        path: the file.
        limit: the most bytes that it may hold, unpacked.
        zipped: whether it may be a zip, which is returned as it is.
        plain: whether it must be a plain file; see `open_plain`.

    Raises:
        DataError: the file is missing, cannot be read, is broken, packed otherwise, or holds more than
            `limit` bytes.
    """
    parts, left = [], limit
    try:
        with open_plain(path) if plain else path.open("rb") as file:
            for part in _unpacked(file, path, zipped):
                parts.append(part)
                left -= len(part)
                if left < 0:
                    raise DataError(f"holds more than {limit >> 20} MiB, unpacked", path=path)
    except FileNotFoundError:
        raise DataError("no such file", path=path) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from error
    return b"".join(parts)


def _unpacked(file: BinaryIO, path: Path, zipped: bool) -> Iterator[bytes]:
    """The content of `file` in parts."""
    start = file.read(CHUNK_BYTES)
    for magic, name in _REFUSED.items():
        if start.startswith(magic) and not (zipped and magic == ZIP):
            raise DataError(f"is packed ({name}): unpack it, or pack it by gzip or xz", path=path)
    chunks = _chunks(start, file)
    for magic, (name, make) in _PACKED.items():
        if start.startswith(magic):
            try:
                yield from _streams(chunks, make)
            except (zlib.error, lzma.LZMAError, EOFError) as error:
                raise DataError(f"is broken {name} data: {first_line(error)}", path=path) from error
    yield from chunks


def _chunks(start: bytes, file: BinaryIO) -> Iterator[bytes]:
    while start:
        yield start
        start = file.read(CHUNK_BYTES)


def _streams(chunks: Iterator[bytes], make: Callable[[], Any]) -> Iterator[bytes]:
    """What the packed streams in `chunks` hold, one after the other; zeros between them are left out."""
    stream, parts = make(), 1
    for chunk in chunks:
        packed = chunk.lstrip(b"\0") if stream.eof else chunk
        while packed:
            if stream.eof:
                stream, parts = make(), parts + 1
            if parts > MAX_PARTS:
                raise EOFError(f"it has more than {MAX_PARTS:,} parts")
            yield stream.decompress(packed)
            packed = stream.unused_data.lstrip(b"\0")
    if not stream.eof:
        raise EOFError("it ends too early")


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
            reason = "another process is writing to this folder; wait for it or stop it"
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
        RunError: it is no plain file, or a line that is not the last is damaged; its number is named.
    """
    if not os.path.lexists(path):
        return
    try:
        file = open_plain(path)
    except DataError as error:
        raise RunError(error.reason, path=path) from error
    with file:
        for number, line in enumerate(iter(partial(file.readline, MAX_LINE_BYTES), b""), start=1):
            record = _record(line)
            if record is not None:
                yield number, record
            elif line.endswith(b"\n") or len(line) == MAX_LINE_BYTES:
                reason = "damaged; restore it from a copy or delete that line"
                raise RunError(reason, path=path, item=f"line {number}")


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        found = strict_json(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
