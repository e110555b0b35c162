"""What a container states about its own bytes and libav does not tell."""

import os
from pathlib import Path
from typing import BinaryIO

# The elements that a Matroska file consists of, by their ids (RFC 8794).
_EBML_HEADER = bytes.fromhex("1A45DFA3")
_SEGMENT = bytes.fromhex("18538067")
_CLUSTER = bytes.fromhex("1F43B675")
# What may be in a segment and in a cluster (RFC 9559).
_PARTS = {
    _EBML_HEADER,
    _SEGMENT,
    _CLUSTER,
    *map(bytes.fromhex, ("114D9B74", "1549A966", "1654AE6B", "1C53BB6B", "1941A469", "1043A770", "1254C367")),
    *map(bytes.fromhex, ("EC", "BF", "E7", "5854", "A7", "AB", "A3", "A0", "AF")),
}
_WINDOW = 1 << 20
# In an AVI file these chunks hold other chunks, after four bytes that name their kind.
_AVI_LISTS = (b"RIFF", b"LIST")


def matroska_size(path: Path) -> int | None:
    """The bytes that a Matroska or WebM file should have, None where it does not say (a live recording).

    libav reads a file that was cut short without an error. The file is a header and a segment element.
    """
    with path.open("rb") as file:
        start = file.read(4096)
    header = _element(start, 0, _EBML_HEADER)
    segment = header and _element(start, header[0] + (header[1] or 0), _SEGMENT)
    return segment[0] + segment[1] if segment and segment[1] is not None else None


def _element(data: bytes, at: int, name: bytes) -> tuple[int, int | None] | None:
    """Where the body of the element `name` at `at` begins, and its size (None if unknown).

    An element begins with its id and its size, an integer of 1 to 8 bytes whose leading zero bits give the
    number of bytes (RFC 8794). All bits set stand for an unknown size.
    """
    at += len(name)
    if data[at - len(name) : at] != name or at >= len(data) or data[at] == 0:
        return None
    length = 9 - data[at].bit_length()
    unknown = (1 << 7 * length) - 1
    size = int.from_bytes(data[at : at + length], "big") & unknown
    return at + length, size if size != unknown else None


def matroska_holes(path: Path) -> list[int]:
    """Where in a Matroska or WebM file something is no element, as offsets in bytes, in order.

    libav passes over it without a word, to the next cluster. What is in an element is not looked at.
    """
    holes, at = [], 0
    with path.open("rb") as file:
        while len(start := _read(file, at, 12)) > 1:
            name = start[: 9 - start[0].bit_length()]
            element = _element(start, 0, name) if name in _PARTS else None
            if element is None or (element[1] is None and name not in (_SEGMENT, _CLUSTER)):
                holes.append(at)
                at = _next_cluster(file, at + 1)
            else:
                body, size = element
                at += body if name in (_SEGMENT, _CLUSTER) else body + (size or 0)
    return holes


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)


def _next_cluster(file: BinaryIO, at: int) -> int:
    """Where the next cluster begins, or the file ends."""
    while content := _read(file, at, _WINDOW):
        if (found := content.find(_CLUSTER)) >= 0:
            return at + found
        at += max(len(content) - len(_CLUSTER) + 1, 1)
    return at


def empty_avi_chunks(path: Path, stream: int) -> int:
    """How many chunks without bytes an AVI file holds for its video stream number `stream`.

    A recorder writes one for each frame that it drops. libav passes over them without a word.
    """
    names = (b"%02ddc" % stream, b"%02ddb" % stream)
    count = 0
    with path.open("rb") as file:
        while len(head := file.read(8)) == 8:
            name, size = head[:4], int.from_bytes(head[4:], "little")
            count += name in names and size == 0
            file.seek(4 if name in _AVI_LISTS else size + size % 2, os.SEEK_CUR)
    return count
