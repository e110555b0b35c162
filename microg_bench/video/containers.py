"""What a container states about its own bytes and libav does not tell."""

import os
from pathlib import Path

# The elements that a Matroska file consists of, by their ids (RFC 8794).
_EBML_HEADER = bytes.fromhex("1A45DFA3")
_SEGMENT = bytes.fromhex("18538067")
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
