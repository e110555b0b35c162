"""The size that a Matroska or WebM file states for itself: libav reads one that was cut short in silence.

The file is an EBML header element and a Segment element; each begins with an id and a size, which are
integers of 1 to 8 bytes whose leading zero bits tell the length (RFC 8794).
"""

from __future__ import annotations

from pathlib import Path

_HEADER = bytes.fromhex("1A45DFA3")
_SEGMENT = bytes.fromhex("18538067")


def stated_size(path: Path) -> int | None:
    """Return the bytes that the whole file should have, None where it does not say (a live recording)."""
    with path.open("rb") as file:
        start = file.read(4096)
    header = _after(start, 0, _HEADER)
    segment = header and _after(start, header[0] + (header[1] or 0), _SEGMENT)
    return segment[0] + segment[1] if segment and segment[1] is not None else None


def _after(data: bytes, at: int, name: bytes) -> tuple[int, int | None] | None:
    """Return where the body of the element `name` at `at` begins and its size (None if unknown)."""
    at += len(name)
    if data[at - len(name) : at] != name or at >= len(data) or data[at] == 0:
        return None
    length = 9 - data[at].bit_length()
    unknown = (1 << 7 * length) - 1
    size = int.from_bytes(data[at : at + length], "big") & unknown
    return at + length, size if size != unknown else None
