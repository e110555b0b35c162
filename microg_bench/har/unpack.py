"""Reads a file, packed or not, into memory, and never more of it than a bound: archives may be bombs."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol

from microg_bench.errors import DataError

# Sixty times the largest published file; also bounds what a dictionary of xz may take.
MAX_BYTES = 256 * 1024**2
AT_ONCE = 16 * 1024**2


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


_UNPACKERS: dict[str, Callable[[], _Unpacker]] = {
    ".gz": lambda: zlib.decompressobj(wbits=31),
    ".xz": lambda: lzma.LZMADecompressor(memlimit=MAX_BYTES),
}


def read_bytes(path: Path) -> bytes:
    """The content of `path`, unpacked where its name ends in `.gz` or `.xz`.

    Raises:
        DataError: the file is missing, cannot be read, is broken, or holds more than `MAX_BYTES`.
    """
    try:
        with path.open("rb") as file:
            content = _read(file)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if (make := _UNPACKERS.get(path.suffix)) is not None and len(content) <= MAX_BYTES:
        content = _unpack(content, make, path)
    if len(content) > MAX_BYTES:
        raise DataError(f"{path}: holds more than {MAX_BYTES >> 20} MiB, which no table of actions does")
    return content


def _read(file: BinaryIO) -> bytes:
    """All that `file` holds, but not more than a byte above the bound; memory for that alone."""
    parts, room = [], MAX_BYTES + 1
    while part := file.read(min(room, AT_ONCE)):
        parts.append(part)
        room -= len(part)
    return b"".join(parts)


def _unpack(packed: bytes, make: Callable[[], _Unpacker], path: Path) -> bytes:
    """All streams of `packed`, one after the other, but not more than a byte above the bound."""
    parts, room = [], MAX_BYTES + 1
    try:
        while packed and room > 0:
            stream = make()
            part = stream.decompress(packed, room)
            if not stream.eof and len(part) < room:
                raise DataError(f"{path}: broken {path.suffix} file: it ends too early")
            parts.append(part)
            room -= len(part)
            packed = stream.unused_data
    except (zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{path}: broken {path.suffix} file: {error}") from error
    return b"".join(parts)
