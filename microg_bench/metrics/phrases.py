"""Which entries of METEOR's paraphrase table some texts can meet.

An entry pairs two phrases, and can only match where one of them stands in a reference and the other in a
candidate. METEOR's normalisation parts words and drops or changes punctuation, but leaves lower-cased letters
and digits as they are and in order. So a phrase is taken to stand in a text if its letters and digits are
those of consecutive pieces of the text, a piece being a run of letters or of digits: this finds all that can
match. They are compared by hashes, in a Bloom filter, since the table has ten million phrases; a chance hit
keeps an entry too many, which moves no score.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from microg_bench.errors import MetricUnavailableError

Hashes = NDArray[np.uint64]
Places = NDArray[np.intp]
Mask = NDArray[np.bool_]

_PIECES = 9  # no phrase of the published table has more
_ENTITY = re.compile("&(?:quot|apos|lt|gt|amp);")
_LETTERS, _DIGITS = b"abcdefghijklmnopqrstuvwxyz", b"0123456789"
_NO_KEY = bytes(set(range(256)) - set(_LETTERS + _DIGITS + b"\n"))
_KIND = np.array([(byte in _LETTERS) + 2 * (byte in _DIGITS) for byte in range(256)], dtype=np.uint8)
_BLOCK = 1 << 17
_TEXTS = 500
_BITS = 25
# Odd numbers without pattern; which ones does not matter.
_BASE = 0x9E3779B97F4A7C15
_MIXERS = (0xD6E8FEB86659FD93, 0xA0761D6478BD642F)


class PhraseFilter:
    """The phrases that stand in some texts of one line each."""

    def __init__(self, texts: Collection[str]) -> None:
        self._seen = np.zeros(1 << _BITS, dtype=np.bool_)
        distinct = iter(sorted(set(texts)))
        while some := list(islice(distinct, _TEXTS)):
            text = "\n".join(some).lower()
            for reading in {text, _ENTITY.sub(" ", text)}:
                self._add(reading.encode())

    def _add(self, text: bytes) -> None:
        """Add the letters and digits of up to nine consecutive pieces, wherever they start."""
        kind = _KIND[np.frombuffer(text, dtype=np.uint8)]
        kept = kind > 0
        first = kept & (kind != np.concatenate(([0], kind[:-1])))
        bounds = np.append((np.cumsum(kept) - 1)[first], np.count_nonzero(kept))
        sums = _Sums(text.translate(None, _NO_KEY + b"\n"))
        for pieces in range(min(_PIECES + 1, len(bounds))):
            for places in _places(sums.hashes(bounds[: len(bounds) - pieces], bounds[pieces:])):
                self._seen[places] = True

    def knows(self, phrases: Hashes) -> Mask:
        """Whether each phrase, by its hash, stands in a text."""
        one, other = _places(phrases)
        return self._seen[one] & self._seen[other]


def entries(table: Path, references: PhraseFilter, candidates: PhraseFilter | None = None) -> Iterator[bytes]:
    """The entries of a table, three lines each, that references can meet; together with candidates if given.

    Raises:
        MetricUnavailableError: the table is damaged.
    """
    rest = b""
    for block in _blocks(table):
        lines = rest + block
        ends = _line_ends(lines)[2::3] + 1
        starts = np.concatenate(([0], ends))
        one, other = _phrases(lines, len(ends))
        if candidates is None:
            kept = references.knows(one) | references.knows(other)
        else:
            kept = references.knows(one) & candidates.knows(other)
            kept |= candidates.knows(one) & references.knows(other)
        yield from (lines[starts[row] : ends[row]] for row in np.flatnonzero(kept).tolist())
        rest = lines[starts[-1] :]
    if rest:
        raise MetricUnavailableError(f"{table} is damaged: its last entry is not whole")


def _phrases(lines: bytes, entries: int) -> tuple[Hashes, Hashes]:
    """The hashes of both phrases of each of the first entries."""
    keys = lines.translate(None, _NO_KEY)
    ends = _line_ends(keys)[: 3 * entries].reshape(-1, 3).T
    sums = _Sums(keys)
    return sums.hashes(ends[0] + 1, ends[1]), sums.hashes(ends[1] + 1, ends[2])


def _line_ends(lines: bytes) -> Places:
    return np.flatnonzero(np.frombuffer(lines, dtype=np.uint8) == ord("\n"))


class _Sums:
    """Sums from which the polynomial hash of any part of a text follows, modulo 2**64."""

    def __init__(self, text: bytes) -> None:
        powers, self._inverses = _powers(len(text).bit_length())
        values = np.frombuffer(text, dtype=np.uint8) * powers[: len(text)]
        self._sums = np.concatenate((np.zeros(1, dtype=np.uint64), np.cumsum(values)))

    def hashes(self, starts: Places, ends: Places) -> Hashes:
        """The same for the same bytes, wherever they stand; 0 for none."""
        found: Hashes = (self._sums[ends] - self._sums[starts]) * self._inverses[starts]
        return found


@lru_cache(maxsize=2)
def _powers(bits: int) -> tuple[Hashes, Hashes]:
    """The powers of the base and of its inverse, for texts of less than 2**bits bytes."""
    bases = (_BASE, pow(_BASE, -1, 1 << 64))
    one, other = (np.full(1 << bits, base, dtype=np.uint64) for base in bases)
    one[0] = other[0] = 1
    return np.cumprod(one), np.cumprod(other)


def _places(hashes: Hashes) -> tuple[Hashes, Hashes]:
    """The two places of each hash in the filter."""
    one, other = (hashes * np.uint64(mixer) >> np.uint64(64 - _BITS) for mixer in _MIXERS)
    return one, other


def _blocks(table: Path) -> Iterator[bytes]:
    """The content of a gzip file, unpacked ahead in a thread."""
    try:
        with gzip.open(table) as file, ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(file.read, _BLOCK)
            while block := ahead.result():
                ahead = pool.submit(file.read, _BLOCK)
                yield block
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise MetricUnavailableError(f"{table} is damaged: {error}") from None
